"""Compaction and vacuum of Iceberg tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.testing.suites.sink import Load, rows
from tests.sinks.iceberg.world import IcebergWorld


@pytest.fixture
def world(tmp_path: Path) -> IcebergWorld:
    return IcebergWorld(tmp_path / "lake")


def test_compaction_keeps_rows_and_numbers(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    for number in range(5):
        load.put((number, 1, "a"))
    sink = load.sink
    assert isinstance(sink, IcebergSink)
    report = sink.compact(load.target)
    assert (report.files_added, report.files_removed) == (1, 5)
    assert len(world.files(load)) == 1
    assert sink.read_progress(load.target) == SinkProgress(1, 5)
    load.put((2, 2, "b"))
    assert load.found() == [(0, 1, "a"), (1, 1, "a"), (2, 2, "b"), (3, 1, "a"), (4, 1, "a")]


def test_vacuum_expires_old_snapshots_and_leaves_young_files(
    world: IcebergWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(world, WriteMode.UPSERT)
    for number in range(4):
        load.put((1, number, "a"))
    waiting = load.prepare(rows((2, 1, "later")))
    sink = load.sink
    assert isinstance(sink, IcebergSink)
    with pytest.raises(ConfigError, match="24 hours"):
        sink.vacuum(load.target, keep_h=1)
    assert sink.vacuum(load.target, keep_h=24).files_removed == 0
    parts = set((world.root / "shop" / "public_orders" / "data").iterdir())
    monkeypatch.setattr("ingest_ray.sinks.iceberg.maintenance.now", lambda: datetime.now(UTC) + timedelta(hours=30))
    rehearsed = sink.vacuum(load.target, keep_h=24, rehearse=True)
    assert rehearsed.files_removed > 0
    assert set((world.root / "shop" / "public_orders" / "data").iterdir()) == parts
    assert sink.vacuum(load.target, keep_h=24).files_removed == rehearsed.files_removed
    assert [path.name for path in (world.root / "shop" / "public_orders" / "data").iterdir()] == [
        path.rsplit("/", 1)[-1] for path in world.files(load)
    ]
    assert len(world.table(load.target).snapshots()) == 1
    assert (load.found(), sink.read_progress(load.target)) == ([(1, 3, "a")], SinkProgress(1, 4))
    assert waiting.rows == 1
