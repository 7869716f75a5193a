"""Merges prepared files into a Delta table by key: the newer version wins, in whatever order versions arrive.

NULLs in a key equal each other, as they do at the source that declares the key. A NULL version is older than any other. Of equal
versions, and without a version column, the later row wins: later in the group, later in its slice. A row of the table that is newer
than the prepared row stays, and the prepared row counts as deduplicated.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.table import TableMerger

from ingest_ray.sdk.scratch_database import open_scratch
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.read_ahead import ReadAhead

ORDER = "_ingest_order"

CHANGES_NOTHING = "ingestChangesNothing"  # in the log: of a commit without rows, whose merge found nothing to change


def find_superseded_rows(files: TableFiles, names: Sequence[str], schema: pa.Schema, target: Target) -> pa.Array:
    """The positions, over all prepared files, of rows that another row with the same key supersedes."""
    columns = [*target.key, *([target.version_column] if target.version_column else [])]
    order = internal_name(ORDER, columns)
    narrow = pa.schema([*(schema.field(name) for name in dict.fromkeys(columns)), pa.field(order, pa.int64())])
    prepared = read_batches_as(narrow, _number_rows(files, names, narrow))
    newest = f"{quoted(target.version_column)} desc nulls last, " if target.version_column else ""
    keys = ", ".join(quoted(name) for name in target.key)
    connection = open_scratch()
    try:
        connection.register("prepared", prepared)
        positions: pa.Table = connection.sql(
            f"select {order} from (select {order}, row_number() over (partition by {keys} order by {newest}{order} desc)"
            f" as rank from prepared) where rank > 1 order by {order}"
        ).to_arrow_table()
        return positions.column(0).combine_chunks()
    finally:
        connection.close()


def merge(
    table: DeltaTable,
    files: TableFiles,
    names: Sequence[str],
    schema: pa.Schema,
    target: Target,
    dropped: pa.Array,
    properties: CommitProperties,
    within: str = "",
) -> dict[str, int]:
    """One commit; returns Delta's metrics. `within`: a condition that the table's rows of these keys meet."""
    values = {quoted(name): f"s.{quoted(name)}" for name in schema.names}
    with ReadAhead(_remaining_rows(files, names, schema, dropped)) as batches:
        source = read_batches_as(schema, batches)
        merger = table.merge(
            source,
            same_key(target, within),
            source_alias="s",
            target_alias="t",
            streamed_exec=True,
            commit_properties=properties,
            post_commithook_properties=AFTER_COMMIT,
            writer_properties=writer_properties(table, pa.schema(table.schema().to_arrow())),
        )
        merger = merger.when_matched_update(values, predicate=_is_newer(target))
        return execute_merge(table, merger.when_not_matched_insert(values), properties)


def same_key(target: Target, within: str = "") -> str:
    """The condition of a merge: the same key, and what every row of the table `t` with one of the keys meets besides."""
    by_key = " AND ".join(f"(s.{quoted(name)} IS NOT DISTINCT FROM t.{quoted(name)})" for name in target.key)
    return f"{by_key} AND {within}" if within else by_key


def execute_merge(table: DeltaTable, merger: TableMerger, properties: CommitProperties) -> dict[str, Any]:
    """One commit, also where the merge changes no row: the library writes nothing then, and the number would be missing in the log.

    Returns the metrics of the merge. Between the two steps nothing can come: the second is refused where the table has changed.
    """
    before = table.version()
    metrics: dict[str, Any] = merger.execute()
    if table.version() == before:
        empty = CommitProperties(
            custom_metadata={**(properties.custom_metadata or {}), CHANGES_NOTHING: True},
            max_commit_retries=0,
            app_transactions=properties.app_transactions,
        )
        table.create_write_transaction(
            [], "append", table.schema(), commit_properties=empty, post_commithook_properties=AFTER_COMMIT
        )
    return metrics


def _is_newer(target: Target) -> str | None:
    if target.version_column is None:
        return None
    version = quoted(target.version_column)
    return f"t.{version} IS NULL OR s.{version} >= t.{version}"


def _number_rows(files: TableFiles, names: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in read_batches(files, names, schema.names[:-1]):
        numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
        start += batch.num_rows
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)


def _remaining_rows(
    files: TableFiles, names: Sequence[str], schema: pa.Schema, dropped: pa.Array
) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in read_batches(files, names, schema.names):
        remaining = batch
        if len(dropped):
            numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
            remaining = batch.filter(pc.invert(pc.is_in(numbers, value_set=dropped)))
        start += batch.num_rows
        yield remaining.cast(schema)


def read_batches(files: TableFiles, names: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for name in names:
        with files.open(name) as source:
            for batch in pq.ParquetFile(source).iter_batches(columns=list(columns)):
                yield batch.select(list(columns))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
