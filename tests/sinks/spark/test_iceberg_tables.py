"""Apache Spark, with Iceberg's own Java library, reads the Iceberg tables that this project writes, and may change and maintain them."""

import datetime as dt
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.sdk.types import Layout, WriteMode
from ingest_ray.testing.suites.sink import Load
from tests.sinks.iceberg.world import IcebergWorld
from tests.sinks.layout.test_iceberg_layout import LaidOutIceberg
from tests.sinks.spark.spark import Spark, find_spark

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("version", pa.int64()),
        ("small", pa.int32()),
        ("amount", pa.decimal128(20, 4)),
        ("rate", pa.decimal128(9, 2)),
        ("text", pa.string()),
        ("bytes", pa.binary()),
        ("day", pa.date32()),
        ("local", pa.timestamp("us")),
        ("moment", pa.timestamp("us", "UTC")),
        ("flag", pa.bool_()),
        ("items", pa.list_(pa.int32())),
        ("a.b", pa.struct([("x", pa.string())])),
    ]
)
PARTITIONS = {
    "bucket(7, {})": ("id", "small", "amount", "rate", "text", "bytes", "day", "local", "moment"),
    "truncate(50, {})": ("id", "small"),
    "truncate(3, {})": ("text",),
    "year({})": ("day", "local", "moment"),
    "month({})": ("day", "local", "moment"),
    "day({})": ("local", "moment"),
    "hour({})": ("moment",),
    "identity({})": ("flag", "small", "rate"),
}
FUNCTIONS = {"year": "years", "month": "months", "day": "days", "hour": "hours"}
LAYOUTS = [form.format(column) for form, columns in PARTITIONS.items() for column in columns]


@pytest.fixture(scope="module")
def spark() -> Spark:
    return find_spark()


def drawn_row(number: int, chance: random.Random) -> dict[str, Any]:
    if number % 20 == 0:
        return {"id": number}
    first = dt.datetime(1930, 1, 1)
    local = first + dt.timedelta(microseconds=chance.randrange(150 * 365 * 86_400 * 10**6))
    return {
        "id": number,
        "version": 1,
        "small": chance.randrange(-10_000, 10_000),
        "amount": Decimal(chance.randrange(-(10**18), 10**18)).scaleb(-4),
        "rate": Decimal(chance.randrange(-9_999, 9_999)).scaleb(-2),
        "text": "".join(chance.choice("aä€😀 ") for _ in range(chance.randrange(8))),
        "bytes": chance.randbytes(chance.randrange(12)),
        "day": local.date(),
        "local": local,
        "moment": local.replace(tzinfo=dt.UTC),
        "flag": chance.random() < 0.5,
        "items": [number, None],
        "a.b": {"x": str(number)},
    }


def spark_expression(layout: str) -> str:
    """The transform, computed by Iceberg's Java library."""
    name, _, rest = layout.rstrip(")").partition("(")
    *count, column = rest.split(", ")
    if name == "identity":
        return f"`{column}`"
    return f"ingest.system.{FUNCTIONS.get(name, name)}({', '.join([*count, f'`{column}`'])})"


def test_partitions_are_those_that_iceberg_itself_computes(tmp_path: Path, spark: Spark) -> None:
    """The value in the manifest of each row's file; so a filter of the column finds every row."""
    chance, warehouse = random.Random(7), tmp_path / "lake"
    batch = pa.RecordBatch.from_pylist([drawn_row(number, chance) for number in range(300)], schema=SCHEMA)
    statements = []
    for number, layout in enumerate(LAYOUTS):
        world = LaidOutIceberg(warehouse, Layout(partition_by=(layout,)))
        load = Load(world, WriteMode.UPSERT, unit=f"t{number}", schema=SCHEMA)
        load.commit(load.prepare(batch, first=True))
        (field,) = world.table(load.target).spec().fields
        wrong = f"sum(if({spark_expression(layout)} <=> _partition.`{field.name}`, 0, 1))"
        statements.append(f"select count(*), count(distinct id), {wrong} from ingest.shop.t{number}")
        column = world.table(load.target).schema().find_column_name(field.source_id)
        found = f"select count(*) from ingest.shop.t0 a join ingest.shop.t{number} b on a.id = b.id"
        statements.append(f"{found} and a.`{column}` <=> b.`{column}`")
    answers = spark.run(warehouse, *statements)
    assert dict(zip(LAYOUTS, answers[::2], strict=True)) == {layout: [[300, 300, 0]] for layout in LAYOUTS}
    assert answers[1::2] == [[[300]]] * len(LAYOUTS)


def test_every_value_is_read_as_it_was_written(tmp_path: Path, spark: Spark) -> None:
    chance, world = random.Random(8), IcebergWorld(tmp_path / "lake")
    rows = [drawn_row(number, chance) for number in range(200)]
    load = Load(world, WriteMode.APPEND, unit="t", schema=SCHEMA)
    load.commit(load.prepare(pa.RecordBatch.from_pylist(rows, schema=SCHEMA), first=True))
    values = (
        "id, small, amount, rate, text, hex(bytes), day, date_format(local, 'yyyy-MM-dd HH:mm:ss.SSSSSS'), "
        "unix_micros(moment), flag, items, `a.b`.x"
    )
    (found,) = spark.run(tmp_path / "lake", f"select {values} from ingest.shop.t order by id")
    assert found == [as_spark_prints(row) for row in rows]


def as_spark_prints(row: dict[str, Any]) -> list[Any]:
    amount, rate, local, moment = (row.get(name) for name in ("amount", "rate", "local", "moment"))
    since = (
        None if moment is None else (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    )
    return [
        row["id"],
        row.get("small"),
        None if amount is None else f"{amount:.4f}",
        None if rate is None else f"{rate:.2f}",
        row.get("text"),
        None if row.get("bytes") is None else row["bytes"].hex().upper(),
        None if row.get("day") is None else str(row["day"]),
        None if local is None else local.strftime("%Y-%m-%d %H:%M:%S.%f"),
        since,
        row.get("flag"),
        row.get("items"),
        row["a.b"]["x"] if "a.b" in row else None,
    ]


def test_rows_that_spark_changed_are_written_again_and_its_maintenance_disturbs_nothing(
    tmp_path: Path, spark: Spark
) -> None:
    """Positional deletes, manifests that were written again, expired snapshots, a column that Spark added."""
    world = IcebergWorld(tmp_path / "lake")
    load = Load(world, WriteMode.UPSERT, unit="t")
    load.put(*((number, 1, "first") for number in range(100)), first=True)
    load.put(*((number, 1, "second") for number in range(100, 200)))
    table = "ingest.shop.t"
    modes = ", ".join(f"'write.{what}.mode' = 'merge-on-read'" for what in ("delete", "update", "merge"))
    *_, (counts,) = spark.run(
        world.root,
        f"alter table {table} set tblproperties ({modes})",
        f"delete from {table} where id in (5, 105)",
        f"update {table} set text = 'by Spark' where id in (6, 106)",
        f"merge into {table} t using (select 7L id) s on t.id = s.id when matched then update set text = 'merged'",
        "call ingest.system.rewrite_manifests('shop.t')",
        "call ingest.system.expire_snapshots(table => 'shop.t', older_than => timestamp '2100-01-01', retain_last => 1)",
        f"alter table {table} add column note string",
        f"select count(*), count_if(text = 'by Spark'), count_if(text = 'merged') from {table}",
    )
    assert counts == [198, 2, 1]
    load.reopen()
    assert sorted(row["id"] for row in world.read_all(load.target)) == sorted({*range(200)} - {5, 105})
    load.put((5, 2, "again"), (6, 2, "again"), (7, 2, "again"), (150, 2, "again"), (300, 1, "new"))
    expected = {number: "first" if number < 100 else "second" for number in range(200) if number != 105}
    expected |= {106: "by Spark", 300: "new", **dict.fromkeys((5, 6, 7, 150), "again")}
    (found,) = spark.run(world.root, f"select id, text from {table} order by id")
    assert found == [list(row) for row in sorted(expected.items())]
