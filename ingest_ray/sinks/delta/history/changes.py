"""Applies the changes of a table that a database's log has to a history in a Delta table: one merge.

A row begins and ends when its transaction was committed. The prepared files have one row for each key; columns that the log does not
repeat keep the value of the current row.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from ingest_ray.sdk.changes import OP, TRUNCATE
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.history.merge import merge_planned, stored_rows
from ingest_ray.sinks.delta.log.commits import CommitCounts
from ingest_ray.sinks.delta.merge import quoted, read_batches
from ingest_ray.sinks.delta.table_features import refuse_removal
from ingest_ray.sinks.history.columns import HISTORY_COLUMNS
from ingest_ray.sinks.history.log_changes import numbered_rows, plan_changes
from ingest_ray.sinks.prepared_changes import changes_schema


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
    is_truncated = bool(pc.any(pc.equal(changes.column(OP), TRUNCATE)).as_py())
    stored = numbered_rows(_stored(table, changes, schema, target, within, is_all=is_truncated))
    planned = plan_changes(changes, stored, schema, target)
    dropped = changes.num_rows - planned.committed
    merge_planned(table, planned.plan, planned.coming, stored, schema, target, properties_of(dropped), within)
    return CommitCounts(planned.committed, dropped)


def _stored(
    table: DeltaTable, changes: pa.Table, schema: pa.Schema, target: Target, within: str, *, is_all: bool
) -> pa.Table:
    if not is_all:
        return pa.Table.from_batches(stored_rows(table, changes, schema, target, within), schema)
    columns = ", ".join(f"t.{quoted(name)}" for name in schema.names)
    reader = QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t")
    return pa.Table.from_batches((pa.record_batch(batch).cast(schema) for batch in reader), schema)
