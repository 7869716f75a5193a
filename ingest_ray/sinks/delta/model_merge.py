"""Merges prepared files of one CDM model into its Delta table: new rows, and the erasure of stale ones, in one commit.

Which rows those are: `lake_models.selection`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from ingest_ray.cdm.models import KEY
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.delta.erase import EraseMode
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import quoted, read_batches
from ingest_ray.sinks.delta.statistics import writer_properties
from ingest_ray.sinks.lake_models.selection import NARROW, MergeSelection, ModelSelection, StoredRows
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.read_ahead import ReadAhead

IS_STALE = "_ingest_gone"


class ModelMerge:
    def __init__(
        self, table: DeltaTable, files: TableFiles, target: Target, columns: pa.Schema, siblings: Sequence[DeltaTable]
    ) -> None:
        self._table = table
        self._files = files
        self._target = target
        self._columns = columns
        self._selection = ModelSelection(target, _rows_of(table), [_rows_of(one) for one in siblings])

    def select(self, names: Sequence[str]) -> MergeSelection:
        """Which of the prepared rows to merge, and which stored rows they make stale."""
        batches = [batch.cast(NARROW) for batch in read_batches(self._files, names, NARROW.names)]
        return self._selection.select(pa.Table.from_batches(batches, NARROW))

    def select_by_source_keys(self, source_keys: pa.ChunkedArray) -> MergeSelection:
        """No winners; the rows that were made from these source rows are stale."""
        return self._selection.select_by_source_keys(source_keys)

    def commit(
        self,
        names: Sequence[str],
        selection: MergeSelection,
        how: EraseMode,
        properties: CommitProperties,
    ) -> None:
        """One commit, also where nothing changes: its number must be in the table, and an empty merge writes no commit."""
        if not selection.winners and not selection.stale:
            self._table.create_write_transaction(
                [],
                "append",
                self._table.schema(),
                commit_properties=properties,
                post_commithook_properties=AFTER_COMMIT,
            )
            return
        schema = pa.schema([*self._columns, pa.field(IS_STALE, pa.bool_())])
        values = {quoted(name): f"s.{quoted(name)}" for name in self._columns.names}
        with ReadAhead(self._merge_source(names, selection, schema)) as batches:
            source = read_batches_as(schema, batches)
            merger = self._table.merge(
                source,
                f"s.{quoted(KEY)} = t.{quoted(KEY)}",
                source_alias="s",
                target_alias="t",
                streamed_exec=True,
                commit_properties=properties,
                post_commithook_properties=AFTER_COMMIT,
                writer_properties=writer_properties(self._table, pa.schema(self._table.schema().to_arrow())),
            )
            merger = merger.when_matched_update(values, predicate=f"NOT s.{quoted(IS_STALE)}")
            if how == "delete":
                merger = merger.when_matched_delete(predicate=f"s.{quoted(IS_STALE)}")
            else:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                merger = merger.when_matched_update(
                    {quoted(DELETED_AT): f"CAST('{now}' AS TIMESTAMP)"}, predicate=f"s.{quoted(IS_STALE)}"
                )
            merger.when_not_matched_insert(values, predicate=f"NOT s.{quoted(IS_STALE)}").execute()

    def _merge_source(
        self, names: Sequence[str], selection: MergeSelection, schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        start = 0
        own = pa.schema([field for field in self._columns if not is_derived(field)])
        for batch in read_batches(self._files, names, own.names):  # prepared before the table had its partitions, maybe
            numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
            start += batch.num_rows
            winners = batch.filter(pc.invert(pc.is_in(numbers, value_set=selection.dropped))).cast(own)
            winners = add_partitions(winners, self._columns, self._target.endpoint_id)
            yield pa.RecordBatch.from_arrays([*winners.columns, pa.repeat(False, winners.num_rows)], schema=schema)
        count = len(selection.stale)
        if count:
            columns = [
                pa.array(selection.stale, pa.string()) if field.name == KEY else pa.nulls(count, field.type)
                for field in self._columns
            ]
            yield pa.RecordBatch.from_arrays([*columns, pa.repeat(True, count)], schema=schema)


def _rows_of(table: DeltaTable) -> StoredRows:
    return lambda columns: _reader(table, columns)


def _reader(table: DeltaTable, columns: Sequence[str]) -> pa.RecordBatchReader:
    """A stream through Delta's own engine, which reads statistics and features that Arrow's dataset does not know."""
    stored = pa.schema(table.schema().to_arrow())
    schema = pa.schema([stored.field(name) for name in columns])
    selected = ", ".join(f"t.{quoted(name)}" for name in columns)
    rows = QueryBuilder().register("t", table).execute(f"SELECT {selected} FROM t")
    return read_batches_as(schema, (pa.record_batch(batch).cast(schema) for batch in rows))
