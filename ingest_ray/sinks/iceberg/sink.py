"""Apache Iceberg: a table per unit, its files written in parallel, each commit one snapshot of the table.

Prepared rows are Parquet files with field ids in the table's `data` folder that no snapshot names yet. Appends, full refreshes, first
loads and upserts of new keys add them by name; an upsert that meets rows of the table copies the files that have them. `vacuum` removes
the files that dead processes leave.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
from pyiceberg.table import Table

from ingest_ray.sdk.contracts import Misfit, SinkProgress
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.columns import refuse_unordered_keys, sink_schema
from ingest_ray.sinks.history.columns import (
    keeps_history,
    refuse_other_writing,
    table_columns_of,
)
from ingest_ray.sinks.iceberg import table_reads
from ingest_ray.sinks.iceberg.catalog import Identifier, TableCatalog
from ingest_ray.sinks.iceberg.commits import (
    LedgerEntry,
    TableChange,
    apply_change,
    commit_once,
    read_progress,
    refuse_other_owner,
    take_over,
)
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.errors import translate_errors
from ingest_ray.sinks.iceberg.evolution import evolve_table
from ingest_ray.sinks.iceberg.layout.compaction import compact_if_due
from ingest_ray.sinks.iceberg.layout.creation import create_table
from ingest_ray.sinks.iceberg.layout.handles import delete_listings, prepared_files
from ingest_ray.sinks.iceberg.layout.partition_spec import (
    clustered_by,
    refuse_names_of_partitions,
    refuse_other_layout,
    refuse_unfit_layout,
    wanted_layout,
)
from ingest_ray.sinks.iceberg.layout.relayout import relayout, written_layout
from ingest_ray.sinks.iceberg.maintenance import compact, vacuum
from ingest_ray.sinks.iceberg.manifests import has_no_rows, list_files
from ingest_ray.sinks.iceberg.merge import erase_rows
from ingest_ray.sinks.iceberg.prepared.group_commit import GroupCommit
from ingest_ray.sinks.iceberg.prepared.slice_writer import SliceWriter
from ingest_ray.sinks.iceberg.prepared.sweep import sweep_staged
from ingest_ray.sinks.iceberg.table_schema import (
    file_schema,
    refuse_unsupported_table,
)
from ingest_ray.sinks.iceberg.types import ICEBERG_LIMITS, ICEBERG_TYPES
from ingest_ray.sinks.iceberg_template import IcebergConfig
from ingest_ray.sinks.maintenance import KEEP_H, MaintenanceReport
from ingest_ray.sinks.parquet import staged_prefix
from ingest_ray.sinks.type_mapping import map_schema
from ingest_ray.sinks.value_conversion import convert_batch
from ingest_ray.sinks.value_limits import find_all_misfits


class IcebergSink:
    keeps_history = True
    keeps_history_of_changes = True
    applies_changes = True

    def __init__(self, config: IcebergConfig) -> None:
        self._catalog = TableCatalog(config)
        self._slices = SliceWriter(self._catalog)

    def check_reach(self) -> None:
        self._catalog.check_reach()

    def location(self, target: Target) -> str:
        return self._catalog.location(self._catalog.identifier(target))

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, ICEBERG_TYPES)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_all_misfits(batch, schema, ICEBERG_TYPES, ICEBERG_LIMITS, converts=converts)

    def read_progress(self, target: Target) -> SinkProgress:
        return read_progress(self._catalog, self._catalog.identifier(target), target)

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        name = self._catalog.identifier(target)
        refuse_unordered_keys(target, schema, ICEBERG_TYPES)
        columns = table_columns_of(target, schema)
        with translate_errors(".".join(name)):
            table = self._catalog.load(name) or create_table(self._catalog, name, target, columns, epoch)
            refuse_other_owner(table, target)
            refuse_other_writing(target, ".".join(name), table.schema().column_names, schema)
            refuse_unsupported_table(table, columns)
            refuse_other_layout(table, target)
            wanted = sink_schema(columns, ICEBERG_TYPES)
            refuse_unfit_layout(wanted, wanted_layout(target), clustered_by(target))
            refuse_names_of_partitions(table, wanted)
            written_layout(table, target, columns)  # refuses what a replacement cannot have, before its rows are read
            table = take_over(self._catalog, table, target, epoch)
            table = evolve_table(self._catalog, table, target, columns, epoch)
            compact_if_due(self._catalog, table, target, epoch)
        return self.read_progress(target).sequence

    def is_empty(self, target: Target) -> bool:
        name = self._catalog.identifier(target)
        table = self._catalog.load(name)
        if table is None:
            return True
        with translate_errors(".".join(name)):
            return has_no_rows(table)

    def adopts(self, target: Target, piece: Slice) -> bool:
        """As `commit` decides: what it does not merge, it adds as it is."""
        return piece.is_insert_only or not target.write.merges

    def stage_files(
        self, target: Target, piece: Slice, attempt: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Prepared:
        return self._slices.write(target, piece, schema, batches, staged_prefix(target.run_id, attempt))

    def sweep_files(self, target: Target, run_id: str) -> int:
        table = self._catalog.load(self._catalog.identifier(target))
        if table is None:
            return 0
        with translate_errors(".".join(table.name())):
            return sweep_staged(table, run_id)

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        return self._slices.write(target, piece, schema, batches)

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        name = self._catalog.identifier(target)
        has_only_inserts = all(prepared.is_insert_only or prepared.rows == 0 for prepared in group)
        commit = GroupCommit(target, table_columns_of(target, schema), LedgerEntry(epoch, sequence), group)
        is_merge = target.write.merges and (commit.changes is not None or not has_only_inserts)
        entry = commit_once(
            self._catalog, name, target, epoch, sequence, commit.merge if is_merge else commit.add_as_prepared
        )
        for unneeded in commit.unneeded:
            commit.files.delete(unneeded)
        if commit.is_applied:
            delete_listings(commit.files, group)
        return _receipt(entry, sequence, self.location(target), started)

    def abort(self, group: Sequence[Prepared]) -> None:
        """Deletes the prepared files that are not in a table."""
        groups_by_table: dict[Identifier, list[Prepared]] = {}
        for prepared in group:
            table_name = prepared.payload["table"]
            if isinstance(table_name, list):
                groups_by_table.setdefault(tuple(map(str, table_name)), []).append(prepared)
        for name, prepared_group in groups_by_table.items():
            table = self._catalog.load(name)
            if table is None:
                continue
            with translate_errors(".".join(name)):
                files = TableFiles.of(table)
                file_names = [
                    str(file["name"]) for one in prepared_group for file in prepared_files(files, one, or_none=True)
                ]
                in_table = {task.file.file_path for task in list_files(table)} if file_names else set()
                for file_name in file_names:
                    if files.path(file_name) not in in_table:
                        files.delete(file_name)
                delete_listings(files, prepared_group)

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        table = self._catalog.load(self._catalog.identifier(target))
        if table is not None:
            with translate_errors(".".join(table.name())):
                yield from table_reads.read_keys(table, target, schema)

    def comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        return table_reads.comparable_schema(self._catalog.load(self._catalog.identifier(target)), target, schema)

    def read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: tuple[int | None, int | None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        table = self._catalog.load(self._catalog.identifier(target))
        if table is not None:
            with translate_errors(".".join(table.name())):
                yield from table_reads.read_rows(table, target, schema, columns, stored, bounds)

    def sum_keys(self, target: Target, schema: pa.Schema, key: str, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        table = self._catalog.load(self._catalog.identifier(target))
        if table is None:
            return {}, 0
        with translate_errors(".".join(table.name())):
            return table_reads.sum_keys(table, target, key, keys)

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

        def erase_keys(table: Table) -> LedgerEntry:
            columns = file_schema(table, target.model_copy(update={"write": WriteMode.UPSERT}), schema)
            stored = pa.schema([columns.field(name) for name in target.key])
            found = [pa.RecordBatch.from_pylist([], schema=stored), *(convert_batch(batch, stored) for batch in keys)]
            kept = "tombstone" if keeps_history(target) else how
            result, count = erase_rows(table, TableFiles.of(table), found, target, kept)
            entry = LedgerEntry(epoch, sequence, count)
            apply_change(table, target, entry, TableChange(result.added, result.removed))
            return entry

        entry = commit_once(self._catalog, self._catalog.identifier(target), target, epoch, sequence, erase_keys)
        return _receipt(entry, sequence, self.location(target), started)

    def compact(self, target: Target) -> MaintenanceReport:
        return compact(self._catalog, self._catalog.identifier(target), target, self.location(target))

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        return vacuum(self._catalog, self._catalog.identifier(target), self.location(target), keep_h, rehearse)

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        columns = sink_schema(table_columns_of(target, schema), ICEBERG_TYPES)
        refuse_unfit_layout(columns, wanted_layout(target), clustered_by(target))

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        columns = table_columns_of(target, schema)
        name = self._catalog.identifier(target)
        return relayout(self._catalog, name, target, columns, epoch, self.location(target))


def _receipt(entry: LedgerEntry, sequence: int, location: str, started: float) -> Receipt:
    return Receipt(
        epoch=entry.epoch,
        sequence=sequence,
        rows_committed=entry.committed,
        rows_deduplicated=entry.deduplicated,
        location=location,
        seconds=time.monotonic() - started,
    )
