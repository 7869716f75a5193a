"""The sink of plain Parquet files: the behaviour suite, its manifests and pointer, races, and what engines read."""

import datetime as dt
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import ConfigError, Fenced, ModeUnsupported, StagingLost, TargetChanged
from ingest_ray.sdk.types import Layout, Prepared, Target, WriteMode
from ingest_ray.sinks.parquet_tables import versions
from ingest_ray.sinks.parquet_tables.manifest import Manifest
from ingest_ray.sinks.parquet_tables.sink import ParquetSink
from ingest_ray.sinks.parquet_template import ParquetConfig
from ingest_ray.testing.suites.sink import SCHEMA, Load, SinkSuite, rows
from tests.sinks.layout.laid_out import LaidOutSink

MODES = (WriteMode.APPEND, WriteMode.REPLACE)


class ParquetWorld:
    modes = MODES

    def __init__(self, root: Path, layout: Layout | None = None) -> None:
        self.root = root
        self.layout = layout

    def open(self) -> Sink:
        sink: Any = ParquetSink(ParquetConfig(uri=str(self.root)))
        return sink if self.layout is None else LaidOutSink(sink, self.layout)  # type: ignore[no-any-return,return-value]

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        """As a reader of the pointer does, in the columns of its manifest."""
        folder = Path(self.open().location(target))
        if not (folder / "current.json").exists():
            return []
        current = json.loads((folder / "current.json").read_bytes())
        manifest = Manifest.model_validate_json((folder / current["manifest"]).read_bytes())
        assert current["files"] == [file.path for file in manifest.files]
        assert current["rows"] == manifest.rows
        files = [str(folder / name) for name in current["files"]]
        return list(ds.dataset(files, schema=manifest.schema, format="parquet").to_table().to_pylist())


class TestParquet(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: ParquetWorld(tmp_path / "the lake"))


@pytest.mark.faults
class TestLaidOutParquet(SinkSuite):
    layout = Layout(partition_by=("bucket(3, id)", "endpoint"), cluster_by=("id",))
    world = pytest.fixture(lambda self, tmp_path: ParquetWorld(tmp_path / "lake", self.layout))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return Load(ParquetWorld(tmp_path / "lake"), WriteMode.APPEND)


def folder_of(load: Load) -> Path:
    return Path(load.sink.location(load.target))


def upkeep(load: Load) -> Any:
    return load.sink


def test_an_upsert_is_refused_with_what_to_do_instead(load: Load) -> None:
    target = load.target.model_copy(update={"write": WriteMode.UPSERT, "unit_id": "public.other"})
    with pytest.raises(ModeUnsupported, match="only appended or replaced") as caught:
        load.sink.open(target, SCHEMA, 1)
    assert "append or replace; or choose lake.delta or lake.iceberg" in str(caught.value.hint)
    assert not Path(load.sink.location(target)).exists()


def test_duckdb_and_pyarrow_read_the_files_that_the_pointer_lists(load: Load) -> None:
    load.put((1, 1, "a"), (2, 1, None))
    load.prepare(rows((9, 9, "not committed")))
    folder = folder_of(load)
    connection = duckdb.connect()
    connection.execute(
        f"set variable files = (select list('{folder}/' || name) from (select unnest(files) as name from '{folder}/current.json'))"
    )
    query = "select id, text from read_parquet(getvariable('files'), union_by_name = true) order by id"
    assert connection.execute(query).fetchall() == [(1, "a"), (2, None)]
    current = json.loads((folder / "current.json").read_text())
    table = ds.dataset([str(folder / name) for name in current["files"]]).to_table()
    assert sorted(table.column("id").to_pylist()) == [1, 2]


def test_a_table_without_rows_is_read_by_its_columns(tmp_path: Path) -> None:
    load = Load(ParquetWorld(tmp_path / "lake"), WriteMode.REPLACE)
    folder = folder_of(load)
    for _ in range(2):
        current = json.loads((folder / "current.json").read_text())
        found = duckdb.sql(f"select * from read_parquet({[str(folder / name) for name in current['files']]})")
        assert (found.columns[:3], found.fetchall()) == (["id", "version", "text"], [])
        load.put((1, 1, "a"))
        load.commit()


def test_partitions_are_folders_and_columns_of_the_files(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("text", pa.string())])
    layout = Layout(partition_by=("month(at)", "text"))
    load = Load(ParquetWorld(tmp_path / "lake", layout), WriteMode.APPEND, schema=schema, key=(), version=None)
    texts = ["a", None, "a/b=c d%é", ""]
    moments = [dt.datetime(2026, 11, 3, tzinfo=dt.UTC), None]
    found = [{"id": n, "at": moments[n % 2], "text": texts[n % 4]} for n in range(8)]
    load.commit(load.prepare(pa.RecordBatch.from_pylist(found, schema=schema)))
    read = load.world.read_all(load.target)
    assert sorted((row["id"], row["at_month"], row["text"]) for row in read) == [
        (row["id"], "2026-11" if row["at"] else None, row["text"]) for row in found
    ]
    folder = folder_of(load)
    assert (folder / "data" / "at_month=2026-11" / "text=a").is_dir()
    files = json.loads((folder / "current.json").read_text())["files"]
    paths = [str(folder / name) for name in files]
    query = f"select id, at_month, text from read_parquet({paths}, hive_partitioning = false) where at_month = '2026-11' order by id"
    assert duckdb.sql(query).fetchall() == [(n, "2026-11", texts[n % 4]) for n in (0, 2, 4, 6)]


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_process_that_dies_around_its_manifest_leaves_whole_commits(
    load: Load, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((2, 1, "b")))

    def die(name: str) -> None:
        if name == ("parquet:before-manifest" if step == "before" else "parquet:before-pointer"):
            raise KeyboardInterrupt

    monkeypatch.setattr(versions, "reached", die)
    with pytest.raises(KeyboardInterrupt):
        load.commit(prepared)
    monkeypatch.undo()
    assert load.found() == [(1, 1, "a")]
    assert load.world.open().open(load.target, SCHEMA, 2) == (1 if step == "before" else 2)
    assert len(load.found()) == (1 if step == "before" else 2)
    receipt = load.world.open().commit(load.target, SCHEMA, 2, 2, [prepared])
    assert receipt.rows_committed == 1
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


def test_the_pointer_never_moves_back(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stops after its manifest, while others go on, and then moves the pointer."""
    load.put((1, 1, "a"))
    late = load.prepare(rows((2, 1, "b")))
    is_first = True

    def wait(name: str) -> None:
        nonlocal is_first
        if name == "parquet:before-pointer" and is_first:
            is_first = False
            other = load.world.open()
            other.open(load.target, SCHEMA, 2)
            other.commit(load.target, SCHEMA, 2, 3, [load.prepare(rows((3, 1, "c")))])

    monkeypatch.setattr(versions, "reached", wait)
    load.commit(late)
    assert load.found() == [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]


def test_two_writers_of_one_number_make_one_commit(tmp_path: Path) -> None:
    world = ParquetWorld(tmp_path / "lake")
    load = Load(world, WriteMode.APPEND)
    for number in range(1, 16):
        groups = [[load.prepare(rows((n, number, "x")))] for n in (1, 2, 3)]
        together = threading.Barrier(3)

        def commit(group: list[Prepared], together: threading.Barrier = together, number: int = number) -> None:
            sink = world.open()
            together.wait()
            sink.commit(load.target, SCHEMA, 1, number, group)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(commit, groups))
        load.sequence = number
        assert len(load.found()) == number


def test_a_list_of_files_that_is_too_long_for_a_handle_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_ray.sinks.parquet_tables.sink.PAYLOAD_BYTES", 2_000)
    world = ParquetWorld(tmp_path / "lake", Layout(partition_by=("id",)))
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows(*((n, 1, "a") for n in range(40))))
    assert len(prepared.model_dump_json()) < 2_000
    load.commit(prepared)
    assert len(load.found()) == 40
    dropped = load.prepare(rows(*((n, 1, "a") for n in range(40))))
    load.sink.abort([dropped])
    assert len(list(folder_of(load).rglob("part-*.parquet"))) == 40
    upkeep(load).compact(load.target)
    assert len(load.found()) == 40


def test_rows_are_erased_and_marked_by_key(load: Load) -> None:
    load.put((1, 1, "a"), (2, 1, "b"), (None, 1, "c"))
    load.put((3, 1, "d"))
    before = set(json.loads((folder_of(load) / "current.json").read_text())["files"])
    assert load.erase([(1,), (None,), (7,)], "delete") == 2
    assert load.erase([(2,)], "tombstone") == 1
    assert load.erase([(2,)], "tombstone") == 0
    assert load.found() == [(2, 1, "b"), (3, 1, "d")]
    assert {row["id"]: row["_deleted_at"] is not None for row in load.world.read_all(load.target)} == {
        2: True,
        3: False,
    }
    after = set(json.loads((folder_of(load) / "current.json").read_text())["files"])
    assert len(before & after) == 1, "the file without these keys stays"
    keys = [row for one in load.sink.keys(load.target, SCHEMA) for row in one.to_pylist()]
    assert keys == [{"id": 3}]
    assert load.erase([(2,), (3,)], "delete") == 2
    assert load.sink.is_empty(load.target)
    assert load.world.open().open(load.target, SCHEMA, 1) == 6


def test_compaction_vacuum_and_layout_keep_the_rows(tmp_path: Path) -> None:
    world = ParquetWorld(tmp_path / "lake", Layout(cluster_by=("id",), compact_after=3))
    load = Load(world, WriteMode.APPEND)
    for number in (4, 2, 3, 1):
        load.put((number, 1, "a"))
    load.reopen()
    folder = folder_of(load)
    (name,) = json.loads((folder / "current.json").read_text())["files"]
    assert ds.dataset(str(folder / name)).to_table().column("id").to_pylist() == [1, 2, 3, 4]
    before = load.found()
    world.layout = Layout(partition_by=("bucket(2, id)",))
    load.sink = world.open()
    with pytest.raises(TargetChanged, match=r"wants bucket\(2, id\)"):
        load.sink.open(load.target, SCHEMA, 2)
    with pytest.raises(Fenced):
        upkeep(load).relayout(load.target, SCHEMA, 1)
    assert upkeep(load).relayout(load.target, SCHEMA, 3).files_added == 2
    assert load.found() == before
    load.epoch = 3
    load.put((5, 1, "b"))
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    orphan = load.prepare(rows((9, 9, "dead run")))
    rehearsed = upkeep(load).vacuum(load.target, rehearse=True).files_removed
    assert upkeep(load).vacuum(load.target).files_removed == rehearsed > 5
    assert load.found() == [*before, (5, 1, "b")]
    load.commit(orphan)
    assert (9, 9, "dead run") in load.found()


def test_prepared_rows_that_are_gone_are_noticed(load: Load) -> None:
    prepared = load.prepare(rows((1, 1, "a")))
    for path in folder_of(load).rglob("part-*.parquet"):
        path.unlink()
    with pytest.raises(StagingLost):
        load.commit(prepared)
    assert load.found() == []


def test_other_file_systems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folders and object stores"):
        Load(_Elsewhere(tmp_path), WriteMode.APPEND)


class _Elsewhere(ParquetWorld):
    def open(self) -> Sink:
        return ParquetSink(ParquetConfig(uri="hdfs://name/lake"))
