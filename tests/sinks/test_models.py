"""CDM models in every sink that takes them."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from ingest_ray.cdm import model_of
from ingest_ray.registry import open_models
from ingest_ray.sdk.contracts import ModelSink
from ingest_ray.sdk.errors import SinkRejected, SinkUnavailable, TargetChanged
from ingest_ray.sdk.types import Endpoint, Layout
from ingest_ray.sinks.iceberg.models import sink as models_sink
from ingest_ray.sinks.maintenance import LayoutChange, TableMaintenance
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.model_sink import ITEM, LINK, Crash, ModelSuite, Pages, crash_at
from tests.sinks.test_duckdb import held_open

pytestmark = pytest.mark.slow


class EndpointWorld:
    """`template` and config of a sink endpoint, opened as a run would."""

    def __init__(self, template: str, **config: Any) -> None:
        self._endpoint = Endpoint(endpoint_id="sink", template=template, config=config)

    def open(self) -> ModelSink:
        return open_models(self._endpoint)


class SqliteWorld(EndpointWorld):
    def __init__(self, template: str, path: Path, **config: Any) -> None:
        super().__init__(template, url=f"sqlite:///{path}", **config)
        self._path = path
        self._prefix = config.get("prefix", "")

    def read_all(self, model_id: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self._path)
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f"select * from {self._prefix}{model_of(model_id).table}")]
        connection.close()
        return found


class DuckDbWorld(EndpointWorld):
    def __init__(self, path: Path) -> None:
        super().__init__("duckdb", path=str(path))
        self._path = path

    def read_all(self, model_id: str) -> list[dict[str, Any]]:
        with duckdb.connect(str(self._path)) as connection:
            return list(connection.sql(f"select * from {model_of(model_id).table}").to_arrow_table().to_pylist())


class DeltaWorld(EndpointWorld):
    def __init__(self, path: Path) -> None:
        super().__init__("lake.delta", uri=str(path))
        self.path = path

    def table(self, model_id: str) -> DeltaTable:
        return DeltaTable(str(self.path / "cdm" / model_of(model_id).table))

    def read_all(self, model_id: str) -> list[dict[str, Any]]:
        return list(self.table(model_id).to_pyarrow_table().to_pylist())

    def state(self, model_id: str) -> object:
        """Changes with every commit."""
        return self.table(model_id).version()

    def partitions(self, model_id: str) -> tuple[set[Any], set[Any]]:
        """The values of the first and the second partition column."""
        found = self.table(model_id).partitions()
        names = self.table(model_id).metadata().partition_columns
        first, second = ({one[name] for one in found} for name in names)
        return first, {int(value) for value in second}

    def records(self) -> list[Path]:
        """Of commits that are under way."""
        return list((self.path / "cdm-commits").rglob("*.json"))


class IcebergModels(EndpointWorld):
    def __init__(self, path: Path, **config: Any) -> None:
        super().__init__("lake.iceberg", warehouse=str(path), **config)
        self.path = path

    def table(self, model_id: str) -> Table:
        catalog = SqlCatalog("ingest", uri=f"sqlite:///{self.path}/catalog.db")
        return catalog.load_table(("cdm", model_of(model_id).table))

    def read_all(self, model_id: str) -> list[dict[str, Any]]:
        return list(self.table(model_id).scan().to_arrow().to_pylist())

    def state(self, model_id: str) -> object:
        """Changes with every commit."""
        return self.table(model_id).metadata_location

    def partitions(self, model_id: str) -> tuple[set[Any], set[Any]]:
        """The values of the first and the second partition."""
        found = [task.file.partition for task in self.table(model_id).scan().plan_files()]
        return {one[0] for one in found}, {one[1] for one in found}

    def records(self) -> list[Path]:
        """Of commits that are under way."""
        return list(self.path.rglob("ingest-pending/*/*.json"))


class PostgresWorld(EndpointWorld):
    def __init__(self, pg: Postgres, **config: Any) -> None:
        super().__init__("cdm.jdbc", url=pg.url, **config)
        self._pg = pg
        self._schema = config.get("schema")

    def read_all(self, model_id: str) -> list[dict[str, Any]]:
        model = model_of(model_id)
        connection = self._pg.connect()
        cursor = connection.cursor()
        cursor.execute(f"select * from {self._schema or model.family}.{model.table}")
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        connection.close()
        return found


class MariaWorld(EndpointWorld):
    def __init__(self, mariadb: MariaDatabase) -> None:
        super().__init__("cdm.jdbc", url=mariadb.url)
        self._mariadb = mariadb

    def read_all(self, model_id: str) -> list[dict[str, Any]]:
        return list(self._mariadb.run(f"select * from {model_of(model_id).table}"))


class TestSqlite(ModelSuite):
    world = pytest.fixture(lambda self, tmp_path: SqliteWorld("sql", tmp_path / "lake.db"))


class TestCdmSqlite(ModelSuite):
    world = pytest.fixture(lambda self, tmp_path: SqliteWorld("cdm.jdbc", tmp_path / "cdm.db", prefix="x_"))


class TestDuckDb(ModelSuite):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[DuckDbWorld]:
        with held_open(tmp_path / "lake.duckdb"):
            yield DuckDbWorld(tmp_path / "lake.duckdb")


class TestDelta(ModelSuite):
    world = pytest.fixture(lambda self, tmp_path: DeltaWorld(tmp_path / "the lake"))


class TestIceberg(ModelSuite):
    world = pytest.fixture(lambda self, tmp_path: IcebergModels(tmp_path / "the lake"))


class TestPostgres(ModelSuite):
    world = pytest.fixture(lambda self, pg: PostgresWorld(pg))


class TestMariaDb(ModelSuite):
    world = pytest.fixture(lambda self, mariadb: MariaWorld(mariadb))


def test_a_cdm_sink_wants_its_tables_provisioned_and_does_that_twice_without_a_change(tmp_path: Path) -> None:
    world = SqliteWorld("cdm.jdbc", tmp_path / "cdm.db")
    made = Pages(world)  # provisions
    first = made.sink.provision(made.tables[0])
    assert (first.table_name, first.schema_name) == ("cdm_doc_item", "")
    other = SqliteWorld("cdm.jdbc", tmp_path / "other.db")
    with pytest.raises(SinkRejected, match="is not there"):
        other.open().open(made.tables, 1)


def test_a_table_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "cdm.db") as connection:
        connection.execute("create table cdm_doc_item (cdm_id text)")
    connection.close()
    with pytest.raises(SinkRejected, match="did not make it"):
        Pages(SqliteWorld("cdm.jdbc", tmp_path / "cdm.db"))


def test_the_tables_of_a_cdm_sink_have_primary_keys_and_json_columns(pg: Postgres, mariadb: MariaDatabase) -> None:
    Pages(PostgresWorld(pg)), Pages(MariaWorld(mariadb))
    connection = pg.connect()
    cursor = connection.cursor()
    cursor.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
        " and a.attnum = any(i.indkey) where i.indrelid = 'cdm_doc.cdm_doc_item'::regclass and i.indisprimary"
    )
    assert [tuple(row) for row in cursor.fetchall()] == [("cdm_id", "text")]
    cursor.execute(
        "select column_name, data_type from information_schema.columns where table_schema = 'cdm_doc'"
        " and table_name = 'cdm_doc_item' and column_name in ('properties', 'tags', 'created_at')"
    )
    kinds = {"properties": "json", "tags": "ARRAY", "created_at": "timestamp with time zone"}
    assert dict(cursor.fetchall()) == kinds
    connection.close()
    (shown,) = mariadb.run("show create table cdm_doc_item")
    text = next(value for name, value in shown.items() if name.lower() == "create table")
    assert "PRIMARY KEY (`cdm_id`)" in text
    assert "json_valid(`properties`)" in text


@pytest.fixture(params=[DeltaWorld, IcebergModels], ids=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> DeltaWorld | IcebergModels:
    made: DeltaWorld | IcebergModels = request.param(tmp_path / "lake")
    return made


def test_c40_a_table_of_a_lake_that_has_a_number_is_left_alone_when_the_others_are_rolled_forward(
    lake: DeltaWorld | IcebergModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Pages(lake)
    groups = pages.prepare(("p", 1, ["a"]))
    crash_at(monkeypatch, "sink:between-models")
    with pytest.raises(Crash):
        pages.commit(groups)
    monkeypatch.undo()
    assert (len(lake.read_all(ITEM)), len(lake.read_all(LINK))) == (1, 0)
    before = lake.state(ITEM)
    assert lake.open().open(pages.tables, 1) == 1  # the same epoch: nothing else to write into the first table
    assert lake.state(ITEM) == before
    assert (len(lake.read_all(ITEM)), len(lake.read_all(LINK))) == (1, 1)
    assert lake.records() == []


def test_what_was_written_down_and_reached_no_table_is_forgotten(
    lake: DeltaWorld | IcebergModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Pages(lake)
    crash_at(monkeypatch, "sink:after-written-down")
    with pytest.raises(Crash):
        pages.put(("p", 1, ["a"]))
    monkeypatch.undo()
    assert len(lake.records()) == 1
    after = Pages(lake, epoch=2)
    assert (after.sequence, after.found(ITEM)) == (0, [])
    after.put(("q", 1, []))
    assert after.found(ITEM) == ["q@1"]
    assert lake.records() == []


def test_the_tables_of_a_lake_are_looked_after_one_by_one(lake: DeltaWorld | IcebergModels) -> None:
    pages = Pages(lake)
    for version in range(1, 5):
        pages.put((f"p{version}", version, ["a"]))
    assert isinstance(pages.sink, TableMaintenance)
    report = pages.sink.compact(pages.tables[0].target)
    assert (report.files_removed, report.files_added) == (4, 1)
    assert pages.found(ITEM) == ["p1@1", "p2@2", "p3@3", "p4@4"]
    pages.put(("p1", 9, []))
    assert pages.found(LINK) == ["p2-a@2", "p3-a@3", "p4-a@4"]


def again(commit: Callable[[], object]) -> None:
    """As the engine does: a commit that did not happen is tried again under its number."""
    for _ in range(50):
        try:
            commit()
            return
        except SinkUnavailable:
            time.sleep(0.05)
    raise AssertionError("the sink was not available fifty times")


def test_units_that_commit_to_one_table_of_a_lake_at_the_same_time_all_succeed(
    lake: DeltaWorld | IcebergModels,
) -> None:
    units = [Pages(lake, unit=f"wiki.{name}") for name in "ab"]
    together = threading.Barrier(len(units))

    def load(pages: Pages) -> None:
        together.wait(60)
        for number in range(2):
            groups = pages.prepare((f"{pages.unit}-{number}", 1, ["x"]), ("shared", number + 1, []))
            pages.sequence += 1
            again(lambda groups=groups: pages.sink.commit(pages.tables, 1, pages.sequence, groups))

    with ThreadPoolExecutor(len(units)) as pool:
        list(pool.map(load, units))
    own = sorted(f"{pages.unit}-{number}@1" for pages in units for number in range(2))
    assert units[0].found(ITEM) == sorted([*own, "shared@2"])
    assert [pages.sink.open(pages.tables, 1) for pages in units] == [2, 2]


def test_what_a_commit_prepared_and_tried_in_vain_is_not_left_beside_an_iceberg_table(tmp_path: Path) -> None:
    world = IcebergModels(tmp_path / "lake")
    pages, others = Pages(world), Pages(world, unit="wiki.file")
    merge, waiting = models_sink.merge_models, ["f0", "f1"]

    def overtaken(*arguments: Any, **how: Any) -> Any:
        found = merge(*arguments, **how)
        if waiting:  # after the table was read, before the commit
            with pytest.MonkeyPatch.context() as plain:
                plain.setattr(models_sink, "merge_models", merge)
                others.put((waiting.pop(0), 1, []))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models_sink, "merge_models", overtaken)
        pages.put(("p", 1, []))
    assert pages.found(ITEM) == ["f0@1", "f1@1", "p@1"]
    named = {task.file.file_path.rsplit("/", 1)[-1] for task in world.table(ITEM).scan().plan_files()}
    assert {path.name for path in tmp_path.glob("lake/cdm/cdm_doc_item/data/*")} == named


BY_UNIT = Layout(partition_by=("_source_unit", "bucket(2, cdm_id)"), cluster_by=("_source_key",), compact_after=3)


def test_a_table_of_models_has_a_layout_that_its_units_share(lake: DeltaWorld | IcebergModels) -> None:
    pages, files = Pages(lake, layout=BY_UNIT), Pages(lake, unit="wiki.file", layout=BY_UNIT)
    pages.put(*((f"p{number}", 1, ["a"]) for number in range(8)))
    files.put(("f", 1, ["x"]), ("shared", 1, []))
    pages.put(("p1", 2, ["b"]), ("p2", -2, []), ("shared", 2, []))  # a row that moves to the other unit's partition
    assert pages.found(ITEM) == ["f@1", "p0@1", "p1@2", *(f"p{number}@1" for number in range(3, 8)), "shared@2"]
    assert pages.found(LINK) == ["f-x@1", "p0-a@1", "p1-b@2", *(f"p{number}-a@1" for number in range(3, 8))]
    units, buckets = lake.partitions(ITEM)
    assert (units, buckets) == ({"wiki.page", "wiki.file"}, {0, 1})
    for number in range(5):
        pages.put((f"more{number}", 1, []))
    again = Pages(lake, epoch=2, layout=BY_UNIT)  # compacts before it begins
    assert len(again.found(ITEM)) == len(pages.found(ITEM)) == 14
    assert again.sequence == pages.sequence


def test_another_layout_of_a_table_of_models_is_refused_until_it_is_written_again(
    lake: DeltaWorld | IcebergModels,
) -> None:
    pages, files = Pages(lake), Pages(lake, unit="wiki.file")
    pages.put(("p", 1, ["a"]))
    files.put(("f", 1, ["x"]))
    waiting = files.prepare(("g", 1, []))
    with pytest.raises(TargetChanged, match="partitioned by"):
        Pages(lake, epoch=2, layout=BY_UNIT)
    assert isinstance(pages.sink, LayoutChange)
    pages.layout = BY_UNIT
    for table in pages.tables:
        pages.sink.relayout(table.target, table.schema, 2)
    assert lake.partitions(ITEM)[0] == {"wiki.page", "wiki.file"}
    files.commit(waiting)  # of a unit that says nothing about partitions
    again = Pages(lake, epoch=3, layout=BY_UNIT)
    again.put(("p", 2, []))
    assert (again.sequence, again.found(ITEM), again.found(LINK)) == (2, ["f@1", "g@1", "p@2"], ["f-x@1"])


def test_a_partition_by_the_endpoint_of_one_unit_is_refused(lake: DeltaWorld | IcebergModels) -> None:
    with pytest.raises(SinkRejected, match="units of several endpoints share"):
        Pages(lake, layout=Layout(partition_by=("endpoint",)))
