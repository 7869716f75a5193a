"""Applies the changes of a table that a database's log has: one merge, which updates, inserts and deletes by key.

The prepared files have one row for each key, with the columns of a change. Columns that the log does not repeat keep the value of the
table's row.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable

from ingest_ray.sdk.changes import DELETE, INSERT, OP, TRUNCATE, UNCHANGED
from ingest_ray.sdk.types import Partition, Prepared, Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.table_partitions import table_partitions
from ingest_ray.sinks.delta.log.commits import CommitCounts
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import execute_merge, quoted, read_batches, same_key
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.delta.table_features import refuse_removal
from ingest_ray.sinks.prepared_changes import TRUNCATES, UPSERTS, changes_schema
from ingest_ray.sinks.provenance import DELETED_AT, PROVENANCE_COLUMNS
from ingest_ray.sinks.read_ahead import ReadAhead

log = logging.getLogger(__name__)


def apply_changes(
    table: DeltaTable,
    files: TableFiles,
    names: Sequence[str],
    schema: pa.Schema,
    target: Target,
    prepared: Prepared,
    properties: CommitProperties,
    within: str = "",
) -> CommitCounts:
    """One commit. Updates without a row whose other values they keep count as deduplicated. `within`: as of `merge`."""
    refuse_removal(table, f"rows of unit '{target.unit_id}' are to be deleted")
    columns = changes_schema(schema)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    gone = {quoted(DELETED_AT): f"CAST('{now}' AS TIMESTAMP)"}
    with ReadAhead(_row_batches(files, names, columns)) as batches:
        merger = table.merge(
            read_batches_as(columns, batches),
            same_key(target, within),
            source_alias="s",
            target_alias="t",
            streamed_exec=not prepared.payload.get(TRUNCATES),
            commit_properties=properties,
            post_commithook_properties=AFTER_COMMIT,
            writer_properties=writer_properties(table, pa.schema(table.schema().to_arrow())),
        )
        if target.deletes == "delete":
            merger = merger.when_matched_delete(predicate=f"s.{OP} = '{DELETE}'")
        else:
            alive = f"s.{OP} = '{DELETE}' AND t.{quoted(DELETED_AT)} IS NULL"
            merger = merger.when_matched_update(gone, predicate=alive)
        merger = merger.when_matched_update(_values(schema, table_partitions(table)), predicate=f"s.{OP} <> '{DELETE}'")
        whole = {quoted(name): f"s.{quoted(name)}" for name in schema.names}
        is_new = f"s.{OP} = '{INSERT}' OR (s.{OP} <> '{DELETE}' AND s.{UNCHANGED} IS NULL)"
        merger = merger.when_not_matched_insert(whole, predicate=is_new)
        if prepared.payload.get(TRUNCATES):
            if target.deletes == "delete":
                merger = merger.when_not_matched_by_source_delete()
            else:
                merger = merger.when_not_matched_by_source_update(gone, predicate=f"t.{quoted(DELETED_AT)} IS NULL")
        metrics = execute_merge(table, merger, properties)
    return CommitCounts(prepared.rows - (orphans := _orphans(target, prepared, metrics)), orphans)


def _values(schema: pa.Schema, partitions: Sequence[Partition]) -> dict[str, str]:
    """What each column of a row of the table becomes. A derived partition stays where the column stays that it is derived from."""
    derived = {one.name: one.column for one in partitions if one.is_derived}
    own = [name for name in schema.names if name not in (*PROVENANCE_COLUMNS, *derived)]
    values = {quoted(name): _kept_or_new(name, own.index(name) + 1) for name in own}
    for name, column in derived.items():
        is_of_source = column in own
        values[quoted(name)] = _kept_or_new(name, own.index(column) + 1) if is_of_source else f"s.{quoted(name)}"
    return values | {quoted(name): f"s.{quoted(name)}" for name in PROVENANCE_COLUMNS}


def _kept_or_new(name: str, number: int) -> str:
    """`number`: of the column that decides, among those of a change."""
    return f"CASE WHEN substr(s.{UNCHANGED}, {number}, 1) = '1' THEN t.{quoted(name)} ELSE s.{quoted(name)} END"


def _orphans(target: Target, prepared: Prepared, metrics: dict[str, int]) -> int:
    """Updates without a row; not counted where tombstones are, whose number Delta does not tell from that of updates."""
    if target.deletes != "delete":
        return 0
    written = int(metrics["num_target_rows_inserted"]) + int(metrics["num_target_rows_updated"])
    orphans = max(0, int(str(prepared.payload[UPSERTS])) - written)
    if orphans:
        log.warning("%s: %d updates have no row whose other values they keep", target.unit_id, orphans)
    return orphans


def _row_batches(files: TableFiles, names: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in read_batches(files, names, schema.names):
        yield batch.filter(pc.not_equal(batch.column(OP), TRUNCATE)).cast(schema)
