"""Applies the changes of a table that a database's log has to a history in a Delta table: one merge.

A row begins and ends when its transaction was committed. The prepared files have one row for each key; columns that the log does not
repeat keep the value of the current row.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from ingest_ray.sdk.changes import COMMITTED_AT, DELETE, INSERT, OP, TRUNCATE, UNCHANGED
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.history.merge import compared_columns, merge_planned, numbered_rows, stored_rows
from ingest_ray.sinks.delta.log.commits import CommitCounts
from ingest_ray.sinks.delta.merge import quoted, read_batches
from ingest_ray.sinks.delta.table_features import refuse_removal
from ingest_ray.sinks.history.columns import HISTORY_COLUMNS, HISTORY_FIELDS, INSTANT, IS_CURRENT
from ingest_ray.sinks.history.match import NUMBER, close_before, current_rows_of, plan_commit
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived
from ingest_ray.sinks.prepared_changes import changes_schema
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS


def apply_history_changes(
    table: DeltaTable,
    files: TableFiles,
    names: Sequence[str],
    schema: pa.Schema,
    target: Target,
    properties_of: Callable[[int], CommitProperties],
    within: str = "",
) -> CommitCounts:
    """One commit. `schema`: the columns of the table, with those of a history. `within`: as of `merge`."""
    refuse_removal(table, f"rows of unit '{target.unit_id}' are to be closed")
    columns = changes_schema(pa.schema([field for field in schema if field.name not in HISTORY_COLUMNS]))
    batches = (batch.cast(columns) for batch in read_batches(files, names, columns.names))
    changes = pa.Table.from_batches(batches, columns)
    ops = changes.column(OP)
    truncated, deleted = changes.filter(pc.equal(ops, TRUNCATE)), changes.filter(pc.equal(ops, DELETE))
    stored = numbered_rows(_stored(table, changes, schema, target, within, is_all=truncated.num_rows > 0))
    ends = _ends(stored, truncated, deleted, target)
    is_written = pc.invert(pc.is_in(ops, value_set=pa.array([TRUNCATE, DELETE])))
    coming = _whole_rows(changes.filter(is_written), stored, schema, target)
    numbered = numbered_rows(coming)
    values = compared_columns(schema)
    closed, closes = close_before(stored, ends)
    plan = plan_commit(numbered, closed, values, target, is_ordered=True)
    planned = {row.id for row in plan.closes}
    plan.closes += [row for row in closes if row.id not in planned]
    committed = plan.rows + truncated.num_rows + deleted.num_rows
    dropped = changes.num_rows - committed
    merge_planned(table, plan, numbered, stored, schema, target, properties_of(dropped), within)
    return CommitCounts(committed, dropped)


def _stored(
    table: DeltaTable, changes: pa.Table, schema: pa.Schema, target: Target, within: str, *, is_all: bool
) -> pa.Table:
    if not is_all:
        return pa.Table.from_batches(stored_rows(table, changes, schema, target, within), schema)
    columns = ", ".join(f"t.{quoted(name)}" for name in schema.names)
    reader = QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t")
    return pa.Table.from_batches((pa.record_batch(batch).cast(schema) for batch in reader), schema)


def _ends(stored: pa.Table, truncated: pa.Table, deleted: pa.Table, target: Target) -> dict[int, int]:
    """When each current row that is gone was deleted, by its number."""
    ends: dict[int, int] = {}
    if truncated.num_rows:
        time = pc.max(truncated.column(COMMITTED_AT)).cast(pa.int64())
        current = pc.fill_null(stored.column(IS_CURRENT), False)
        ends = dict.fromkeys(stored.filter(current).column(NUMBER).to_pylist(), time.as_py())
    times = deleted.column(COMMITTED_AT).cast(INSTANT).cast(pa.int64()).to_pylist()
    for time_us, number in zip(times, current_rows_of(deleted, stored, target.key), strict=True):
        if number is not None:
            ends[number] = time_us
    return ends


def _whole_rows(changes: pa.Table, stored: pa.Table, schema: pa.Schema, target: Target) -> pa.Table:
    """The changed rows with the values of their current rows that the log does not repeat; without those whose rows are unknown."""
    known = pa.array(current_rows_of(changes, stored, target.key), pa.int64())
    unchanged = changes.column(UNCHANGED)
    is_orphan = pc.and_(pc.and_(pc.is_valid(unchanged), pc.not_equal(changes.column(OP), INSERT)), pc.is_null(known))
    kept = pc.invert(is_orphan)
    changes, known, unchanged = (
        changes.filter(kept),
        pc.filter(known, kept.combine_chunks()),
        pc.filter(unchanged, kept),
    )
    arrays, position = [], 0
    begins = dict(zip(HISTORY_COLUMNS, _validity(changes), strict=True))
    for field in schema:
        if field.name in begins:
            arrays.append(begins[field.name].cast(field.type))
            continue
        column = changes.column(field.name).cast(field.type)
        if field.name not in PROVENANCE_COLUMNS and not is_derived(field):
            is_kept = pc.fill_null(pc.equal(pc.utf8_slice_codeunits(unchanged, position, position + 1), "1"), False)
            position += 1
            if pc.any(is_kept).as_py():
                before = stored.column(field.name).combine_chunks().take(known)
                column = pc.if_else(is_kept.combine_chunks(), before, column.combine_chunks())
        arrays.append(column)
    columns = pa.schema([field.with_nullable(True) for field in schema])
    rows = pa.table(arrays, schema=columns).combine_chunks()
    derived = (add_partitions(batch, columns, target.endpoint_id) for batch in rows.to_batches())
    return pa.Table.from_batches(derived, columns)


def _validity(changes: pa.Table) -> list[pa.Array]:
    rows = changes.num_rows
    kinds = [field.type for field in HISTORY_FIELDS]
    return [changes.column(COMMITTED_AT).cast(kinds[0]), pa.nulls(rows, kinds[1]), pa.repeat(pa.scalar(True), rows)]
