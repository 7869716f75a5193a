"""Files that readers write into an Iceberg table: runs, kills, and what is left beside the table."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.sinks.iceberg.prepared.sweep import _snapshots_since, sweep_staged
from tests.run.installation import Installation
from tests.run.test_killed import killed_at

pytestmark = pytest.mark.slow

FULL: dict[str, Any] = {"mode": RunMode.FULL, "policy": {}}
LAYOUT = {"partition_by": ["bucket(3, id)", "endpoint"], "cluster_by": ["at"]}


def installation(folder: Path, **how: Any) -> Installation:
    return Installation(folder, sink="lake.iceberg", **how)


def files(there: Installation) -> set[str]:
    return {path.name for path in there.folder.glob("lake/e/*/data/*")}


def files_in_table(there: Installation) -> set[str]:
    return {task.file.file_path.rsplit("/", 1)[-1] for task in there.iceberg().scan().plan_files()}


@pytest.mark.parametrize(("write", "layout"), [("upsert", LAYOUT), ("append", None), ("replace", LAYOUT)])
def test_a_load_writes_no_page_and_the_table_has_the_readers_files(
    tmp_path: Path, write: str, layout: dict[str, Any] | None
) -> None:
    how: dict[str, Any] = FULL if write == "replace" else {"policy": {"cursor": "at", "write": write}}
    policy = how["policy"] | ({} if layout is None else {"layout": layout})
    there = installation(tmp_path, unit="numbers-2x1000", threads=3, **{**how, "policy": policy})
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert (summary.rows.read, summary.rows.staged, summary.rows.committed) == (2000, 2000, 2000)
    assert there.ids() == there.expected_ids()
    assert files(there) == files_in_table(there)
    assert all(name.startswith("staged-run-1-") for name in files(there))
    assert not (tmp_path / "staging").exists()
    of_files = [task.file for task in there.iceberg().scan().plan_files()]
    assert sum(file.record_count for file in of_files) == 2000
    key = there.iceberg().schema().find_field("id").field_id
    assert all(key in file.lower_bounds and key in file.upper_bounds for file in of_files)
    partitions = {tuple(file.partition) for file in of_files}
    assert partitions == ({()} if layout is None else {(bucket, "e") for bucket in range(3)})


def test_changed_rows_of_an_upsert_are_staged_in_pages_and_merged(tmp_path: Path) -> None:
    there = installation(tmp_path)
    there.run()
    there.source = {"now": 5_000, "changed": {"3": 4_000}}
    assert there.run().rows.committed == 1
    assert there.ids() == there.expected_ids()
    assert dict(zip(*there.lake().select(["id", "at"]).to_pydict().values(), strict=True))[3] == 4_000


@pytest.mark.parametrize(
    "step",
    ["sink:after-prepare@3", pytest.param("sink:before-commit@2", marks=pytest.mark.faults), "sink:before-catalog@3"],
)
def test_what_a_killed_run_staged_is_never_shown(tmp_path: Path, step: str) -> None:
    there = installation(tmp_path, policy={"cursor": "at", "write": "append", "layout": LAYOUT})
    killed_at(there, step)
    assert files(there) - files_in_table(there)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert files(there) == files_in_table(there)  # the dead run's files are swept


def test_files_that_older_snapshots_have_are_not_swept_with_those_of_a_killed_run(tmp_path: Path) -> None:
    there = installation(tmp_path, source={"now": 1}, **FULL)
    there.run()
    before = files_in_table(there)
    there.source = {"changed": {str(key): 5 for key in range(2000)}}
    killed_at(there, "sink:after-commit")
    killed = files_in_table(there)
    there.source = {"changed": {str(key): 7 for key in range(2000)}}
    assert there.run().state is RunState.SUCCEEDED
    assert set(there.lake()["at"].to_pylist()) == {7}
    assert before | killed <= files(there)
    snapshots = [one.snapshot_id for one in there.iceberg().snapshots()]
    rows = [there.iceberg().scan(snapshot_id=one).to_arrow()["at"].to_pylist() for one in snapshots]
    assert {tuple(sorted(set(found))) for found in rows} == {(0,), (5,), (7,)}


def test_what_a_run_committed_before_a_compaction_is_not_swept(tmp_path: Path) -> None:
    """Between two snapshots of a run lies one that has rewritten the files of the first: an older reader still needs them."""
    there = installation(tmp_path, policy={"cursor": "at", "write": "append"})
    there.run()
    table = there.iceberg()
    name = next(iter(files_in_table(there)))
    snapshots = list(table.metadata.snapshots)
    first, last = snapshots[-1], snapshots[-1].model_copy(update={"sequence_number": 99})
    between = first.model_copy(update={"sequence_number": 98, "summary": None})
    table.metadata = table.metadata.model_copy(update={"snapshots": [*snapshots, between, last]})
    assert [one.sequence_number for one in _snapshots_since(table, "run-1")][:3] == [99, 98, first.sequence_number]
    assert sweep_staged(table, "run-1") == 0
    assert name in files(there)


def test_a_stopped_replacement_leaves_the_old_table_and_none_of_its_files(tmp_path: Path) -> None:
    there = installation(tmp_path, unit="numbers-2x3000", source={"now": 1}, threads=3, **FULL)
    there.run()
    before = files(there)
    there.source = {"changed": {str(key): 5 for key in range(6000)}}
    assert there.run_until(lambda progress: progress.rows.staged >= 500).state is RunState.PAUSED
    assert set(there.lake()["at"].to_pylist()) == {0}
    assert files(there) == before
