"""Compaction and vacuum: fewer files, the same rows, the same ledger."""

import os
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from ingest_ray.sdk.errors import ConfigError, Fenced, SinkRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.maintenance import TableMaintenance
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.testing.suites.sink import SCHEMA, Load, rows
from tests.sinks.test_delta import DeltaWorld


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(DeltaWorld(tmp_path / "lake"), WriteMode.UPSERT, epoch=5)


def maintenance(load: Load) -> TableMaintenance:
    assert isinstance(load.sink, TableMaintenance)
    return load.sink


def age(folder: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    for path in folder.glob("*.parquet"):
        os.utime(path, (then, then))


def test_compacting_keeps_rows_ledger_and_fence(load: Load) -> None:
    for n in range(6):
        load.put((n, 1, "a"), first=True)
    before = load.found()
    report = maintenance(load).compact(load.target)
    assert (report.files_removed, report.files_added) == (6, 1)
    assert report.bytes_removed > report.bytes_added > 0
    assert load.found() == before
    assert load.sink.open(load.target, SCHEMA, 5) == 6
    with pytest.raises(Fenced):
        load.sink.open(load.target, SCHEMA, 4)
    load.put((0, 2, "b"))
    assert (0, 2, "b") in load.found()


def test_a_commit_goes_through_after_a_compaction_came_first(load: Load) -> None:
    load.put((1, 1, "a"), first=True)
    load.put((2, 1, "a"), first=True)
    prepared = load.prepare(rows((1, 2, "b")))
    maintenance(load).compact(load.target)
    load.commit(prepared)
    assert load.found() == [(1, 2, "b"), (2, 1, "a")]


def test_vacuum_takes_old_and_orphaned_files_and_leaves_young_ones(load: Load) -> None:
    load.put((1, 1, "a"), first=True)
    load.put((1, 2, "b"))
    orphan = load.prepare(rows((9, 9, "dead run")))
    folder = Path(load.sink.location(load.target))
    age(folder, hours=200)
    young = load.prepare(rows((3, 1, "c")))
    rehearsal = maintenance(load).vacuum(load.target, rehearse=True)
    assert rehearsal.is_rehearsal
    count = len(list(folder.glob("*.parquet")))
    report = maintenance(load).vacuum(load.target)
    assert report.files_removed == rehearsal.files_removed == count - len(list(folder.glob("*.parquet")))
    names = {path.name for path in folder.glob("*.parquet")}
    gone = str(orphan.payload["files"][0]["name"])  # type: ignore[index,call-overload]
    assert gone not in names
    load.commit(young)
    assert load.found() == [(1, 2, "b"), (3, 1, "c")]


def test_vacuum_refuses_a_time_that_could_hurt_a_run(load: Load) -> None:
    with pytest.raises(ConfigError, match="24 hours"):
        maintenance(load).vacuum(load.target, keep_h=1)


def test_a_table_that_is_not_there_is_named(tmp_path: Path, load: Load) -> None:
    sink = DeltaSink(DeltaConfig(uri=str(tmp_path / "nowhere")))
    with pytest.raises(SinkRejected, match="nowhere"):
        sink.compact(load.target)
    assert DeltaTable.is_deltatable(load.sink.location(load.target))
