"""The common data model in Iceberg: a table per model, `cdm.<model>` or in the one namespace, which many units share.

A commit of several tables is recorded first (`pending_commit`), because not every catalog has a transaction over tables; then each table
takes its part under the same application id and number; then the record is deleted. The next `open` finishes a recorded commit that
reached only some of its tables: a table that has the number is left alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from ingest_ray.cdm.models import ENDPOINT, KEY, SOURCE_KEY, UNIT, model_of
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import Misfit, ModelTable, SinkProgress
from ingest_ray.sdk.errors import SinkRejected, StagingLost
from ingest_ray.sdk.types import ColumnFit, ModelCounts, Prepared, Provisioned, Slice, Target, WriteMode
from ingest_ray.sinks.columns import sink_schema
from ingest_ray.sinks.iceberg.catalog import Identifier, TableCatalog
from ingest_ray.sinks.iceberg.commits import (
    LedgerEntry,
    TableChange,
    apply_change,
    commit_once,
    ledger_entry,
    read_progress,
    take_over,
)
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.errors import translate_errors
from ingest_ray.sinks.iceberg.evolution import evolve_table
from ingest_ray.sinks.iceberg.field_ids import ids_of
from ingest_ray.sinks.iceberg.layout.compaction import compact_if_due
from ingest_ray.sinks.iceberg.layout.creation import create_table
from ingest_ray.sinks.iceberg.layout.handles import (
    PAYLOAD_BYTES,
    delete_listings,
    has_prepared_files,
    prepared_files,
)
from ingest_ray.sinks.iceberg.layout.partition_spec import (
    clustered_by,
    refuse_other_layout,
    refuse_unfit_layout,
    wanted_layout,
)
from ingest_ray.sinks.iceberg.layout.relayout import relayout
from ingest_ray.sinks.iceberg.maintenance import compact, vacuum
from ingest_ray.sinks.iceberg.manifests import list_files
from ingest_ray.sinks.iceberg.models.merge import merge_models, narrow_rows, rows_of
from ingest_ray.sinks.iceberg.models.pending_commit import PendingFiles
from ingest_ray.sinks.iceberg.models.shared_commits import AttemptedFiles, insist
from ingest_ray.sinks.iceberg.prepared.slice_writer import SliceWriter
from ingest_ray.sinks.iceberg.table_reads import read_file
from ingest_ray.sinks.iceberg.table_schema import file_schema, refuse_unsupported_table
from ingest_ray.sinks.iceberg.types import ICEBERG_LIMITS, ICEBERG_TYPES
from ingest_ray.sinks.iceberg_template import IcebergConfig
from ingest_ray.sinks.lake_models.layouts import refuse_shared_constant
from ingest_ray.sinks.lake_models.pending_commit import PendingCommit, TablePart, unfinished_commit
from ingest_ray.sinks.lake_models.selection import MergeSelection, ModelSelection
from ingest_ray.sinks.maintenance import KEEP_H, MaintenanceReport
from ingest_ray.sinks.progress import newest_progress
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.type_mapping import map_schema
from ingest_ray.sinks.value_limits import find_all_misfits

NAMESPACE = "cdm"

Select = Callable[[Table, TableFiles, Sequence[str]], MergeSelection]
"""Which of the prepared rows in the files of these names go into the table, and which rows of the table go."""


class _ModelCatalog(TableCatalog):
    def identifier(self, target: Target) -> Identifier:
        namespace = self._config.namespace.split(".") if self._config.namespace is not None else [NAMESPACE]
        return (*namespace, model_of(str(target.model)).table)


class IcebergModelSink:
    def __init__(self, config: IcebergConfig) -> None:
        self._catalog = _ModelCatalog(config)
        # the files that a slice prepares for all of its models share one payload
        self._slices = SliceWriter(self._catalog, PAYLOAD_BYTES // 4)

    def check_reach(self) -> None:
        self._catalog.check_reach()

    def location(self, target: Target) -> str:
        return self._catalog.location(self._catalog.identifier(target))

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, ICEBERG_TYPES)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_all_misfits(batch, schema, ICEBERG_TYPES, ICEBERG_LIMITS, converts=converts)

    def provision(self, table: ModelTable) -> Provisioned:
        target, name = _as_upsert(table.target), self._catalog.identifier(table.target)

        def create_or_extend() -> None:
            stored = self._catalog.load(name) or create_table(self._catalog, name, target, table.schema, 0)
            refuse_unsupported_table(stored, table.schema)
            evolve_table(self._catalog, stored, target, table.schema, ledger_entry(stored, target).epoch)

        insist(".".join(name), create_or_extend)
        model = model_of(str(target.model))
        return Provisioned(model_id=model.model_id, table_name=model.table, location=self.location(target))

    def read_progress(self, tables: Sequence[ModelTable]) -> SinkProgress:
        parts = {
            str(table.target.model): read_progress(self._catalog, self._catalog.identifier(table.target), table.target)
            for table in tables
        }
        return newest_progress(parts)

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        for table in tables:
            name = ".".join(self._catalog.identifier(table.target))
            insist(name, partial(self._open_table, table, epoch))
        self._finish_pending(tables, epoch)
        return max(self._sequences(tables), default=0)

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        rows = 0

        def count_rows() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in batches:
                rows += batch.num_rows - batch.column(KEY).null_count
                yield batch

        merged = piece.model_copy(update={"is_insert_only": False})
        prepared = self._slices.write(_as_upsert(table.target), merged, table.schema, count_rows())
        return prepared.model_copy(update={"models": {str(table.target.model): rows}})

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        parts = [
            TablePart(target=table.target, group=tuple(group)) for table, group in zip(tables, groups, strict=True)
        ]
        commit = PendingCommit(epoch=epoch, sequence=sequence, parts=tuple(parts))
        if len(tables) < 2:
            return self._commit_parts(tables, commit, epoch)
        pending = self._pending(tables[0])
        if any(table_sequence < sequence for table_sequence in self._sequences(tables)):
            pending.write(commit)
            reached("sink:after-written-down")
        counts = self._commit_parts(tables, commit, epoch)
        pending.delete(epoch)
        return counts

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None:
        for group in groups:
            self._delete_prepared(group)

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(SOURCE_KEY, pa.string())])
        for table in tables:
            stored = self._catalog.load(self._catalog.identifier(table.target))
            if stored is None:
                continue
            with translate_errors(".".join(stored.name())):
                for task in list_files(stored):
                    for batch in read_file(stored, task, [SOURCE_KEY, ENDPOINT, UNIT, DELETED_AT]):
                        keys = batch.filter(_is_owned(batch, table.target)).column(0).cast(pa.string())
                        yield pa.RecordBatch.from_arrays([keys.drop_null().unique()], schema=schema)

    def erase(
        self,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Sequence[ModelCounts]:
        """Not recorded as pending: keys that are missing are erased already, and the next comparison finds the others."""
        source_keys = pa.chunked_array([batch.column(0) for batch in keys], pa.string())
        return [self._erase_from(table, epoch, sequence, source_keys, how) for table in tables]

    def compact(self, target: Target) -> MaintenanceReport:
        return compact(self._catalog, self._catalog.identifier(target), target, self.location(target))

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        return vacuum(self._catalog, self._catalog.identifier(target), self.location(target), keep_h, rehearse)

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        columns = sink_schema(schema, ICEBERG_TYPES)
        refuse_shared_constant(target)
        refuse_unfit_layout(columns, wanted_layout(target), clustered_by(target))

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        name, upserted = self._catalog.identifier(target), _as_upsert(target)
        refuse_shared_constant(target)
        return insist(
            ".".join(name),
            lambda: relayout(self._catalog, name, upserted, schema, epoch, self.location(target), is_shared=True),
        )

    # --- one table

    def _open_table(self, table: ModelTable, epoch: int) -> None:
        target, name = _as_upsert(table.target), self._catalog.identifier(table.target)
        stored = self._catalog.load(name) or create_table(self._catalog, name, target, table.schema, epoch)
        refuse_unsupported_table(stored, table.schema)
        refuse_shared_constant(target)
        refuse_other_layout(stored, target)
        stored = take_over(self._catalog, stored, target, epoch)
        stored = evolve_table(self._catalog, stored, target, table.schema, epoch)
        compact_if_due(self._catalog, stored, target, epoch)

    def _commit_part(
        self, part: TablePart, table: ModelTable, siblings: Sequence[Identifier], epoch: int, sequence: int
    ) -> ModelCounts:
        mapped = sum(prepared.models[str(part.target.model)] for prepared in part.group)
        is_replace = part.target.write is WriteMode.REPLACE

        def select(stored: Table, files: TableFiles, names: Sequence[str]) -> MergeSelection:
            others = [] if is_replace else [one for one in map(self._catalog.load, siblings) if one is not None]
            selection = ModelSelection(part.target, rows_of(stored), [rows_of(one) for one in others])
            return selection.select(narrow_rows(files, names))

        removes = is_replace or part.target.deletes == "delete"
        entry = self._commit_once(table, part.group, epoch, sequence, select, mapped, removes=removes)
        self._delete_prepared(part.group)
        reached("sink:between-models")
        return ModelCounts(
            mapped=mapped, committed=entry.committed, deduplicated=mapped - entry.committed, erased=entry.erased
        )

    def _erase_from(
        self, table: ModelTable, epoch: int, sequence: int, source_keys: pa.ChunkedArray, how: str
    ) -> ModelCounts:
        def select(stored: Table, files: TableFiles, names: Sequence[str]) -> MergeSelection:
            return ModelSelection(table.target, rows_of(stored)).select_by_source_keys(source_keys)

        entry = self._commit_once(table, (), epoch, sequence, select, 0, removes=how == "delete")
        reached("sink:between-models")
        return ModelCounts(erased=entry.erased)

    def _commit_once(
        self,
        table: ModelTable,
        group: Sequence[Prepared],
        epoch: int,
        sequence: int,
        select: Select,
        mapped: int,
        *,
        removes: bool,
    ) -> LedgerEntry:
        target, name = _as_upsert(table.target), self._catalog.identifier(table.target)
        attempted = AttemptedFiles()

        def merge(stored: Table) -> LedgerEntry:
            attempted.begin(stored)
            files, columns = TableFiles.of(stored), file_schema(stored, target, table.schema)
            _refuse_other_columns(stored, columns, group)
            names = [str(file["name"]) for one in group for file in prepared_files(files, one)]
            selection = select(stored, files, names)
            result = merge_models(stored, files, names, columns, target, selection, removes=removes)
            entry = LedgerEntry(epoch, sequence, selection.winners, mapped - selection.winners, len(selection.stale))
            apply_change(stored, target, entry, attempted.note(TableChange(result.added, result.removed)))
            return entry

        return insist(".".join(name), lambda: commit_once(self._catalog, name, target, epoch, sequence, merge))

    def _delete_prepared(self, group: Sequence[Prepared]) -> None:
        """`group`: of one table. A merge takes the rows into files of the table's own: prepared ones are never the table's."""
        name = group[0].payload["table"] if group else None
        table = self._catalog.load(tuple(map(str, name))) if isinstance(name, list) else None
        if table is None:
            return
        with translate_errors(".".join(table.name())):
            files = TableFiles.of(table)
            for file in (file for prepared in group for file in prepared_files(files, prepared, or_none=True)):
                files.delete(str(file["name"]))
            delete_listings(files, group)

    # --- a commit of several tables

    def _commit_parts(self, tables: Sequence[ModelTable], commit: PendingCommit, epoch: int) -> list[ModelCounts]:
        by_model = {table.target.model: table for table in tables}
        counts = []
        for part in commit.parts:
            table = by_model[part.target.model]
            siblings = [self._catalog.identifier(other.target) for other in tables if other is not table]
            counts.append(self._commit_part(part, table, siblings, epoch, commit.sequence))
        return counts

    def _finish_pending(self, tables: Sequence[ModelTable], epoch: int) -> None:
        """Older epochs are fenced in every table by now, so no other process can work on a commit that is recorded."""
        all_pending = [self._pending(table) for table in tables]
        found = [commit for commit in (pending.read_newest() for pending in all_pending) if commit is not None]
        commit = max(found, key=lambda one: one.epoch, default=None)
        models = [str(table.target.model) for table in tables]
        sequences = dict(zip(models, self._sequences(tables), strict=True))
        unfinished = unfinished_commit(commit, sequences) if commit is not None else None
        if unfinished is not None:
            self._commit_parts(tables, unfinished, epoch)
        for pending in all_pending:
            pending.delete_all()

    def _pending(self, table: ModelTable) -> PendingFiles:
        name = self._catalog.identifier(table.target)
        stored = self._catalog.load(name)
        if stored is None:
            raise SinkRejected(f"table '{'.'.join(name)}' is gone", hint="reset the unit to load it again")
        return PendingFiles(stored, table.target)

    def _sequences(self, tables: Sequence[ModelTable]) -> list[int]:
        found = [(self._catalog.load(self._catalog.identifier(table.target)), table.target) for table in tables]
        return [0 if stored is None else ledger_entry(stored, target).sequence for stored, target in found]


def _as_upsert(target: Target) -> Target:
    """A replacement is a merge, too: the table has the rows of other units."""
    return target.model_copy(update={"write": WriteMode.UPSERT})


def _is_owned(batch: pa.RecordBatch, target: Target) -> pa.Array:
    """The unit's rows that are no tombstones. Columns: source key, endpoint, unit, time of deletion."""
    is_own = pc.and_(pc.equal(batch.column(1), target.endpoint_id), pc.equal(batch.column(2), target.unit_id))
    return pc.and_(pc.fill_null(is_own, False), batch.column(3).is_null())


def _refuse_other_columns(table: Table, columns: pa.Schema, group: Sequence[Prepared]) -> None:
    ids = ids_of(columns)
    if any(has_prepared_files(one) and one.payload.get("ids") != ids for one in group):
        raise StagingLost(
            f"the columns of table '{'.'.join(table.name())}' were changed after rows were prepared for it",
            hint="the rows are prepared again",
        )
