"""Files that readers write into the lake and commits adopt: what runs do with them, and what is left of them when something fails."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sdk.errors import RowsRejected, SinkUnavailable
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.sinks.delta.sink import DeltaSink
from tests.run.installation import Installation
from tests.run.test_killed import killed_at

FULL: dict[str, Any] = {"mode": RunMode.FULL, "policy": {}}


def table_folder(there: Installation) -> Path:
    return there.folder / "lake" / "e" / there.unit


def files(there: Installation) -> set[str]:
    return {path.name for path in table_folder(there).glob("*.parquet")}


def files_in_table(there: Installation) -> set[str]:
    return {path.rsplit("/", 1)[-1] for path in DeltaTable(str(table_folder(there))).file_uris()}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sink's methods through which rows came."""
    noted: list[str] = []
    for name in ("prepare", "stage_files"):
        monkeypatch.setattr(DeltaSink, name, _noting(name, getattr(DeltaSink, name), noted))
    return noted


def _noting(name: str, method: Callable[..., Any], noted: list[str]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        noted.append(name)
        return method(*arguments)

    return call


@pytest.mark.parametrize("threads", [None, 3])
@pytest.mark.parametrize("write", ["upsert", "append", "replace"])
def test_a_load_writes_no_page_and_the_table_has_the_readers_files(
    tmp_path: Path, write: str, threads: int | None, calls: list[str]
) -> None:
    how = FULL if write == "replace" else {"policy": {"cursor": "at", "write": write}}
    there = Installation(tmp_path, unit="numbers-2x1000", threads=threads, **how)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert (summary.rows.read, summary.rows.staged, summary.rows.committed) == (2000, 2000, 2000)
    assert there.ids() == there.expected_ids()
    assert set(calls) == {"stage_files"}
    assert files(there) == files_in_table(there)
    assert all(name.startswith("staged-run-1-") for name in files(there))
    assert not (tmp_path / "staging").exists()


def test_changed_rows_of_an_upsert_are_staged_in_pages_and_merged(tmp_path: Path, calls: list[str]) -> None:
    there = Installation(tmp_path)
    there.run()
    calls.clear()
    there.source = {"now": 5_000, "changed": {"3": 4_000}}
    assert there.run().rows.committed == 1
    assert calls == ["prepare"]
    assert there.ids() == there.expected_ids()


def test_pages_are_written_where_the_settings_name_them(tmp_path: Path, calls: list[str]) -> None:
    there = Installation(tmp_path, staging="files")
    assert there.run().state is RunState.SUCCEEDED
    assert set(calls) == {"prepare"}


def test_a_source_that_breaks_off_or_cuts_slices_leaves_no_file_beside_the_table(tmp_path: Path) -> None:
    faults = {"0:0": ["unavailable", "too-large"], "0:250": ["stop:300"], "0:500": ["unavailable"] * 3}
    there = Installation(tmp_path, source={"faults": faults}, threads=3)
    summary = there.run()
    assert (summary.state, summary.retries) == (RunState.SUCCEEDED, 4)
    assert there.ids() == there.expected_ids()
    assert files(there) == files_in_table(there)


def test_rows_that_do_not_fit_are_in_quarantine_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(self: DeltaSink, schema: pa.Schema, batch: pa.RecordBatch, **_: Any) -> Mapping[int, Misfit]:
        ids = batch.column("id").to_pylist()
        return {row: Misfit("id", "is a multiple of 400") for row, key in enumerate(ids) if key % 400 == 0}

    monkeypatch.setattr(DeltaSink, "find_misfits", find)
    there = Installation(tmp_path, source={"bad": [7]})
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert (summary.rows.read, summary.rows.committed, summary.rows.quarantined) == (2000, 1994, 6)
    assert there.ids().keys() == there.expected_ids().keys() - {0, 7, 400, 800, 1200, 1600}
    entries = list_quarantine(there.settings.quarantine_uri, "e", there.unit)
    rejected = [row.raw["id"] for entry in entries for row in read_rejected_rows(entry.uri)]
    assert sorted(map(int, rejected)) == [0, 7, 400, 800, 1200, 1600]


def test_a_slice_with_rows_that_the_sink_refuses_is_staged_in_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    stage_files, refusals = DeltaSink.stage_files, iter([True])

    def refuse_one(*arguments: Any) -> Any:
        found = stage_files(*arguments)
        if next(refusals, False):
            arguments[0].abort([found])
            raise RowsRejected("a value does not fit")
        return found

    monkeypatch.setattr(DeltaSink, "stage_files", refuse_one)
    there = Installation(tmp_path)
    assert there.run().state is RunState.SUCCEEDED
    assert (calls.count("prepare"), calls.count("stage_files")) == (1, 8)
    assert there.ids() == there.expected_ids()
    assert files(there) == files_in_table(there)


def test_a_sink_that_stays_away_while_files_are_written_fails_the_run_and_no_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise SinkUnavailable("the disk is full")

    there = Installation(tmp_path, policy={"cursor": "at", "max_attempts": 2})
    with monkeypatch.context() as patch:
        patch.setattr(DeltaSink, "stage_files", away)
        summary = there.run()
    assert summary.error is not None
    assert (summary.state, summary.error.code, summary.error.message) == (
        RunState.FAILED,
        "E_SINK_WRITE_FAILED",
        "the disk is full",
    )
    assert summary.slices.failed == 0
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_an_error_of_the_source_is_not_called_one_of_the_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Installation(tmp_path, source={"faults": {"0:0": ["denied"]}})
    summary = there.run()
    assert summary.error is not None
    assert summary.error.code == "E_SOURCE_DENIED"


@pytest.mark.parametrize("threads", [None, 3])
def test_a_stopped_replacement_leaves_the_old_table_and_none_of_its_files(tmp_path: Path, threads: int | None) -> None:
    there = Installation(tmp_path, unit="numbers-2x3000", source={"now": 1}, threads=threads, **FULL)
    there.run()
    before = files(there)
    there.source = {"changed": {str(key): 5 for key in range(6000)}}
    assert there.run_until(lambda progress: progress.rows.staged >= 500).state is RunState.PAUSED
    assert set(there.lake()["at"].to_pylist()) == {0}
    assert files(there) == before


def test_a_slice_whose_file_is_gone_before_its_commit_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, losses = DeltaSink.commit, iter([True])

    def commit_after_a_loss(sink: DeltaSink, target: Any, schema: Any, epoch: int, sequence: int, group: Any) -> Any:
        if next(losses, False):
            sink.table_files(target).delete(group[0].payload["files"][0]["name"])
        return commit(sink, target, schema, epoch, sequence, group)

    monkeypatch.setattr(DeltaSink, "commit", commit_after_a_loss)
    there = Installation(tmp_path)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert summary.retries == 1
    assert there.ids() == there.expected_ids()


@pytest.mark.slow
def test_files_that_older_versions_have_are_not_swept_with_those_of_a_killed_run(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"now": 1}, **FULL)
    there.run()
    before = files_in_table(there)
    there.source = {"changed": {str(key): 5 for key in range(2000)}}
    killed_at(there, "sink:after-commit")
    assert there.run().state is RunState.SUCCEEDED
    older = DeltaTable(str(table_folder(there)), version=2)
    assert {path.rsplit("/", 1)[-1] for path in older.file_uris()} <= files(there)
    assert before <= files(there)
    assert there.ids() == there.expected_ids()


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", ["read:after-batch@3", "sink:after-prepare@3", "read:after-stage@3", "sink:before-commit@2"]
)
def test_what_a_killed_run_staged_is_never_shown(tmp_path: Path, step: str) -> None:
    there = Installation(tmp_path, policy={"cursor": "at", "write": "append"})
    killed_at(there, step)
    if "after-batch" not in step:
        assert files(there) - files_in_table(there)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert files(there) == files_in_table(there)  # the dead run's files are swept
