"""Delta Lake: a table per unit, its files written in parallel, each commit one transaction of the table's log.

Prepared rows are Parquet files in the table's directory that the log does not name yet. Appends, full refreshes and first loads add
them to the log unchanged; an upsert merges them, or writes them as one file where all of their keys are new, and then deletes them.
`vacuum` removes the files that dead processes leave.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable
from pydantic import JsonValue

from ingest_ray.sdk.contracts import Misfit, SinkProgress
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target
from ingest_ray.sinks.columns import refuse_unordered_keys, sink_schema
from ingest_ray.sinks.delta.erase import erase, read_keys
from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.history.merge import close_rows
from ingest_ray.sinks.delta.layout.compaction import compact_if_due
from ingest_ray.sinks.delta.layout.relayout import relayout
from ingest_ray.sinks.delta.layout.table_partitions import refuse_other_layout, wanted_partitions
from ingest_ray.sinks.delta.layout.touched import erased_partitions
from ingest_ray.sinks.delta.log.commits import (
    CommitCounts,
    commit_once,
    commit_properties,
    last_sequence,
    read_progress,
    take_over,
)
from ingest_ray.sinks.delta.log.snapshot import load_table, newest_table
from ingest_ray.sinks.delta.maintenance import compact, vacuum
from ingest_ray.sinks.delta.prepared.group_commit import GroupCommit, prepared_files
from ingest_ray.sinks.delta.prepared.slice_writer import PAYLOAD_BYTES, SliceWriter
from ingest_ray.sinks.delta.prepared.sweep import sweep_staged
from ingest_ray.sinks.delta.row_reads import comparable_schema, read_rows, sum_keys
from ingest_ray.sinks.delta.table_features import (
    refuse_partitions,
    refuse_unsupported_table,
)
from ingest_ray.sinks.delta.table_schema import (
    create_table,
    evolve_table,
    file_schema,
    record_unbounded,
)
from ingest_ray.sinks.delta.types import DELTA_LIMITS, DELTA_TYPES
from ingest_ray.sinks.history.columns import (
    keeps_history,
    refuse_other_writing,
    table_columns_of,
)
from ingest_ray.sinks.lake_reach import check_reach
from ingest_ray.sinks.layout.ordering import refuse_unordered_columns
from ingest_ray.sinks.layout.partitions import with_partitions
from ingest_ray.sinks.maintenance import KEEP_H, MaintenanceReport
from ingest_ray.sinks.parquet import staged_prefix
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.sinks.type_mapping import map_schema
from ingest_ray.sinks.value_limits import find_all_misfits


class DeltaSink:
    payload_bytes = PAYLOAD_BYTES
    applies_changes = True
    keeps_history = True
    keeps_history_of_changes = True

    def __init__(self, config: DeltaConfig) -> None:
        self._root = config.uri
        self._options = {name: value.get_secret_value() for name, value in config.storage_options.items()}
        self._slices = SliceWriter(self.payload_bytes)
        self._tables: dict[str, TableFiles] = {}

    def location(self, target: Target) -> str:
        return self.table_files(target).uri

    def check_reach(self) -> None:
        check_reach(self._root, self._options)

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, DELTA_TYPES)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_all_misfits(batch, schema, DELTA_TYPES, DELTA_LIMITS, converts=converts)

    def read_progress(self, target: Target) -> SinkProgress:
        return read_progress(self.table_files(target), target)

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        files = self.table_files(target)
        refuse_unordered_keys(target, schema, DELTA_TYPES)
        columns = table_columns_of(target, schema)
        with files.lock, translate_errors(files.uri):
            table = newest_table(files) or create_table(files, target, columns, epoch)
            refuse_other_writing(target, files.uri, [field.name for field in table.schema().fields], schema)
            refuse_unsupported_table(table, target, columns)
            refuse_other_layout(table, target)
            table = take_over(table, files, target, epoch)
            table = evolve_table(table, files, target, columns, epoch)
            table = compact_if_due(table, files, target, epoch)
            return last_sequence(table, files, target)

    def is_empty(self, target: Target) -> bool:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return True
        with translate_errors(files.uri):
            return int(table.count()) == 0

    def adopts(self, target: Target, piece: Slice) -> bool:
        """As `commit` decides: what it does not merge, it adds as it is, or, where a table has rules for its rows, checks first."""
        return piece.is_insert_only or not target.write.merges

    def stage_files(
        self, target: Target, piece: Slice, attempt: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Prepared:
        return self._slices.write(
            self.table_files(target), target, piece, schema, batches, staged_prefix(target.run_id, attempt)
        )

    def sweep_files(self, target: Target, run_id: str) -> int:
        files = self.table_files(target)
        with files.lock, translate_errors(files.uri):
            return sweep_staged(files, run_id)

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        return self._slices.write(self.table_files(target), target, piece, schema, batches, "part-")

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        files = self.table_files(target)
        has_only_inserts = all(prepared.is_insert_only or prepared.rows == 0 for prepared in group)
        commit = GroupCommit(files, target, table_columns_of(target, schema), epoch, sequence, group)
        is_merge = target.write.merges and not has_only_inserts
        record_unbounded(files, target, epoch, group)
        counts = commit_once(files, target, epoch, sequence, lambda table: commit.apply(table, merges=is_merge))
        if commit.is_merged:
            files.delete_all(commit.names)  # the rows are in the table's own files now
        elif (is_merge or commit.is_rewritten) and not commit.is_added:
            self.abort(group)  # the table had the number already: a file that is one of its own stays
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=counts.committed,
            rows_deduplicated=counts.deduplicated,
            location=files.uri,
            seconds=time.monotonic() - started,
        )

    def abort(self, group: Sequence[Prepared]) -> None:
        """Deletes the prepared files that are not in a table."""
        names_by_uri: dict[str, list[str]] = {}
        for prepared in group:
            names = [str(file["name"]) for file in prepared_files(prepared)]
            names_by_uri.setdefault(str(prepared.payload["uri"]), []).extend(names)
        for uri, names in names_by_uri.items():
            files = self._tables.get(uri) or TableFiles(uri, self._options)
            with files.lock, translate_errors(uri):
                table = newest_table(files) if names else None
                in_table = {path.rsplit("/", 1)[-1] for path in table.file_uris()} if table else set()
                files.delete_all([name for name in names if name not in in_table])

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return
        with translate_errors(files.uri):
            yield from read_keys(table, target, schema)

    def comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        return comparable_schema(load_table(self.table_files(target)), target, schema)

    def read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: tuple[int | None, int | None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return
        with translate_errors(files.uri):
            yield from read_rows(table, target, schema, columns, stored, bounds)

    def sum_keys(self, target: Target, schema: pa.Schema, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        files = self.table_files(target)
        table = load_table(files)
        if table is None:
            return {}, 0
        with translate_errors(files.uri):
            return sum_keys(table, target, key, keys)

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        started = time.monotonic()
        files = self.table_files(target)

        def erase_keys(table: DeltaTable) -> CommitCounts:
            facts: dict[str, JsonValue] = {"ingestErases": True}
            stored = file_schema(table, target, table_columns_of(target, schema))
            properties = commit_properties(target, epoch, sequence, **facts)
            given, within = erased_partitions(table, target, stored, keys)
            if keeps_history(target):
                return CommitCounts(close_rows(table, target, stored, given, properties, within))
            return CommitCounts(erase(table, target, stored, given, how, properties, within))

        counts = commit_once(files, target, epoch, sequence, erase_keys)
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=counts.committed,
            location=files.uri,
            seconds=time.monotonic() - started,
        )

    def compact(self, target: Target) -> MaintenanceReport:
        return compact(self.table_files(target), target)

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        partitions = wanted_partitions(None, target)
        columns = with_partitions(sink_schema(table_columns_of(target, schema), DELTA_TYPES), partitions)
        refuse_partitions(self.location(target), columns, [one.name for one in partitions])
        refuse_unordered_columns(columns, target.layout.cluster_by if target.layout is not None else ())

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        files = self.table_files(target)
        with files.lock, translate_errors(files.uri):
            return relayout(files, target, epoch)

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        return vacuum(self.table_files(target), keep_h, rehearse)

    def table_files(self, target: Target) -> TableFiles:
        names = target.table.split("/") if target.table else [target.endpoint_id, target.unit_id]
        return self._kept(TableFiles.of(self._root, names, self._options))

    def _kept(self, files: TableFiles) -> TableFiles:
        """One object for each table, which has its snapshot."""
        return self._tables.setdefault(files.uri, files)
