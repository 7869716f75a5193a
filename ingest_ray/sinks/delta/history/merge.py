"""Merges prepared rows into a history in a Delta table: one merge by key and `_valid_from`, which no two rows share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from ingest_ray.sdk.key_sums import literal
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.commits import CommitCounts
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import execute_merge, quoted, read_batches, same_key
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.delta.table_features import refuse_removal
from ingest_ray.sinks.history.columns import IS_CURRENT, VALID_FROM, VALID_TO
from ingest_ray.sinks.history.log_changes import compared_columns, numbered_rows
from ingest_ray.sinks.history.match import changed_rows, plan_commit, rows_of_keys
from ingest_ray.sinks.history.plan import HistoryPlan
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.value_conversion import convert_batch

BEGIN = "_ingest_begin"


def merge_history(
    table: DeltaTable,
    files: TableFiles,
    names: Sequence[str],
    schema: pa.Schema,
    target: Target,
    properties_of: Callable[[int], CommitProperties],
    within: str = "",
) -> CommitCounts:
    """One commit. `schema`: the columns of the prepared files; `properties_of` gets the number of rows that the table has already."""
    coming = pa.Table.from_batches((batch.cast(schema) for batch in read_batches(files, names, schema.names)), schema)
    numbered = numbered_rows(coming)
    stored = numbered_rows(pa.Table.from_batches(stored_rows(table, numbered, schema, target, within), schema))
    values = compared_columns(schema)
    plan = plan_commit(numbered, stored, values, target)
    dropped = coming.num_rows - plan.rows
    merge_planned(table, plan, numbered, stored, schema, target, properties_of(dropped), within)
    return CommitCounts(plan.rows, dropped)


def merge_planned(
    table: DeltaTable,
    plan: HistoryPlan,
    coming: pa.Table,
    stored: pa.Table,
    schema: pa.Schema,
    target: Target,
    properties: CommitProperties,
    within: str = "",
) -> None:
    """The commit. `coming`, `stored`: the rows that the plan has numbers of."""
    changed = changed_rows(plan, coming, stored)
    begin = internal_name(BEGIN, schema.names)
    kind = schema.field(VALID_FROM).type
    source = pa.concat_tables(
        [
            changed.updated.append_column(begin, changed.updated.column(VALID_FROM)),
            changed.opened.append_column(begin, pa.nulls(changed.opened.num_rows, kind)),
        ]
    )
    values_of = {quoted(name): f"s.{quoted(name)}" for name in schema.names}
    merger = table.merge(
        source,
        # not `=`: the join would hash that column only, and rows of one load share it. A new row has NULL, which no stored row has
        f"{same_key(target, within)} AND (s.{quoted(begin)} IS NOT DISTINCT FROM t.{quoted(VALID_FROM)})",
        source_alias="s",
        target_alias="t",
        commit_properties=properties,
        post_commithook_properties=AFTER_COMMIT,
        writer_properties=writer_properties(table, pa.schema(table.schema().to_arrow())),
    )
    execute_merge(table, merger.when_matched_update(values_of).when_not_matched_insert(values_of), properties)


def close_rows(
    table: DeltaTable,
    target: Target,
    stored: pa.Schema,
    keys: Iterable[pa.RecordBatch],
    properties: CommitProperties,
    within: str = "",
) -> int:
    """Ends the current rows of keys that are gone: one commit; returns how many. `stored`: the table's own types."""
    key_schema = pa.schema([stored.field(name) for name in target.key])
    source = read_batches_as(key_schema, (convert_batch(batch, key_schema) for batch in keys))
    now = f"CAST('{datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}' AS TIMESTAMP)"
    begin = f"t.{quoted(VALID_FROM)}"
    refuse_removal(table, f"rows of unit '{target.unit_id}' are to be closed")
    merger = table.merge(
        source,
        same_key(target, within),
        source_alias="s",
        target_alias="t",
        commit_properties=properties,
        post_commithook_properties=AFTER_COMMIT,
        writer_properties=writer_properties(table, pa.schema(table.schema().to_arrow())),
    )
    merger = merger.when_matched_update(
        {
            quoted(VALID_TO): f"CASE WHEN {begin} > {now} THEN {begin} ELSE {now} END",
            quoted(IS_CURRENT): "false",
            quoted(DELETED_AT): now,
        },
        predicate=f"t.{quoted(IS_CURRENT)}",
    )
    return int(execute_merge(table, merger, properties)["num_target_rows_updated"])


def stored_rows(
    table: DeltaTable, coming: pa.Table, schema: pa.Schema, target: Target, within: str = ""
) -> Iterator[pa.RecordBatch]:
    """The table's rows of the keys of `coming`; files without keys in their range are not read, where the first part is an integer."""
    columns = ", ".join(f"t.{quoted(name)}" for name in schema.names)
    conditions = [one for one in (_within(coming, target.key[0]), within) if one]
    query = f"SELECT {columns} FROM t" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    reader = QueryBuilder().register("t", table).execute(query)
    batches = (pa.record_batch(batch).cast(schema) for batch in reader)
    yield from rows_of_keys(coming, target.key, batches)


def _within(coming: pa.Table, name: str) -> str:
    column = coming.column(name)
    if not pa.types.is_integer(column.type) or column.null_count or not coming.num_rows:
        return ""
    least, most = pc.min_max(column).as_py().values()
    return f"t.{quoted(name)} >= {literal(least)} AND t.{quoted(name)} <= {literal(most)}"
