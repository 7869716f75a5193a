from pathlib import Path

import pytest
from deltalake import DeltaTable

from ingest_ray.kv import open_kv
from ingest_ray.kv.keys import segment_key, unit_key
from ingest_ray.run import launch
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.state import read_states
from tests.run.installation import Installation


def test_a_full_load_then_nothing_then_only_the_changes(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-2x2000")
    first = there.run()
    assert first.state is RunState.SUCCEEDED
    assert first.executor == "inline"
    assert first.rows.read == first.rows.committed == 4000
    assert first.watermarks == {"0": 1000, "1": 1000}
    assert there.ids() == there.expected_ids()

    there.forget_reads()
    second = there.run()
    assert second.state is RunState.SUCCEEDED
    assert second.rows.read == 0
    assert there.reads() == []

    there.source = {"now": 2000, "changed": {"7": 1500, "3998": 1001}}
    third = there.run()
    assert third.rows.committed == 2
    rows = {row["id"]: row["payload"] for row in there.lake().to_pylist()}
    assert rows[7].startswith("7@1500")
    assert there.ids() == there.expected_ids()


def test_a_replacement_shows_the_whole_new_table_and_no_old_row(tmp_path: Path) -> None:
    there = Installation(tmp_path, mode=RunMode.FULL, policy={})
    assert there.run().rows.committed == 2000
    assert there.run().rows.committed == 2000
    assert there.ids() == there.expected_ids()


def test_d39_a_busy_source_is_read_again_and_a_large_slice_is_cut_again(tmp_path: Path) -> None:
    faults = {"0:0": ["unavailable", "too-large"], "0:250": ["stop:300"], "0:500": ["unavailable"] * 3}
    there = Installation(tmp_path, source={"faults": faults})
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED
    assert summary.retries == 4
    assert there.ids() == there.expected_ids()


def test_d39_one_failing_slice_fails_itself_and_the_next_run_reads_only_that(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"0:500": ["denied"]}})
    first = there.run()
    assert first.state is RunState.FAILED
    assert first.error is not None
    assert first.error.code == "E_SOURCE_DENIED"
    assert first.rows.committed == 1750
    there.forget_reads()
    second = there.run()
    assert second.state is RunState.SUCCEEDED
    assert there.reads() == ["read load 0 [500, 750]"]
    assert there.ids() == there.expected_ids()


def test_object_store_staging_without_a_cluster_is_this_process(tmp_path: Path) -> None:
    there = Installation(tmp_path, staging="object-store")
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_a_lost_state_goes_on_above_the_sinks_epoch(tmp_path: Path) -> None:
    there = Installation(tmp_path)
    there.run()
    for path in tmp_path.glob("state.db*"):
        path.unlink()
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_d38_a_stopped_run_is_paused_and_the_next_goes_on(tmp_path: Path) -> None:
    there = Installation(tmp_path)
    first = there.run_until(lambda progress: progress.rows.committed >= 500)
    assert first.state is RunState.PAUSED
    assert 500 <= first.rows.committed < 2000
    assert there.run().rows.read == 2000 - first.rows.committed
    assert there.ids() == there.expected_ids()


def test_a_watermark_of_one_column_is_not_taken_for_another(tmp_path: Path) -> None:
    there = Installation(tmp_path)
    there.run()
    there.policy = {"cursor": "id"}
    there.forget_reads()
    refused = there.run()
    assert refused.error is not None
    assert refused.error.code == "E_BAD_INPUT"
    assert there.reads() == []


@pytest.mark.parametrize("is_segment", [False, True])
def test_c30_a_checkpoint_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path, is_segment: bool) -> None:
    there = Installation(tmp_path)
    there.run()
    kv = open_kv(there.settings.state_url)
    unit = unit_key("testing", UnitRef("e", there.unit), "lake")
    key = segment_key(unit, "0") if is_segment else unit
    found = kv.get(key)
    assert found is not None
    foreign = {**found[0], "schema_number": 2}
    kv.put(key, foreign, found[1])
    there.forget_reads()
    refused = there.run()
    assert refused.error is not None
    assert refused.error.code == "E_STATE_UNREADABLE"
    assert "schema number 2" in refused.error.message
    assert there.reads() == []
    assert kv.get(key) == (foreign, found[1] + 1)
    assert there.ids() == there.expected_ids()


def test_what_a_run_learned_is_kept_for_the_next_plan(tmp_path: Path) -> None:
    there = Installation(tmp_path)
    there.run()
    key = unit_key("testing", UnitRef("e", there.unit), "lake")
    learned = read_states(open_kv(there.settings.state_url), key).learned
    assert learned.bytes_per_row is not None
    assert learned.bytes_per_row > 8
    assert learned.rows_per_second is not None
    assert learned.rows_per_second > 0
    there.source = {"now": 2000, "changed": {"7": 1500}}
    there.run()  # one row teaches nothing
    assert read_states(open_kv(there.settings.state_url), key).learned == learned


@pytest.mark.slow
def test_many_small_slices_share_commits_and_a_few_do_not_wait(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-1x150", source={"slice_rows": 1})
    first = there.run_until(lambda progress: progress.slices.committed >= 16)
    assert first.slices.committed == 16
    assert len(commits(there)) == 16
    summary = there.run()
    assert (summary.state, summary.slices.committed) == (RunState.SUCCEEDED, 134)
    assert 16 < len(commits(there)) < 90
    assert there.ids() == there.expected_ids()


def commits(there: Installation) -> list[int]:
    history = DeltaTable(str(there.folder / "lake" / "e" / there.unit)).history()
    return [entry["ingestSequence"] for entry in history if "ingestSequence" in entry]


def test_a_stop_interrupts_a_single_slice_that_reads_for_long(tmp_path: Path) -> None:
    """The only thread was in the reader and noticed the stop after the slice: a job on a cluster was killed after its time to stop."""
    there = Installation(
        tmp_path,
        unit="numbers-1x1000",
        policy={"cursor": "at", "max_attempts": 1},
        threads=1,
        source={"faults": {"0:500": ["wait"]}},
    )
    asked = iter(range(10_000))

    def is_stopping() -> bool:
        return there.journal.exists() and any("[500" in line for line in there.reads()) and next(asked) > 2

    summary = launch([there.order()], there.progress.append, is_stopping)[0]
    assert summary.state is RunState.PAUSED
    assert sum(there.ids().values()) == summary.rows.committed == 500
    assert there.run().rows.committed == 500
    assert there.ids() == there.expected_ids()
