from pathlib import Path

import pytest

from ingest_ray.quarantine.rejected_rows import list_quarantine
from ingest_ray.sdk.types import RunState
from tests.run.installation import Installation


def test_c28_a_backfill_reads_its_interval_again_and_leaves_the_watermark_alone(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"changed": {"7": 10, "8": 20, "9": 30}})
    there.run()
    before = there.run().watermarks
    there.forget_reads()
    there.source["changed"] = {"7": 11, "8": 20, "9": 30}  # a late change below the watermark
    summary = there.run(there.order(task="backfill", lower="10", upper="21"))
    assert summary.state is RunState.SUCCEEDED
    assert summary.rows.read == 2
    assert there.reads() == ["read backfill 0 [10, 21]"]
    assert summary.watermarks == before
    assert {row["id"]: row["at"] for row in there.lake().to_pylist()}[7] == 11
    assert there.ids() == there.expected_ids()
    assert there.run().rows.read == 0


def test_c28_a_backfill_keeps_what_an_unfinished_load_has_done(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"faults": {"0:500": ["denied"]}})
    assert there.run().state is RunState.FAILED
    there.run(there.order(task="backfill", lower="0", upper="5"))
    there.forget_reads()
    assert there.run().state is RunState.SUCCEEDED
    assert there.reads() == ["read load 0 [500, 750]"]


def test_c70_rejected_rows_keep_their_raw_value_close_the_ledger_and_can_be_replayed(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"bad": [3, 700]})
    first = there.run()
    assert first.state is RunState.SUCCEEDED
    assert (first.rows.read, first.rows.committed, first.rows.quarantined) == (2000, 1998, 2)
    root = there.settings.quarantine_uri
    assert [entry.rows for entry in list_quarantine(root)] == [1, 1]

    still_bad = there.run(there.order(task="replay"))
    assert (still_bad.rows.read, still_bad.rows.committed, still_bad.rows.quarantined) == (2, 0, 2)
    assert sum(entry.rows for entry in list_quarantine(root)) == 2

    there.source = {"bad": [3], "bad_at": "77"}
    again = there.run(there.order(task="backfill", lower="0", upper="1"))
    assert again.rows.quarantined == 0  # key 3 is not among the changed rows
    there.policy = {"cursor": "at"}
    for entry in list_quarantine(root):
        path = Path(entry.uri)
        path.write_text(path.read_text().replace('"soon"', '"77"'))  # a person mends the value
    mended = there.run(there.order(task="replay"))
    assert (mended.rows.read, mended.rows.committed, mended.rows.quarantined) == (2, 2, 0)
    assert there.ids() == there.expected_ids()
    assert list_quarantine(root) == []


def test_more_rejected_rows_than_the_policy_allows_end_the_run(tmp_path: Path) -> None:
    policy = {"cursor": "at", "max_quarantined_rows": 3}
    there = Installation(tmp_path, policy=policy, source={"bad": list(range(10))})
    summary = there.run()
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_QUARANTINE_LIMIT"
    assert list_quarantine(there.settings.quarantine_uri) == []


@pytest.mark.parametrize("write", ["append"])
def test_a_replay_into_an_append_is_refused(tmp_path: Path, write: str) -> None:
    there = Installation(tmp_path, policy={"cursor": "at", "write": write}, source={"bad": [1]})
    there.run()
    summary = there.run(there.order(task="replay"))
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_BAD_INPUT"
