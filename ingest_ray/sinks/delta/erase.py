"""Erases rows of a Delta table by key, as tombstones or by deletion, and reads the keys that a table has."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import execute_merge, quoted, same_key
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.delta.table_features import refuse_removal
from ingest_ray.sinks.history.columns import IS_CURRENT, keeps_history
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.value_conversion import convert_back, convert_batch

EraseMode = Literal["tombstone", "delete"]


def key_schema(target: Target, schema: pa.Schema) -> pa.Schema:
    return pa.schema([schema.field(name) for name in target.key])


def is_alive(table: DeltaTable, target: Target) -> str:
    """The condition of rows that are no tombstones; of a history, of current rows."""
    if keeps_history(target):
        return f"t.{quoted(IS_CURRENT)}"
    has_tombstones = DELETED_AT in [field.name for field in table.schema().fields]
    return f't."{DELETED_AT}" IS NULL' if has_tombstones else "1 = 1"


def read_keys(table: DeltaTable, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The keys of living rows, in the types of `schema`."""
    wanted = key_schema(target, schema)
    key_columns = ", ".join(f"t.{quoted(name)}" for name in target.key)
    reader = QueryBuilder().register("t", table).execute(f"SELECT {key_columns} FROM t WHERE {is_alive(table, target)}")
    for batch in reader:
        columns = [
            convert_back(column, field.type)
            for column, field in zip(pa.record_batch(batch).columns, wanted, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=wanted)


def erase(
    table: DeltaTable,
    target: Target,
    stored: pa.Schema,
    keys: Iterable[pa.RecordBatch],
    how: EraseMode,
    properties: CommitProperties,
    within: str = "",
) -> int:
    """One commit; returns the number of rows that were marked or removed. `stored`: the table's own types."""
    keys_as_stored = key_schema(target, stored)
    source = read_batches_as(keys_as_stored, (convert_batch(batch, keys_as_stored) for batch in keys))
    refuse_removal(table, f"rows of unit '{target.unit_id}' are to be erased")
    merger = table.merge(
        source,
        same_key(target, within),
        source_alias="s",
        target_alias="t",
        commit_properties=properties,
        post_commithook_properties=AFTER_COMMIT,
        writer_properties=writer_properties(table, pa.schema(table.schema().to_arrow())),
    )
    if how == "delete":
        metrics = execute_merge(table, merger.when_matched_delete(), properties)
        return int(metrics["num_target_rows_deleted"])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    gone = {f'"{DELETED_AT}"': f"CAST('{now}' AS TIMESTAMP)"}
    merger = merger.when_matched_update(gone, predicate=f't."{DELETED_AT}" IS NULL')
    metrics = execute_merge(table, merger, properties)
    return int(metrics["num_target_rows_updated"])
