"""Commits of the Iceberg sink: races, take-overs, lost answers, and numbers that outlive snapshots."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from ingest_ray.sdk.contracts import ProgressReader, SinkProgress
from ingest_ray.sdk.errors import CommitUnknown, Fenced, SinkUnavailable, StagingLost
from ingest_ray.sdk.types import Prepared, WriteMode
from ingest_ray.testing.suites.sink import SCHEMA, Load, rows
from ingest_ray.testing.suites.sink_harness import insist
from tests.sinks.iceberg.world import IcebergWorld


@pytest.fixture
def world(tmp_path: Path) -> IcebergWorld:
    return IcebergWorld(tmp_path / "lake")


def race(world: IcebergWorld, rounds: int) -> None:
    """In every round two writers of one epoch prepare one row each and commit it under the same number."""
    load = Load(world, WriteMode.APPEND)
    sinks = [world.open(), world.open()]
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, rounds + 1):
            groups = [[load.prepare(rows((2 * number + n, 1, "x")))] for n in (0, 1)]
            together = threading.Barrier(2)

            def commit(
                index: int,
                groups: Sequence[Sequence[Prepared]] = groups,
                together: threading.Barrier = together,
                number: int = number,
            ) -> None:
                together.wait()
                insist(lambda: sinks[index].commit(load.target, SCHEMA, 1, number, groups[index]))

            list(pool.map(commit, (0, 1)))
    assert sorted(row[0] // 2 for row in load.found() if row[0] is not None) == list(range(1, rounds + 1))


def test_of_two_writers_of_one_number_exactly_one_commits(world: IcebergWorld) -> None:
    race(world, 5)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_of_two_writers_of_one_number_exactly_one_commits_a_thousand_times(world: IcebergWorld) -> None:
    race(world, 1_000)


@pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.UPSERT])
def test_a_commit_is_made_only_from_the_snapshot_that_was_compared(
    world: IcebergWorld, monkeypatch: pytest.MonkeyPatch, write: WriteMode
) -> None:
    """The library's own retries would take a snapshot in which neither the epoch nor the keys were compared."""
    load = Load(world, write)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((1, 2, "b")))
    real = SqlCatalog.commit_table

    def overtaken(self: SqlCatalog, *args: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(SqlCatalog, "commit_table", real)
            table = world.table(load.target)
            table.append(table.scan().to_arrow())
        return real(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(SqlCatalog, "commit_table", overtaken)
        with pytest.raises(SinkUnavailable, match="at the same time"):
            load.commit(prepared)
    assert [row[1] for row in load.found()] == [1, 1]
    load.sequence -= 1
    load.commit(prepared)
    assert (1, 2, "b") in load.found()


def test_an_older_epoch_that_compared_before_a_take_over_cannot_commit(
    world: IcebergWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((2, 1, "zombie")))
    real = SqlCatalog.commit_table

    def overtaken(self: SqlCatalog, *args: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(SqlCatalog, "commit_table", real)
            world.open().open(load.target, SCHEMA, 2)
        return real(self, *args)

    monkeypatch.setattr(SqlCatalog, "commit_table", overtaken)
    with pytest.raises(Fenced):
        load.commit(prepared)
    assert load.found() == [(1, 1, "a")]


@pytest.mark.parametrize("happens", [True, False])
def test_a_commit_whose_answer_is_lost_happens_once(
    world: IcebergWorld, monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"))
    group = [load.prepare(rows((1, 2, "b"))), load.prepare(rows((3, 1, "c")))]
    real = SqlCatalog.commit_table

    def lossy(self: SqlCatalog, *args: Any) -> Any:
        if happens:
            real(self, *args)
        raise OSError("connection reset")

    with monkeypatch.context() as patched:
        patched.setattr(SqlCatalog, "commit_table", lossy)
        if happens:
            assert load.commit(*group).rows_committed == 2
        else:
            with pytest.raises(SinkUnavailable, match="connection reset"):
                load.commit(*group)
            load.sequence -= 1
    if not happens:
        load.commit(*group)
    assert load.found() == [(1, 2, "b"), (3, 1, "c")]


def test_a_prepared_file_that_is_gone_is_not_named(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((2, 1, "b")))
    load.sink.abort([prepared])
    with pytest.raises(StagingLost, match="is gone"):
        load.commit(prepared)
    assert load.found() == [(1, 1, "a")]


def test_a_commit_whose_end_cannot_be_asked_for_is_unknown(
    world: IcebergWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))

    def torn(*args: object) -> None:
        monkeypatch.setattr(SqlCatalog, "load_table", torn)
        raise OSError("connection reset")

    monkeypatch.setattr(SqlCatalog, "commit_table", torn)
    with pytest.raises(CommitUnknown, match="commit 1 of"):
        load.commit(prepared)


def test_the_number_survives_the_expiry_of_snapshots(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.APPEND, epoch=7)
    for number in range(3):
        load.put((number, 1, "a"))
    table = world.table(load.target)
    table.append(table.scan().to_arrow())  # of another program: the newest snapshot is not the unit's
    table.maintenance.expire_snapshots().older_than(datetime.now() + timedelta(hours=1)).commit()
    assert len(world.table(load.target).snapshots()) == 1
    sink = world.open()
    assert isinstance(sink, ProgressReader)
    assert sink.read_progress(load.target) == SinkProgress(7, 3)
    assert sink.open(load.target, SCHEMA, 7) == 3
    with pytest.raises(Fenced):
        sink.open(load.target, SCHEMA, 6)


def test_number_and_epoch_are_in_every_snapshot(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.APPEND, epoch=4)
    load.put((1, 1, "a"))
    snapshot = world.table(load.target).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    summary = snapshot.summary.additional_properties
    assert (summary[f"ingest.sequence.{load.target.app_id}"], summary["ingest.epoch"]) == ("1", "4")
    assert summary["ingest.run-id"] == "run-1"


def test_a_table_that_was_rolled_back_is_noticed(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    snapshots = []
    for number in range(3):
        load.put((number, 1, "a"))
        snapshots.append(world.table(load.target).metadata.current_snapshot_id)
    world.table(load.target).manage_snapshots().rollback_to_snapshot(snapshots[0]).commit()
    sink = load.sink
    assert isinstance(sink, ProgressReader)
    assert sink.read_progress(load.target) == SinkProgress(1, 3, restored_to=1)
