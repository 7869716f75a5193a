"""The Iceberg sink: the behaviour suite, on a local disk with a catalog in SQLite, and behaviour of Iceberg only."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.expressions import EqualTo, IsNull

from ingest_ray.sdk.errors import ConfigError, Fenced, SinkRejected, SinkUnavailable, StagingLost
from ingest_ray.sdk.types import Endpoint, WriteMode
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.templates import IcebergConfig, iceberg
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink import SCHEMA, Load, SinkSuite, rows
from tests.sinks.iceberg.world import DuckWorld, IcebergWorld


@pytest.mark.slow
class TestIceberg(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: IcebergWorld(tmp_path / "the lake"))


@pytest.mark.faults
class TestIcebergReadByDuckDB(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: DuckWorld(tmp_path / "lake"))


@pytest.fixture
def world(tmp_path: Path) -> IcebergWorld:
    return IcebergWorld(tmp_path / "lake")


def test_first_loads_and_new_keys_are_added_as_they_were_prepared(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    load.commit(load.prepare(rows((1, 1, "a")), first=True))
    before = set(world.files(load))
    prepared = load.prepare(rows((2, 1, "b"), (3, 1, "c")))
    load.commit(prepared)
    added = set(world.files(load)) - before
    (file,) = prepared.payload["files"]  # type: ignore[misc]
    assert {path.rsplit("/", 1)[-1] for path in added} == {file["name"]}  # type: ignore[index,call-overload]


def test_an_upsert_copies_only_the_files_that_have_its_keys(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.UPSERT)
    for start in (0, 100, 200, 300):
        load.put(*((start + n, 1, "a") for n in range(10)), first=True)
    before = world.files(load)
    receipt = load.put((105, 2, "B"), (107, 0, "old"), (250, 1, "new"))
    after = world.files(load)
    assert (receipt.rows_committed, receipt.rows_deduplicated) == (2, 1)
    assert len(set(before) & set(after)) == 3
    assert sorted(after[path] for path in set(after) - set(before)) == [1, 10]
    found = {row[0]: row[2] for row in load.found()}
    assert len(found) == 41
    assert (found[105], found[107], found[250]) == ("B", "a", "new")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pa.string(), pa.decimal128(12, 2), pa.date32(), pa.timestamp("us", "UTC")])
def test_no_key_is_missed_by_the_bounds_of_files(world: IcebergWorld, kind: pa.DataType) -> None:
    schema = pa.schema([("id", kind), ("version", pa.int64())])
    load = Load(world, WriteMode.UPSERT, schema=schema)
    numbers = [-300, -128, -1, 0, 127, 128, 70_000]
    texts = ["", "a", "a" * 16 + "b", "z" * 40, "\U0010ffff" * 20, "é", "\ud7ff" * 17]
    values = pa.array(texts) if kind == pa.string() else pa.array(numbers, pa.int32()).cast(_width(kind)).cast(kind)
    for value in values:
        load.commit(load.prepare(pa.record_batch([pa.array([value], kind), [1]], schema=schema), first=True))
    load.commit(load.prepare(pa.record_batch([pa.array([None], kind), [1]], schema=schema), first=True))
    again = pa.concat_arrays([values, pa.array([None], kind)])
    load.commit(load.prepare(pa.record_batch([again, [2] * len(again)], schema=schema)))
    assert [row["version"] for row in world.read_all(load.target)] == [2] * len(again)
    table = world.table(load.target)
    assert table.scan(row_filter=IsNull("id")).count() == 1  # type: ignore[call-arg]
    if kind == pa.string():
        assert all(table.scan(row_filter=EqualTo("id", text)).count() == 1 for text in texts)


def _width(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else pa.int32()


def test_columns_are_followed_by_their_field_ids(world: IcebergWorld) -> None:
    narrow = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("n", pa.int32()), ("m", pa.int32())])
    load = Load(world, WriteMode.UPSERT, schema=narrow)
    load.commit(load.prepare(pa.record_batch([[1], [1], [7], [8]], schema=narrow)))
    before = world.table(load.target)
    files = set(world.files(load))
    load.schema = narrow.set(2, pa.field("n", pa.int64())).append(pa.field("more", pa.string()))
    load.reopen()
    promoted = world.table(load.target)
    assert promoted.schema().find_field("n").field_id == before.schema().find_field("n").field_id
    assert promoted.schema().find_field("more").field_id == before.metadata.last_column_id + 1
    assert set(world.files(load)) == files  # neither a promotion nor a new column writes a file
    load.schema = load.schema.set(3, pa.field("m", pa.decimal128(12, 2)))
    load.reopen()
    rewritten = world.table(load.target)
    assert rewritten.schema().find_field("m").field_id > promoted.metadata.last_column_id
    assert not set(world.files(load)) & files
    (row,) = world.read_all(load.target)
    assert (row["n"], str(row["m"]), row["more"]) == (7, "8.00", None)


@pytest.mark.parametrize("change", ["drop", "rename"])
def test_a_table_that_was_changed_by_hand_is_refused_by_column(world: IcebergWorld, change: str) -> None:
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    prepared = load.prepare(rows((2, 1, "b")))
    with world.table(load.target).update_schema() as update:
        if change == "drop":
            update.delete_column("text")
        else:
            update.rename_column("text", "words")
    with pytest.raises(SinkRejected, match="'text'"):
        load.commit(prepared)
    with pytest.raises(SinkRejected, match=r"'text'.*changed by hand"):
        load.sink.open(load.target, SCHEMA, 1)


def test_rows_that_were_prepared_for_other_field_ids_are_prepared_again(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.APPEND)
    prepared = load.prepare(rows((1, 1, "a")))
    table = world.table(load.target)
    with table.update_schema() as update:
        update.delete_column("text")
    with world.table(load.target).update_schema() as update:
        update.union_by_name(pa.schema([("text", pa.string())]))
    with pytest.raises(StagingLost):
        load.commit(prepared)


def test_replace_may_change_the_type_of_a_column(world: IcebergWorld) -> None:
    load = Load(world, WriteMode.REPLACE)
    load.put((1, 1, "a"))
    load.schema = SCHEMA.set(2, pa.field("text", pa.bool_()))
    load.sink.open(load.target, load.schema, 1)
    assert load.found() == [(1, 1, "a")]
    load.commit(load.prepare(pa.record_batch([[2], [1], [True]], schema=load.schema)))
    assert [row["text"] for row in world.read_all(load.target)] == [True]


def test_two_units_of_one_table_name_are_refused(world: IcebergWorld) -> None:
    Load(world, WriteMode.APPEND, unit="public.orders")
    with pytest.raises(SinkRejected, match=r"shop/public\.orders/sink"):
        Load(world, WriteMode.APPEND, unit="public_orders")


def test_names_are_those_that_engines_take_without_quotes(tmp_path: Path) -> None:
    world = IcebergWorld(tmp_path)
    target = Load(world, WriteMode.APPEND).target
    sink = world.open()
    assert sink.location(target) == f"{tmp_path}/shop/public_orders"
    assert sink.location(target.model_copy(update={"table": "sales/orders"})) == f"{tmp_path}/sales/orders"
    odd = sink.location(target.model_copy(update={"unit_id": "Public.Orders"}))
    assert odd.startswith(f"{tmp_path}/shop/public_orders_")
    one = IcebergWorld(tmp_path, namespace="raw").open().location(target)
    assert one == f"{tmp_path}/raw/shop_public_orders"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "needs a warehouse"),
        ({"warehouse": "s3://bucket/lake"}, "needs a uri"),
        ({"warehouse": "/tmp/a#b"}, "cannot have"),
        ({"warehouse": "/tmp/a", "uri": "mysql://u@h/d"}, "SQLite or PostgreSQL"),
        ({"warehouse": "/tmp/a", "nope": "hush"}, "nope"),
    ],
)
def test_an_invalid_configuration_is_refused(config: dict[str, Any], message: str) -> None:
    endpoint = Endpoint(endpoint_id="lake", template="lake.iceberg", config=config)
    with pytest.raises(ConfigError, match=message) as caught:
        Load(_Opened(endpoint), WriteMode.APPEND)
    assert "hush" not in str(caught.value)


class _Opened:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def open(self) -> Any:
        return iceberg.open(self._endpoint)

    def read_all(self, target: object) -> list[dict[str, Any]]:
        return []


def test_secrets_of_the_catalog_are_not_shown() -> None:
    config = IcebergConfig.model_validate({"warehouse": "s3://b/l", "catalog": "rest", "options": {"token": "hush"}})
    assert "hush" not in repr(config)
    assert "hush" not in config.model_dump_json()


def test_a_rest_catalog_that_does_not_answer_is_named() -> None:
    config = {"catalog": "rest", "uri": "http://127.0.0.1:9"}
    with pytest.raises(SinkUnavailable, match=r"catalog of table 'shop\.public_orders' cannot be reached"):
        Load(_Opened(Endpoint(endpoint_id="lake", template="lake.iceberg", config=config)), WriteMode.APPEND)


def test_a_catalog_in_postgresql_is_shared_by_several_processes(tmp_path: Path, pg: Postgres) -> None:
    world = IcebergWorld(tmp_path, uri=pg.url)
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"))
    other = world.open()
    assert isinstance(other, IcebergSink)
    assert other.open(load.target, SCHEMA, 2) == 1
    with pytest.raises(Fenced):
        load.put((3, 1, "c"))
    assert sorted(batch["id"] for batch in pa.Table.from_batches(other.keys(load.target, SCHEMA)).to_pylist()) == [1, 2]
