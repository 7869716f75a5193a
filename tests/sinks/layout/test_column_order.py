"""Each path that writes rows of a Delta table again, where the table's columns are in another order than the sink would make them.

A column that is added later comes after those of provenance, and other writers order columns as they like.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ingest_ray.sdk.types import Layout, WriteMode
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.layout.partitions import add_partitions, with_partitions
from ingest_ray.sinks.provenance import PROVENANCE_FIELDS
from tests.sinks.layout.test_delta_layout import LaidOutWorld, Unit, at, upkeep

COLUMNS = [("id", pa.int64()), ("version", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("n", pa.int16())]
BEFORE = pa.schema(COLUMNS)
# of the types of the columns of provenance: a shift by place would move values without a word
ADDED = [("a", pa.string()), ("b", pa.string()), ("c", COLUMNS[2][1]), ("d", COLUMNS[2][1])]
AFTER = pa.schema([*COLUMNS, *ADDED])
WIDER = AFTER.set(3, pa.field("n", pa.int64()))
Step = Callable[[Unit], None]


def added_row(number: int) -> dict[str, Any]:
    texts = {name: f"{name}{number}" for name in ("a", "b")}
    return {"id": number, "version": 1, "at": at(number % 2), "n": number, **texts, "c": at(number), "d": at(9, number)}


def grown_table(folder: Path, layout: Layout, write: WriteMode) -> Unit:
    """Rows 1 and 2 from before four columns were added, 3 and 4 from after it."""
    load = Unit(LaidOutWorld(folder / "lake", layout), write, schema=BEFORE, version=None)
    load.commit(load.prepare(pa.record_batch([[1, 2], [1, 1], [at(0), at(1)], [1, 2]], schema=BEFORE), first=True))
    load.schema = AFTER
    load.reopen()
    load.commit(load.prepare(pa.RecordBatch.from_pylist([added_row(3), added_row(4)], schema=AFTER), first=True))
    return load


def widen(load: Unit) -> None:
    load.schema = WIDER
    load.reopen()


def lay_out(layout: Layout) -> Step:
    def change(load: Unit) -> None:
        load.epoch += 1
        assert isinstance(load.world, LaidOutWorld)
        load.world.layout = layout
        load.sink = load.world.open()
        upkeep(load).relayout(load.target, load.schema, load.epoch)
        load.reopen()

    return change


def compact(load: Unit) -> None:
    assert upkeep(load).compact(load.target).files_removed > 0


def demand(load: Unit) -> None:
    load.table.alter.add_constraint({"positive": "id > 0"})
    load.sink = load.world.open()
    load.reopen()


def reorder(load: Unit) -> None:
    """As another writer may leave the table: with its columns backwards."""
    table = load.table
    rows = pa.table(table.to_pyarrow_table())
    reversed_columns = [
        field.with_metadata({key.encode(): str(value).encode() for key, value in stored.metadata.items()})
        for field, stored in zip(rows.schema, table.schema().fields, strict=True)
    ][::-1]
    rows = rows.select(rows.column_names[::-1]).cast(pa.schema(reversed_columns))
    by = table.metadata().partition_columns or None
    write_deltalake(table, rows, mode="overwrite", schema_mode="overwrite", partition_by=by)
    load.sink = load.world.open()
    load.reopen()


def update(load: Unit) -> None:
    """A merge, or rows that are added, after the table was written again."""
    load.commit(load.prepare(pa.RecordBatch.from_pylist([added_row(5)], schema=load.schema)))


BY_MONTH = Layout(partition_by=("month(at)", "truncate(2, n)"))
FLAT = Layout(partition_by=())
STEPS: dict[str, tuple[Layout, list[Step]]] = {
    "widened": (Layout(), [widen]),
    "widened in partitions": (BY_MONTH, [widen]),
    "widened where rows are checked": (Layout(), [demand, widen]),
    "widened as another writer left it": (Layout(), [reorder, widen]),
    "widened in partitions that another writer left": (BY_MONTH, [reorder, widen, lay_out(FLAT)]),
    "without partitions": (BY_MONTH, [lay_out(FLAT)]),
    "with partitions": (Layout(), [lay_out(BY_MONTH)]),
    "in other partitions": (BY_MONTH, [lay_out(Layout(partition_by=("day(at)",), cluster_by=("b",))), widen]),
    "compacted": (Layout(cluster_by=("a",)), [compact, widen]),
    "compacted in partitions": (Layout(partition_by=("month(at)",)), [compact, widen]),
    "compacted as another writer left it": (Layout(compact_after=1), [reorder, update, compact, widen]),
}


@pytest.mark.parametrize("write", [WriteMode.UPSERT, WriteMode.APPEND, WriteMode.HISTORY])
@pytest.mark.parametrize("name", STEPS)
def test_every_value_stays_in_its_column(tmp_path: Path, name: str, write: WriteMode) -> None:
    layout, steps = STEPS[name]
    load = grown_table(tmp_path, layout, write)
    for step in steps:
        step(load)
    if update not in steps:
        update(load)
    found = sorted(load.world.read_all(load.target), key=lambda row: row["id"])
    names = ("id", "n", "a", "b", "c", "d")
    assert [tuple(row[name] for name in names) for row in found] == [
        (1, 1, None, None, None, None),
        (2, 2, None, None, None, None),
        *(tuple(added_row(number)[name] for name in names) for number in (3, 4, 5)),
    ]
    assert {row["_ingest_run_id"] for row in found} == {"run-1"}
    assert all(row["_deleted_at"] is None for row in found)


def test_a_widened_table_has_its_columns_where_they_were(tmp_path: Path) -> None:
    load = grown_table(tmp_path, BY_MONTH, WriteMode.UPSERT)
    before = [field.name for field in load.table.schema().fields]
    widen(load)
    assert [field.name for field in load.table.schema().fields] == before


def test_rows_without_partitions_are_in_the_order_of_their_schema() -> None:
    own = pa.schema([*PROVENANCE_FIELDS[:1], ("a", pa.string())])
    rows = add_partitions(pa.record_batch([["run"], ["value"]], schema=own), with_partitions(own, ()), "shop")
    assert rows.to_pylist() == [{"a": "value", "_ingest_run_id": "run"}]


@pytest.mark.parametrize(
    "found", [pa.record_batch([["b"], ["a"]], names=["b", "a"]), pa.record_batch([[1], ["b"]], names=["a", "b"])]
)
def test_a_reader_refuses_batches_that_are_not_as_it_says(found: pa.RecordBatch) -> None:
    """Arrow would take their columns by place: https://github.com/apache/arrow/blob/main/python/pyarrow/ipc.pxi"""
    wanted: Any = pa.schema([("a", pa.string()), ("b", pa.string())])
    with pytest.raises(Exception, match="rows of columns"):
        read_batches_as(wanted, [found]).read_all()
