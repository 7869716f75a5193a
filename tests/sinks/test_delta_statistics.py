"""Statistics of Delta's files: values without an exact bound cost no table, and no bound hides a row."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.sdk.types import WriteMode
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.parquet import RollingParquetWriter
from ingest_ray.testing.suites.sink import Load
from tests.sinks.made_by_others import added_files
from tests.sinks.test_delta import DeltaWorld

DAY = 86_400_000_000
FAR_DAYS = [
    -719_163,
    -719_162,
    2_932_896,
    2_932_897,
    -2_000_000,
    2_100_000_000,
]  # around the years 1 and 9999, BC, and far
FAR_TIMES = [-719_162 * DAY - 1, -719_162 * DAY, 2_932_897 * DAY - 1, 2_932_897 * DAY, -210_866_803_200_000_000]
FAR_TIMES += [9_223_371_331_200_000_000]  # the last one of PostgreSQL
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("version", pa.int64()),
        ("day", pa.date32()),
        ("instant", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("number", pa.float64()),
        ("exact", pa.decimal128(38, 0)),
        ("text", pa.string()),
        ("nested", pa.struct([("number", pa.float64()), ("day", pa.date32())])),
    ]
)


def _rows(version: int, *, days: list[int], times: list[int], numbers: list[float]) -> pa.RecordBatch:
    count = len(days)
    day = pa.array(days, pa.int32()).cast(pa.date32())
    number = pa.array(numbers, pa.float64())
    texts = ["\x00\x1f\"\\'", "\U0010ffff", "\U00020000", "é", "", "z" * 5000]
    columns = [
        pa.array(range(count)),
        pa.array([version] * count),
        day,
        pa.array(times).cast(pa.timestamp("us", "UTC")),
        pa.array(times).cast(pa.timestamp("us")),
        number,
        pa.array([9_007_199_254_740_993 + place for place in range(count)]).cast(pa.decimal128(38, 0)),
        pa.array(texts[:count]),
        pa.StructArray.from_arrays([number, day], fields=list(SCHEMA.field("nested").type)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


FAR = {"days": FAR_DAYS, "times": FAR_TIMES, "numbers": [float("nan"), 1.0, float("inf"), -0.0, float("-inf"), 2.0]}
NEAR = {"days": [0, 1], "times": [0, 1], "numbers": [0.0, 1.0]}


@pytest.fixture
def world(tmp_path: Path) -> DeltaWorld:
    return DeltaWorld(tmp_path / "lake")


def _query(folder: Path, sql: str) -> list[dict[str, Any]]:
    return list(pa.table(QueryBuilder().register("t", DeltaTable(str(folder))).execute(sql).read_all()).to_pylist())


def _count_everywhere(folder: Path, rows: pa.RecordBatch) -> None:
    """Each value is found by DuckDB, by Delta's own engine and by Arrow, with a filter on its column and without."""
    dataset = DeltaTable(str(folder)).to_pyarrow_dataset()
    stored = dataset.to_table().sort_by("id").select(SCHEMA.names)
    exact = ["id", "day", "instant", "local", "exact", "text"]
    assert stored.select(exact).equals(pa.Table.from_batches([rows]).select(exact))
    for position, (day, time) in enumerate(zip(FAR_DAYS, FAR_TIMES, strict=True)):
        literals = {
            "day": f"arrow_cast({day}, 'Date32')",
            "instant": f"arrow_cast({time}, 'Timestamp(Microsecond, Some(\"UTC\"))')",
            "local": f"arrow_cast({time}, 'Timestamp(Microsecond, None)')",
            "exact": f"arrow_cast('{rows.column('exact')[position].as_py()}', 'Decimal128(38, 0)')",
            "text": "'" + rows.column("text")[position].as_py().replace("'", "''") + "'",
        }
        for name, literal in literals.items():
            assert _query(folder, f"select id from t where {name} = {literal}") == [{"id": position}], (name, literal)
    paths = [str(folder / path) for path in added_files(folder)]
    with duckdb.connect() as connection:
        connection.register("expected", pa.Table.from_batches([rows]))
        connection.register("stored", connection.read_parquet(paths))
        for name in ("day", "instant", "local", "number", "exact", "text"):
            count = f"select count(*) from stored t join expected e on t.id = e.id and t.{name} is not distinct from e.{name}"
            assert connection.execute(count).fetchall() == [(rows.num_rows,)], name
    for condition in ("number > 5", "nested['number'] > 5"):  # NaN is above every number
        assert [row["id"] for row in _query(folder, f"select id from t where {condition} order by id")] == [0, 2]
    assert len(_query(folder, "select id from t where day > DATE '9999-12-31'")) == 2
    assert len(_query(folder, "select id from t where day < DATE '0001-01-01'")) == 2


def _stats(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file["stats"]) for file in added_files(folder).values()]


@pytest.mark.slow
@pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.UPSERT, WriteMode.REPLACE])
@pytest.mark.parametrize("first", [True, False])
def test_values_without_an_exact_bound_are_stored_and_hidden_by_none(
    world: DeltaWorld, write: WriteMode, first: bool
) -> None:
    load = Load(world, write, schema=SCHEMA)
    if not first and write is WriteMode.UPSERT:
        load.commit(load.prepare(_rows(1, **NEAR), first=True))  # so that the next one is a merge
    far = _rows(2, **FAR)
    load.commit(load.prepare(far, first=first))
    folder = Path(load.sink.location(load.target))
    _count_everywhere(folder, far)
    for stats in _stats(folder):
        bounds = {**stats["minValues"], **stats["maxValues"]}
        assert not bounds.keys() & {"day", "instant", "local", "number", "exact", "nested"}
        assert stats["minValues"]["id"] == 0


def test_rows_that_are_rewritten_later_keep_out_of_the_bounds(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT, schema=SCHEMA)
    far = _rows(2, **FAR)
    load.commit(load.prepare(far, first=True))
    load.reopen()
    near = _rows(3, **NEAR).slice(0, 1)
    load.commit(load.prepare(near))  # rewrites the file in which the other rows are
    folder = Path(load.sink.location(load.target))
    load.sink.compact(load.target)  # type: ignore[attr-defined]
    assert all("day" not in stats["maxValues"] for stats in _stats(folder))
    assert len(_query(folder, "select id from t where day > DATE '9999-12-31'")) == 2
    assert DeltaTable(str(folder)).to_pyarrow_dataset().to_table().num_rows == 6


def test_usual_dates_and_times_have_bounds_in_merged_files_too(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT, schema=SCHEMA)
    load.commit(load.prepare(_rows(1, **NEAR), first=True))
    load.commit(load.prepare(_rows(2, **NEAR)))
    (stats,) = _stats(Path(load.sink.location(load.target)))
    assert stats["maxValues"]["day"] == str(dt.date(1970, 1, 2))
    assert stats["maxValues"]["instant"].startswith("1970-01-01T00:00:00.000")
    assert "number" not in stats["maxValues"]
    assert "exact" not in stats["maxValues"]


def test_far_values_can_be_erased_by_key(world: DeltaWorld) -> None:
    load = Load(world, WriteMode.UPSERT, schema=SCHEMA)
    load.commit(load.prepare(_rows(2, **FAR), first=True))
    assert load.erase([(0,), (5,)], "tombstone") == 2
    assert load.erase([(1,)], "delete") == 1
    folder = Path(load.sink.location(load.target))
    assert all("day" not in stats["maxValues"] for stats in _stats(folder))
    assert len(_query(folder, "select id from t where _deleted_at is null")) == 3


@pytest.mark.parametrize("text", ["\U0001f600", "\U00020000", "\U0010ffff"])
def test_text_beyond_the_basic_plane_is_not_hidden_by_its_own_bound(world: DeltaWorld, text: str) -> None:
    load = Load(world, WriteMode.APPEND)
    load.put((1, 1, text))
    assert _query(Path(load.sink.location(load.target)), f"select id from t where text = '{text}'") == [{"id": 1}]


def test_a_column_beside_a_struct_of_one_field_has_its_own_statistics(tmp_path: Path) -> None:
    """As many columns in the file as in the table, and one of them is another."""
    schema = pa.schema(
        [("nested", pa.struct([("day", pa.date32())])), ("list", pa.list_(pa.int64())), ("a.b", pa.date32())]
    )
    files = TableFiles.of(str(tmp_path), ["new", "table"], {})
    writer = RollingParquetWriter(schema, files.create)
    far, near = dt.date(9999, 12, 31), dt.date(2020, 1, 1)
    writer.write(pa.RecordBatch.from_pylist([{"nested": {"day": far}, "list": [1, 2], "a.b": near}], schema))
    (written,) = writer.close()
    assert json.loads(written.stats) == {
        "numRecords": 1,
        "minValues": {"a.b": "2020-01-01"},
        "maxValues": {"a.b": "2020-01-01"},
        "nullCount": {"a.b": 0},
    }
    assert files.list_names() == [written.name]
