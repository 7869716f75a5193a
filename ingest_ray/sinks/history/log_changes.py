"""Plans a commit of the changes that a database's log has to a history in a lake: deletes close rows, other changes open them.

A row begins and ends when its transaction was committed. There is one change for each key; columns that the log does not repeat keep the
value of the current row.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.changes import COMMITTED_AT, DELETE, INSERT, OP, TRUNCATE, UNCHANGED
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.history.columns import HISTORY_COLUMNS, HISTORY_FIELDS, INSTANT, IS_CURRENT
from ingest_ray.sinks.history.match import NUMBER, close_before, current_rows_of, plan_commit
from ingest_ray.sinks.history.plan import HistoryPlan
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS


@dataclass(frozen=True)
class PlannedChanges:
    plan: HistoryPlan
    coming: pa.Table
    """The rows that the plan opens or that replace values, with `NUMBER`."""
    committed: int
    """The changes that count; the others are updates of rows that the table has not, without all of their values."""


def plan_changes(changes: pa.Table, stored: pa.Table, columns: pa.Schema, target: Target) -> PlannedChanges:
    """`stored`: all rows of the keys of `changes`, with `NUMBER`; after a truncate, all rows. `columns`: the table's, in the order of the
    source's where they are of it."""
    ops = changes.column(OP)
    truncated, deleted = changes.filter(pc.equal(ops, TRUNCATE)), changes.filter(pc.equal(ops, DELETE))
    is_written = pc.invert(pc.is_in(ops, value_set=pa.array([TRUNCATE, DELETE])))
    coming = numbered_rows(_whole_rows(changes.filter(is_written), stored, columns, target))
    closed, closes = close_before(stored, _ends(stored, truncated, deleted, target))
    plan = plan_commit(coming, closed, compared_columns(columns), target, is_ordered=True)
    planned = {row.id for row in plan.closes}
    plan.closes += [row for row in closes if row.id not in planned]
    return PlannedChanges(plan, coming, plan.rows + truncated.num_rows + deleted.num_rows)


def compared_columns(schema: pa.Schema) -> list[str]:
    """The columns of the source: a row with other values in them is another version."""
    added = (*PROVENANCE_COLUMNS, *HISTORY_COLUMNS)
    return [field.name for field in schema if field.name not in added and not is_derived(field)]


def numbered_rows(rows: pa.Table) -> pa.Table:
    return rows.append_column(NUMBER, pa.array(range(rows.num_rows), pa.int64()))


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
