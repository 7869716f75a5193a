"""Delta tables that another program made: partitions, rules for rows and features of the protocol are respected or refused by name."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.sdk.errors import IngestError, SinkRejected
from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.delta.table_features import REFUSED_FEATURES, SUPPORTED_FEATURES
from ingest_ray.testing.suites.sink import SCHEMA, Load, rows
from tests.sinks.made_by_others import COLUMNS, added_files, column, make_table, read_with_duckdb, target_of
from tests.sinks.test_delta import DeltaWorld, StoreWorld

pytestmark = pytest.mark.slow

ALL_WRITES = [WriteMode.APPEND, WriteMode.UPSERT, WriteMode.REPLACE]
NOON = dt.datetime(2020, 2, 28, 12, 0, 0, 123456)
PARTITIONS: dict[str, tuple[pa.DataType, list[Any], list[str]]] = {
    "string": (pa.string(), ["a/b=c %é \"x\" 'y'", "__", "z" * 60], ["a/b=c %é \"x\" 'y'", "__", "z" * 60]),
    "integer": (pa.int32(), [-1, 0, 2**31 - 1], ["-1", "0", "2147483647"]),
    "long": (pa.int64(), [-(2**63), 0, 2**63 - 1], ["-9223372036854775808", "0", "9223372036854775807"]),
    "boolean": (pa.bool_(), [True, False, True], ["true", "false", "true"]),
    "date": (pa.date32(), [dt.date(1, 1, 1), dt.date(2020, 2, 29), dt.date(9999, 12, 31)], ["0001-01-01", "2020-02-29", "9999-12-31"]),
    "timestamp_ntz": (pa.timestamp("us"), [NOON, NOON.replace(microsecond=0), NOON.replace(year=1969)], ["2020-02-28 12:00:00.123456"]),
    "timestamp": (pa.timestamp("us", "UTC"), [NOON.replace(tzinfo=dt.UTC)] * 3, ["2020-02-28 12:00:00.123456"]),
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> DeltaWorld:
    return DeltaWorld(tmp_path / "lake")


def _query(folder: Path, sql: str) -> list[dict[str, Any]]:
    result = QueryBuilder().register("t", DeltaTable(str(folder))).execute(sql).read_all()
    return list(pa.table(result).to_pylist())


@pytest.mark.parametrize("write", ALL_WRITES)
@pytest.mark.parametrize("kind", PARTITIONS)
def test_every_file_has_the_partition_values_of_its_rows(world: DeltaWorld, kind: str, write: WriteMode) -> None:
    arrow, values, texts = PARTITIONS[kind]
    schema = pa.schema([*SCHEMA, ("part", arrow)])
    features = ["timestampNtz"] if kind == "timestamp_ntz" else None
    folder = make_table(world.open(), columns=[*COLUMNS, column("part", kind)], partitions=["part"], features=features)
    load = Load(world, write, schema=schema)

    def put(numbers: range, version: int) -> None:
        parts = [(*values, None)[number % 4] for number in numbers]
        columns = [list(numbers), [version] * len(numbers), ["t"] * len(numbers), parts]
        load.commit(load.prepare(pa.record_batch(columns, schema=schema), first=version == 1))

    put(range(8), 1)  # the first load of an upsert is inserted
    put(range(8, 12), 2)
    numbers = range(8, 12) if write is WriteMode.REPLACE else range(12)
    expected = [{"id": number, "part": (*values, None)[number % 4]} for number in numbers]
    assert _query(folder, "select id, part from t order by id") == expected
    dataset = DeltaTable(str(folder)).to_pyarrow_dataset()
    assert dataset.to_table(columns=["id", "part"]).sort_by("id").to_pylist() == expected
    part_texts = [file["partitionValues"]["part"] for file in added_files(folder).values()]
    assert None in part_texts
    assert set(texts) <= set(part_texts)
    for value in values:  # skipping by partition hides no row
        ids = dataset.to_table(filter=ds.field("part") == pa.scalar(value, arrow)).column("id").to_pylist()
        assert sorted(ids) == [row["id"] for row in expected if row["part"] == value]


@pytest.mark.parametrize("write", ALL_WRITES)
def test_readers_that_take_partitions_from_folders_see_the_same_values(world: DeltaWorld, write: WriteMode) -> None:
    folder = make_table(world.open(), partitions=["text"])
    load = Load(world, write)
    values = ["a/b=c %é", "plain", None]
    load.put(*((number, 1, text) for number, text in enumerate(values)), first=True)
    assert read_with_duckdb(folder, "select id, text from files order by id") == list(enumerate(values))


def test_partitioned_rows_are_merged_moved_and_erased(world: DeltaWorld) -> None:
    folder = make_table(world.open(), partitions=["text"])
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"), (3, 1, None), first=True)
    load.put((1, 2, "b"), (3, 2, "c"), (4, 2, "a"))
    assert load.found() == [(1, 2, "b"), (2, 1, "b"), (3, 2, "c"), (4, 2, "a")]
    assert load.erase([(2,)], "delete") == 1
    assert load.erase([(3,)], "tombstone") == 1
    assert load.found() == [(1, 2, "b"), (3, 2, "c"), (4, 2, "a")]
    assert read_with_duckdb(folder, "select id, text from files order by id") == [(1, "b"), (3, "c"), (4, "a")]


def test_rows_of_an_object_store_are_written_to_their_partitions(tmp_path: Path) -> None:
    store = StoreWorld(tmp_path / "lake")
    folder = make_table(
        DeltaWorld(tmp_path / "lake").open(),
        writer_version=3,
        partitions=["text"],
        delta__constraints__positive="id > 0",
    )
    load = Load(store, WriteMode.UPSERT)
    load.put((1, 1, "a/b"), (2, 1, None), first=True)
    load.put((2, 2, "c"))
    assert _query(folder, "select id, text from t order by id") == [{"id": 1, "text": "a/b"}, {"id": 2, "text": "c"}]
    with pytest.raises(SinkRejected, match="CHECK positive"):
        load.put((-1, 1, "d"), first=True)


def test_a_partitioned_table_is_widened_with_its_partitions(world: DeltaWorld) -> None:
    columns = [column("id", "integer"), column("version", "long"), column("text", "string")]
    folder = make_table(world.open(), columns=columns, partitions=["text"])
    narrow = SCHEMA.set(0, pa.field("id", pa.int32()))
    load = Load(world, WriteMode.APPEND, schema=narrow)
    load.commit(load.prepare(pa.record_batch([[1, 2], [1, 1], ["a", None]], schema=narrow)))
    load.schema = SCHEMA
    load.reopen()
    load.put((2**40, 1, "a"))
    expected = [{"id": 1, "text": "a"}, {"id": 2, "text": None}, {"id": 2**40, "text": "a"}]
    assert _query(folder, "select id, text from t order by id") == expected
    assert DeltaTable(str(folder)).metadata().partition_columns == ["text"]


@pytest.mark.parametrize("write", ALL_WRITES)
def test_prepared_files_do_not_stay_beside_the_partitions(world: DeltaWorld, write: WriteMode) -> None:
    folder = make_table(world.open(), partitions=["text"])
    load = Load(world, write)
    load.put((1, 1, "a"), (2, 1, None), first=True)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")} == set(added_files(folder))


@pytest.mark.parametrize("write", ALL_WRITES)
def test_a_repeated_commit_to_a_partitioned_table_changes_nothing(world: DeltaWorld, write: WriteMode) -> None:
    make_table(world.open(), partitions=["text"])
    load = Load(world, write)
    prepared = load.prepare(rows((1, 1, "a"), (2, 1, None)), first=True)
    load.commit(prepared)
    load.sequence -= 1
    assert load.commit(prepared).rows_committed == 2
    assert load.found() == [(1, 1, "a"), (2, 1, None)]


@pytest.mark.parametrize("write", ALL_WRITES)
def test_an_empty_text_is_no_partition(world: DeltaWorld, write: WriteMode) -> None:
    """An empty string is read as NULL: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#partition-value-serialization"""
    make_table(world.open(), partitions=["text"])
    load = Load(world, write)
    with pytest.raises(SinkRejected, match=r"empty text in column 'text'"):
        load.put((1, 1, ""), first=True)
    assert load.found() == []


@pytest.mark.parametrize("write", ALL_WRITES)
@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ({"delta__constraints__positive": "id > 0"}, "CHECK positive: id > 0"),
        ({"columns": [column("id", "long", nullable=False), *COLUMNS[1:]]}, "NOT NULL id"),
        (
            {"columns": [column("id", "long", **{"delta.invariants": '{"expression": {"expression": "id > 0"}}'}), *COLUMNS[1:]]},
            "invariant of id: id > 0",
        ),
    ],
)  # fmt: skip
def test_rows_that_break_a_rule_of_the_table_are_refused_by_its_name(
    world: DeltaWorld, rule: dict[str, Any], name: str, write: WriteMode
) -> None:
    make_table(world.open(), writer_version=3, **rule)
    load = Load(world, write)
    wrong = None if "NOT NULL" in name else -1
    for _ in range(2):
        with pytest.raises(SinkRejected, match=name) as caught:
            load.put((1, 1, "a"), (wrong, 1, "private"), first=True)
        assert "private" not in str(caught.value)
        load.sequence -= 1
    assert load.found() == []
    load.put((1, 1, "a"), first=True)  # later commits are not lost
    load.put((2, 1, "b"))
    assert load.found() == ([(2, 1, "b")] if write is WriteMode.REPLACE else [(1, 1, "a"), (2, 1, "b")])
    with pytest.raises(SinkRejected, match=name):
        load.put((wrong, 1, "c"))


def test_a_full_refresh_keeps_rules_and_comments_where_it_changes_columns(world: DeltaWorld) -> None:
    columns = [column("id", "long", nullable=False, comment="the order"), *COLUMNS[1:]]
    folder = make_table(world.open(), columns=columns, partitions=["text"])
    schema = SCHEMA.set(1, pa.field("version", pa.float64()))
    load = Load(world, WriteMode.REPLACE, schema=schema, version=None)
    load.commit(load.prepare(pa.record_batch([[1], [1.5], ["a"]], schema=schema)))
    field = DeltaTable(str(folder)).schema().fields[0]
    assert (field.nullable, field.metadata) == (False, {"comment": "the order"})
    assert load.found() == [(1, 1.5, "a")]
    with pytest.raises(SinkRejected, match="NOT NULL id"):
        load.commit(load.prepare(pa.record_batch([[None], [1.5], ["a"]], schema=schema)))


@pytest.mark.parametrize("condition", ["text RLIKE 'x'", "nosuch > 1", "my_udf(id)"])
def test_a_rule_that_cannot_be_evaluated_is_refused_when_the_table_is_opened(world: DeltaWorld, condition: str) -> None:
    make_table(world.open(), writer_version=3, delta__constraints__odd=condition)
    with pytest.raises(SinkRejected, match=r"CHECK odd.*cannot evaluate"):
        Load(world, WriteMode.APPEND)


def test_an_append_only_table_takes_appends_and_refuses_the_rest(world: DeltaWorld) -> None:
    make_table(world.open(), delta__appendOnly="true")
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, "a"))
    load.put((2, 1, "b"))
    with pytest.raises(SinkRejected, match="append-only"):
        load.erase([(1,)], "delete")
    for write in (WriteMode.UPSERT, WriteMode.REPLACE):
        with pytest.raises(SinkRejected, match=r"append-only \(delta.appendOnly = true\).*public.orders") as caught:
            Load(world, write)
        assert "delta.appendOnly" in str(caught.value.hint)
    assert load.found() == [(1, 1, "a"), (2, 1, "b")]


@pytest.mark.parametrize("write", [WriteMode.UPSERT, WriteMode.REPLACE])
def test_a_table_that_becomes_append_only_while_a_run_goes_on_is_refused(world: DeltaWorld, write: WriteMode) -> None:
    load = Load(world, write)
    load.put((1, 1, "a"), first=True)
    DeltaTable(load.sink.location(load.target)).alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(SinkRejected, match="append-only"):
        load.put((1, 2, "b"))


@pytest.mark.parametrize("feature", sorted(SUPPORTED_FEATURES))
def test_a_supported_feature_of_the_protocol_takes_rows(world: DeltaWorld, feature: str) -> None:
    folder = make_table(
        world.open(), features=[feature], delta__enableChangeDataFeed=str(feature == "changeDataFeed").lower()
    )
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), first=True)
    load.put((1, 2, "b"), (2, 1, "c"))
    expected = [{"id": 1, "version": 2, "text": "b"}, {"id": 2, "version": 1, "text": "c"}]
    assert _query(folder, "select id, version, text from t order by id") == expected
    assert DeltaTable(str(folder)).protocol().writer_features == [feature]  # readers need no more than before


@pytest.mark.parametrize("write", ALL_WRITES)
@pytest.mark.parametrize("feature", [*sorted(REFUSED_FEATURES), "newFeature"])
def test_another_feature_of_the_protocol_is_refused_by_name(world: DeltaWorld, feature: str, write: WriteMode) -> None:
    sink = world.open()
    folder = make_table(sink, features=[feature])
    with pytest.raises(SinkRejected, match=f"table feature '{feature}'") as caught:
        sink.open(target_of(write), SCHEMA, 1)
    assert "DROP FEATURE" in str(caught.value.hint)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [f"{0:020}.json"]


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_versions_of_the_protocol_before_features_take_rows(world: DeltaWorld, version: int) -> None:
    make_table(world.open(), writer_version=version, reader_version=2 if version == 5 else 1)
    load = Load(world, WriteMode.UPSERT)
    load.put((1, 1, "a"), first=True)
    load.put((1, 2, "b"))
    assert load.found() == [(1, 2, "b")]


def _computed(**metadata: object) -> dict[str, Any]:
    return {"columns": [*COLUMNS, column("extra", "long", **metadata)]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_computed(**{"delta.generationExpression": "id + 1"}) | {"writer_version": 4}, "'extra'.*generated"),
        (_computed(**{"delta.identity.start": 1}) | {"writer_version": 6}, "identityColumns"),
        (_computed(**{"delta.identity.start": 1}), "'extra'.*an identity column"),
        (_computed(CURRENT_DEFAULT="7"), "'extra'.*given a default"),
        ({"columns": [*COLUMNS, column("extra", "variant")], "features": ["variantType"]}, "'extra'.*variant"),
        ({"columns": [*COLUMNS, column("extra", "long", nullable=False)]}, "'extra'.*NOT NULL"),
        ({"columns": [column("ID", "long"), *COLUMNS[1:]]}, "differ only in case"),
        ({"columns": [*COLUMNS, column("extra", "decimal(10,2)")], "partitions": ["extra"]}, r"by column 'extra' of type 'decimal\(10,2\)'"),
        ({"columns": [*COLUMNS, column("extra", "binary")], "partitions": ["extra"]}, "by column 'extra' of type 'binary'"),
    ],
)  # fmt: skip
def test_a_column_that_cannot_be_written_is_refused_by_name(
    world: DeltaWorld, table: dict[str, Any], message: str
) -> None:
    folder = make_table(world.open(), **table)
    with pytest.raises(SinkRejected, match=message):
        Load(world, WriteMode.APPEND)
    assert len(list(folder.rglob("*.json"))) == 1


def test_mapped_column_names_are_refused(world: DeltaWorld) -> None:
    make_table(world.open(), writer_version=5, reader_version=2, delta__columnMapping__mode="name")
    with pytest.raises(IngestError, match="columnMapping"):
        Load(world, WriteMode.APPEND)
