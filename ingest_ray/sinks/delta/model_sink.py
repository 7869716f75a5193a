"""The common data model in Delta: a table per model at `<uri>/cdm/<model>`, which many units share.

Delta has no transaction over tables. A commit of several tables is recorded first (`pending_commit`); then each table takes its part
under the same application id and sequence number; then the record is deleted. The next `open` finishes a recorded commit that
reached only some of its tables: a table that has the number is left alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.cdm.models import ENDPOINT, KEY, SOURCE_KEY, UNIT, model_of
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import Misfit, ModelTable, SinkProgress
from ingest_ray.sdk.path_names import path_part
from ingest_ray.sdk.types import ColumnFit, ModelCounts, Prepared, Provisioned, Slice, Target, WriteMode
from ingest_ray.sinks.delta.erase import EraseMode
from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.layout.compaction import compact_if_due
from ingest_ray.sinks.delta.layout.table_partitions import refuse_other_layout
from ingest_ray.sinks.delta.log.commits import (
    CommitCounts,
    commit_once,
    commit_properties,
    find_commit,
    last_sequence,
    read_progress,
    take_over,
)
from ingest_ray.sinks.delta.log.snapshot import load_table, newest_table
from ingest_ray.sinks.delta.model_merge import ModelMerge
from ingest_ray.sinks.delta.pending_commit import (
    delete_all_pending,
    delete_pending,
    read_newest_pending,
    write_pending,
)
from ingest_ray.sinks.delta.prepared.group_commit import prepared_files
from ingest_ray.sinks.delta.prepared.slice_writer import PAYLOAD_BYTES
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.delta.table_features import refuse_unsupported_table
from ingest_ray.sinks.delta.table_schema import create_table, evolve_table, file_schema, record_unbounded
from ingest_ray.sinks.delta.types import DELTA_TYPES
from ingest_ray.sinks.lake_models.layouts import refuse_shared_constant
from ingest_ray.sinks.lake_models.pending_commit import PendingCommit, TablePart, unfinished_commit
from ingest_ray.sinks.maintenance import KEEP_H, MaintenanceReport
from ingest_ray.sinks.progress import newest_progress
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.sinks.type_mapping import map_schema

FOLDER, COMMITS = "cdm", "cdm-commits"


class _ModelFiles(DeltaSink):
    """Prepares files for the tables of models."""

    payload_bytes = PAYLOAD_BYTES // 4  # the files that a slice prepares for all of its models share one payload

    def table_files(self, target: Target) -> TableFiles:
        return self._kept(TableFiles.of(self._root, [FOLDER, model_of(str(target.model)).table], self._options))

    def pending_files(self, target: Target) -> TableFiles:
        unit = f"{path_part(target.endpoint_id)}~{path_part(target.unit_id)}"
        return TableFiles.of(self._root, [COMMITS, unit], self._options)


class DeltaModelSink:
    def __init__(self, config: DeltaConfig) -> None:
        self._files = _ModelFiles(config)

    def location(self, target: Target) -> str:
        return self._files.location(target)

    def check_reach(self) -> None:
        self._files.check_reach()

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, DELTA_TYPES)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return self._files.find_misfits(schema, batch, converts=converts)

    def provision(self, table: ModelTable) -> Provisioned:
        target, files = _as_upsert(table.target), self._files.table_files(table.target)
        with translate_errors(files.uri):
            stored = load_table(files) or create_table(files, target, table.schema, 0)
            refuse_unsupported_table(stored, target, table.schema)
            evolve_table(stored, files, target, table.schema, 0)
        model = model_of(str(target.model))
        return Provisioned(model_id=model.model_id, table_name=model.table, location=files.uri)

    def read_progress(self, tables: Sequence[ModelTable]) -> SinkProgress:
        parts = {
            str(table.target.model): read_progress(self._files.table_files(table.target), table.target)
            for table in tables
        }
        return newest_progress(parts)

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        for table in tables:
            target, files = _as_upsert(table.target), self._files.table_files(table.target)
            with files.lock, translate_errors(files.uri):
                stored = newest_table(files) or create_table(files, target, table.schema, epoch)
                refuse_unsupported_table(stored, target, table.schema)
                refuse_shared_constant(target)
                refuse_other_layout(stored, target)
                stored = take_over(stored, files, target, epoch)
                stored = evolve_table(stored, files, target, table.schema, epoch)
                compact_if_due(stored, files, target, epoch)
        self._finish_pending(tables, epoch)
        return max(self._sequences(tables), default=0)

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        rows = 0

        def count_rows() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in batches:
                rows += batch.num_rows - batch.column(KEY).null_count
                yield batch

        prepared = self._files.prepare(_as_upsert(table.target), piece, table.schema, count_rows())
        return prepared.model_copy(update={"models": {str(table.target.model): rows}})

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        parts = [
            TablePart(target=table.target, group=tuple(group)) for table, group in zip(tables, groups, strict=True)
        ]
        commit = PendingCommit(epoch=epoch, sequence=sequence, parts=tuple(parts))
        pending_files = self._files.pending_files(tables[0].target)
        if any(table_sequence < sequence for table_sequence in self._sequences(tables)):
            write_pending(pending_files, commit)
            reached("sink:after-written-down")
        counts = self._commit_parts(tables, commit, epoch)
        delete_pending(pending_files, epoch)
        return counts

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None:
        for group in groups:
            self._files.abort(group)

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(SOURCE_KEY, pa.string())])
        for table in tables:
            files = self._files.table_files(table.target)
            stored = load_table(files)
            if stored is None:
                continue
            with translate_errors(files.uri):
                is_alive = f't."{DELETED_AT}" IS NULL AND t."{SOURCE_KEY}" IS NOT NULL'
                query = f'SELECT DISTINCT t."{SOURCE_KEY}" FROM t WHERE {_is_owned(table.target)} AND {is_alive}'
                for batch in QueryBuilder().register("t", stored).execute(query):
                    keys = pa.record_batch(batch).column(0).cast(pa.string())
                    yield pa.RecordBatch.from_arrays([keys], schema=schema)

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
        return self._files.compact(target)

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        return self._files.vacuum(target, keep_h=keep_h, rehearse=rehearse)

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        refuse_shared_constant(target)
        self._files.check_layout(_as_upsert(target), schema)

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        refuse_shared_constant(target)
        return self._files.relayout(_as_upsert(target), schema, epoch)

    # --- one table

    def _erase_from(
        self, table: ModelTable, epoch: int, sequence: int, source_keys: pa.ChunkedArray, how: EraseMode
    ) -> ModelCounts:
        target, files = _as_upsert(table.target), self._files.table_files(table.target)

        def erase(stored: DeltaTable) -> CommitCounts:
            merge = ModelMerge(stored, files, target, file_schema(stored, target, table.schema), [])
            selection = merge.select_by_source_keys(source_keys)
            facts = {"ingestErased": len(selection.stale)}
            merge.commit([], selection, how, commit_properties(target, epoch, sequence, **facts))
            return CommitCounts(0)

        commit_once(files, target, epoch, sequence, erase)
        reached("sink:between-models")
        return ModelCounts(erased=_recorded_fact(files, target, sequence, "ingestErased"))

    def _commit_part(
        self, part: TablePart, table: ModelTable, siblings: Sequence[TableFiles], epoch: int, sequence: int
    ) -> ModelCounts:
        files, target = self._files.table_files(part.target), _as_upsert(part.target)
        mapped = sum(prepared.models[str(target.model)] for prepared in part.group)
        is_replace = part.target.write is WriteMode.REPLACE

        def merge_part(stored: DeltaTable) -> CommitCounts:
            names = [str(file["name"]) for prepared in part.group for file in prepared_files(prepared)]
            others = [] if is_replace else [other for other in map(load_table, siblings) if other is not None]
            merge = ModelMerge(stored, files, part.target, file_schema(stored, target, table.schema), others)
            selection = merge.select(names)
            how: EraseMode = "delete" if is_replace else part.target.deletes
            facts = {"ingestRowsCommitted": selection.winners, "ingestErased": len(selection.stale)}
            merge.commit(names, selection, how, commit_properties(part.target, epoch, sequence, **facts))
            return CommitCounts(selection.winners, mapped - selection.winners)

        record_unbounded(files, target, epoch, part.group)
        commit_once(files, target, epoch, sequence, merge_part)
        committed = _recorded_fact(files, target, sequence, "ingestRowsCommitted")
        erased = _recorded_fact(files, target, sequence, "ingestErased")
        self._files.abort(part.group)  # the rows are in the table's own files now
        reached("sink:between-models")
        return ModelCounts(mapped=mapped, committed=committed, deduplicated=mapped - committed, erased=erased)

    # --- a commit of several tables

    def _commit_parts(self, tables: Sequence[ModelTable], commit: PendingCommit, epoch: int) -> list[ModelCounts]:
        by_model = {table.target.model: table for table in tables}
        counts = []
        for part in commit.parts:
            table = by_model[part.target.model]
            siblings = [self._files.table_files(other.target) for other in tables if other is not table]
            counts.append(self._commit_part(part, table, siblings, epoch, commit.sequence))
        return counts

    def _finish_pending(self, tables: Sequence[ModelTable], epoch: int) -> None:
        """Older epochs are fenced in every table by now, so no other process can work on a commit that is recorded."""
        pending_files = self._files.pending_files(tables[0].target)
        commit = read_newest_pending(pending_files)
        models = [str(table.target.model) for table in tables]
        sequences = dict(zip(models, self._sequences(tables), strict=True))
        unfinished = unfinished_commit(commit, sequences) if commit is not None else None
        if unfinished is not None:
            self._commit_parts(tables, unfinished, epoch)
        delete_all_pending(pending_files)

    def _sequences(self, tables: Sequence[ModelTable]) -> list[int]:
        return [_sequence_of(self._files.table_files(table.target), tables[0].target) for table in tables]


def _as_upsert(target: Target) -> Target:
    """A replacement is a merge, too: the table has the rows of other units."""
    return target.model_copy(update={"write": WriteMode.UPSERT})


def _sequence_of(files: TableFiles, target: Target) -> int:
    with files.lock:
        stored = newest_table(files)
        return 0 if stored is None else last_sequence(stored, files, target)


def _recorded_fact(files: TableFiles, target: Target, sequence: int, name: str) -> int:
    with files.lock:
        table = newest_table(files)
        entry = find_commit(table, files, target, sequence) if table is not None else None
    return int(entry[name]) if entry is not None and name in entry else 0


def _is_owned(target: Target) -> str:
    endpoint, unit = (value.replace("'", "''") for value in (target.endpoint_id, target.unit_id))
    return f"t.\"{ENDPOINT}\" = '{endpoint}' AND t.\"{UNIT}\" = '{unit}'"
