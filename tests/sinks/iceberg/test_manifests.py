"""Manifests of the Iceberg sink: few, short, decoded once, and true of every snapshot."""

import random
from pathlib import Path

import pytest
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table

from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.iceberg import manifests, snapshots
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.testing.suites.sink import Load, rows
from tests.sinks.iceberg.world import IcebergWorld


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IcebergWorld:
    monkeypatch.setattr(snapshots, "MANIFEST_FILES", 8)
    monkeypatch.setattr(snapshots, "SMALL_MANIFESTS", 4)
    return IcebergWorld(tmp_path / "lake")


def manifests_of(table: Table) -> list[ManifestFile]:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return snapshot.manifests(table.io)


def files_in(manifest: ManifestFile) -> int:
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def load_files(world: IcebergWorld, count: int) -> Load:
    load = Load(world, WriteMode.UPSERT)
    load.commit(*(load.prepare(rows((number, 1, "a")), first=True) for number in range(count)))
    return load


def test_an_upsert_writes_only_the_manifests_of_the_files_that_it_touches(world: IcebergWorld) -> None:
    load = load_files(world, 40)
    before = manifests_of(world.table(load.target))
    assert sorted(map(files_in, before)) == [8] * 5
    load.put((17, 2, "b"))
    after = manifests_of(world.table(load.target))
    assert len(set(before) & set(after)) == 4
    assert max(map(files_in, after)) <= 8
    assert sorted(load.found()) == [(n, 2, "b") if n == 17 else (n, 1, "a") for n in range(40)]


def test_small_manifests_of_many_commits_are_merged(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    counts = []
    for number in range(20):
        load.put((number, 1, "a"))
        counts.append(len(manifests_of(world.table(load.target))))
    assert max(counts) <= 4 + 20 // 4
    assert len(world.files(load)) == 20


def test_a_manifest_is_decoded_once_in_a_process(world: IcebergWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_files(world, 40)
    decoded: list[str] = []
    real = ManifestFile.fetch_manifest_entry

    def counted(self: ManifestFile, *args: object, **options: object) -> object:
        decoded.append(self.manifest_path)
        return real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", counted)
    manifests.forget_all()
    load.put((1, 2, "b"))
    assert len(decoded) == 5
    load.put((30, 2, "b"))
    assert len(decoded) == len(set(decoded)) <= 5 + 2


def test_what_is_remembered_of_manifests_is_bounded(world: IcebergWorld) -> None:
    load = load_files(world, 40)
    table = world.table(load.target)
    cache = manifests.ManifestCache(values=700)
    found = [cache.live_entries(table.io, manifest) for manifest in manifests_of(table)]
    assert sum(map(len, found)) == 40
    assert len(cache._found) < 5
    assert cache._held <= 700


@pytest.mark.parametrize("seed", range(2))
def test_every_snapshot_has_its_rows_and_true_totals(world: IcebergWorld, seed: int) -> None:
    """Read by pyiceberg from the metadata: time travel, and the totals that engines plan with."""
    chance = random.Random(seed)
    load = Load(world, WriteMode.UPSERT)
    sink = load.sink
    assert isinstance(sink, IcebergSink)
    model: dict[int, int] = {}
    expected: dict[int, dict[int, int]] = {}
    for step in range(1, 16):
        chosen = chance.sample(range(40), chance.randint(1, 6))
        what = chance.choice(["put", "put", "put", "erase", "compact"])
        if what == "put":
            load.commit(*(load.prepare(rows((number, step, "a"))) for number in chosen))
            model |= dict.fromkeys(chosen, step)
        elif what == "erase":
            load.erase([(number,) for number in chosen], "delete")
            model = {number: version for number, version in model.items() if number not in chosen}
        else:
            sink.compact(load.target)
        snapshot = world.table(load.target).current_snapshot()
        assert snapshot is not None
        expected[snapshot.snapshot_id] = dict(model)
    table = world.table(load.target)
    for number, rows_of_it in expected.items():
        scan = table.scan(snapshot_id=number)
        found = scan.to_arrow()
        assert dict(zip(found.column("id").to_pylist(), found.column("version").to_pylist(), strict=True)) == rows_of_it
        assert found.num_rows == len(rows_of_it)
        snapshot = table.snapshot_by_id(number)
        assert snapshot is not None
        assert snapshot.summary is not None
        totals = snapshot.summary.additional_properties
        assert totals["total-records"] == str(len(rows_of_it))
        assert totals["total-data-files"] == str(len(list(scan.plan_files())))
