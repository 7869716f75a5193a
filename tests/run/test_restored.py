"""A state or a sink that was restored from an earlier copy, lost, or reset: nothing is doubled, and nothing is missing in silence."""

import gc
import shutil
from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable

from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.kv import open_state
from ingest_ray.quarantine.rejected_rows import list_quarantine
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.state import read_states, reset_state
from tests.run.installation import Installation

APPEND = {"cursor": "at", "write": "append"}
FEW_ROWS_PER_SLICE = {"target_slice_bytes": 64 * 1024}
UNIT = "numbers-1x500"


def code_of(summary: RunSummary) -> str:
    assert summary.state is RunState.FAILED, summary
    assert summary.error is not None
    assert summary.error.hint is not None
    return summary.error.code


def copy_of(there: Installation, name: str) -> Path:
    """A copy of the state, or of the lake, in a folder beside it."""
    copy = there.folder / f"{name}.copy"
    source = there.folder / name
    shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    return copy


def restore(there: Installation, name: str) -> None:
    source, copy = there.folder / name, there.folder / f"{name}.copy"
    if source.is_dir():
        shutil.rmtree(source)
        shutil.copytree(copy, source)
        return
    gc.collect()  # connections of earlier runs in this process end: SQLite shares what it knows of a file among them
    for part in there.folder.glob(f"{name}-*"):  # the write-ahead log
        part.unlink()
    source.unlink()
    shutil.copy(copy, source)


def reset(there: Installation) -> None:
    reset_state(open_state(there.settings), unit_key_of(there.order()))


def empty_table(there: Installation) -> None:
    DeltaTable(str(there.folder / "lake" / "e" / there.unit)).delete()


def half_loaded(folder: Path, **policy: object) -> Installation:
    """A load that was stopped after its first commits; its state is copied there, and then the load goes on to its end."""
    there = Installation(folder, unit="numbers-2x1500", policy={"cursor": "at", **FEW_ROWS_PER_SLICE, **policy})
    there.run_until(lambda progress: progress.rows.committed > 0)
    assert 0 < len(there.ids()) < 3000
    copy_of(there, "state.db")
    assert there.run().state is RunState.SUCCEEDED
    restore(there, "state.db")
    return there


@pytest.mark.slow
def test_a_load_whose_state_forgot_commits_merges_what_it_reads_again(tmp_path: Path) -> None:
    there = half_loaded(tmp_path)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert there.run().rows.read == 0


@pytest.mark.slow
def test_an_appending_load_whose_state_forgot_commits_is_refused_until_its_table_is_empty(tmp_path: Path) -> None:
    there = half_loaded(tmp_path, write="append")
    for _ in range(2):
        assert code_of(there.run()) == "E_STATE_BEHIND_SINK"
    reset(there)
    assert code_of(there.run()) == "E_STATE_BEHIND_SINK"
    empty_table(there)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


@pytest.mark.parametrize("is_reset", [True, False])
def test_an_append_without_its_state_is_refused(tmp_path: Path, *, is_reset: bool) -> None:
    there = Installation(tmp_path, unit=UNIT, policy=APPEND)
    there.run()
    if is_reset:
        reset(there)
    else:
        for part in tmp_path.glob("state.db*"):
            part.unlink()
    for _ in range(2):
        assert code_of(there.run()) == "E_STATE_BEHIND_SINK"
    assert there.ids() == there.expected_ids()


def test_an_upsert_without_its_state_merges(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit=UNIT)
    there.run()
    for part in tmp_path.glob("state.db*"):
        part.unlink()
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_table_that_was_restored_from_an_earlier_copy_is_noticed_before_anything_is_read(
    tmp_path: Path, write: str
) -> None:
    there = Installation(tmp_path, unit=UNIT, policy={"cursor": "at", "write": write})
    there.run()
    copy_of(there, "lake")
    there.source = {"now": 2000, "changed": {"7": 1500}}
    assert there.run().rows.committed == 1
    restore(there, "lake")
    refused = there.run()
    assert code_of(refused) == "E_SINK_BEHIND_STATE"
    assert refused.error is not None
    assert "has commit 3 " in refused.error.message
    assert "only commit 2:" in refused.error.message
    reset(there)
    if write == "append":
        assert code_of(there.run()) == "E_STATE_BEHIND_SINK"
        empty_table(there)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert Counter(there.lake()["at"].to_pylist())[1500] == 1


def test_a_table_that_was_deleted_is_noticed_and_loaded_again_after_a_reset(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit=UNIT)
    there.run()
    shutil.rmtree(tmp_path / "lake" / "e" / UNIT)
    assert code_of(there.run()) == "E_SINK_BEHIND_STATE"
    assert not (tmp_path / "lake" / "e" / UNIT).exists()
    reset(there)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_a_commit_goes_on_without_a_quarantine_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discarded between the promotion and the end of the fold by which a crash is survived."""
    there = Installation(tmp_path, unit=UNIT, source={"bad": [3]})

    def killed(step: str) -> None:
        if step == "state:after-promote":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.state.writer.reached", killed)
        with pytest.raises(KeyboardInterrupt):
            there.run()
    assert read_states(open_state(there.settings), unit_key_of(there.order())).has_intent
    for path in Path(there.settings.quarantine_uri).rglob("*.jsonl"):
        path.unlink()
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert there.ids() == there.expected_ids() - Counter([3])
    assert list_quarantine(there.settings.quarantine_uri) == []
