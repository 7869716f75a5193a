"""The common data model in Delta: a table per model at `<uri>/cdm/<model>`, which many units share.

Delta has no transaction over tables. A commit of several is written down first, beside the lake, as a small file that names what was
prepared for each table; then each table takes its part under the same application id and number; then the file goes. Whoever opens the
tables next finishes what is written down and reached some of them: a table that has the number is left alone.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from ingest_ray.cdm.models import KEY, SOURCE_KEY, model_of
from ingest_ray.files.path_names import path_part
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import ModelTable
from ingest_ray.sdk.types import ColumnFit, Model, ModelCounts, Prepared, Provisioned, Slice, Target, WriteMode
from ingest_ray.sinks.delta.errors import translated
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log import Counts, commit_once, history_of, load, marks, refuse_older, sequence_of
from ingest_ray.sinks.delta.model_merge import ModelMerge
from ingest_ray.sinks.delta.sink import PAYLOAD_BYTES, DeltaSink
from ingest_ray.sinks.delta.table_schema import create, evolve, file_schema
from ingest_ray.sinks.delta.types import DELTA
from ingest_ray.sinks.maintenance import KEEP_H, CareReport
from ingest_ray.sinks.provenance import DELETED_AT
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.sinks.type_mapping import fit_schema

FOLDER, COMMITS = "cdm", "cdm-commits"


class Part(Model):
    """What one table takes in a commit."""

    target: Target
    group: tuple[Prepared, ...]


class Written(Model):
    """A commit of several tables, as it was written down before the first of them took its part."""

    schema_number: Literal[1] = 1
    epoch: int
    sequence: int
    parts: tuple[Part, ...]


class _Tables(DeltaSink):
    """Prepares files for the tables of models; a replacement is a merge, too, because others' rows are in the table."""

    payload_bytes = PAYLOAD_BYTES // 4  # what a slice prepared for all of its models travels together

    def _files(self, target: Target) -> TableFiles:
        return TableFiles.of(self._root, FOLDER, model_of(str(target.model)).table, self._options)

    def commits_of(self, target: Target) -> TableFiles:
        unit = f"{path_part(target.endpoint_id)}~{path_part(target.unit_id)}"
        return TableFiles.of(self._root, COMMITS, unit, self._options)


class DeltaModels:
    def __init__(self, config: DeltaConfig) -> None:
        self._tables = _Tables(config)

    def location(self, target: Target) -> str:
        return self._tables.location(target)

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return fit_schema(schema, DELTA)

    def provision(self, table: ModelTable) -> Provisioned:
        target, files = _merging(table.target), self._tables._files(table.target)
        with translated(files.uri):
            evolve(load(files) or create(files, target, table.schema, 0), files, target, table.schema, 0)
        model = model_of(str(target.model))
        return Provisioned(model_id=model.model_id, table_name=model.table, location=files.uri)

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        for table in tables:
            target, files = _merging(table.target), self._tables._files(table.target)
            with translated(files.uri):
                found = load(files) or create(files, target, table.schema, epoch)
                if refuse_older(found, target, epoch) < epoch:
                    found.create_write_transaction([], "append", found.schema(), commit_properties=marks(target, epoch))
                    found = load(files) or found
                evolve(found, files, target, table.schema, epoch)
        self._finish(tables, epoch)
        return max(self._sequences(tables), default=0)

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        count = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal count
            for batch in batches:
                count += batch.num_rows - batch.column(KEY).null_count
                yield batch

        prepared = self._tables.prepare(_merging(table.target), piece, table.schema, counted())
        return prepared.model_copy(update={"models": {str(table.target.model): count}})

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        parts = [Part(target=table.target, group=tuple(group)) for table, group in zip(tables, groups, strict=True)]
        written = Written(epoch=epoch, sequence=sequence, parts=tuple(parts))
        if any(found < sequence for found in self._sequences(tables)):
            self._write_down(written)
        counts = self._take(tables, written, epoch)
        self._forget(tables[0].target, epoch)
        return counts

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None:
        for group in groups:
            self._tables.abort(group)

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(SOURCE_KEY, pa.string())])
        for table in tables:
            files = self._tables._files(table.target)
            found = load(files)
            if found is None:
                continue
            with translated(files.uri):
                alive = f'{_owned(table.target)} AND t."{DELETED_AT}" IS NULL AND t."{SOURCE_KEY}" IS NOT NULL'
                reader = (
                    QueryBuilder()
                    .register("t", found)
                    .execute(f'SELECT DISTINCT t."{SOURCE_KEY}" FROM t WHERE {alive}')
                )
                for batch in reader:
                    yield pa.RecordBatch.from_arrays(
                        [pa.record_batch(batch).column(0).cast(pa.string())], schema=schema
                    )

    def erase(
        self,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Sequence[ModelCounts]:
        """Not written down: keys that are not there are erased already, and the next comparison finds the others."""
        wanted = pa.chunked_array([batch.column(0) for batch in keys], pa.string())
        counts = []
        for table in tables:
            target, files = _merging(table.target), self._tables._files(table.target)

            def erased(
                found: DeltaTable, target: Target = target, table: ModelTable = table, files: TableFiles = files
            ) -> Counts:
                shape = file_schema(found, target, table.schema)
                merge = ModelMerge(found, files, target, shape, [])
                gone = merge.of_keys(wanted)
                merge.run([], gone, how, marks(target, epoch, sequence, ingestErased=len(gone.stale)))
                return Counts(0)

            commit_once(files, target, epoch, sequence, erased)
            reached("sink:between-models")
            counts.append(ModelCounts(erased=self._fact(files, target, sequence, "ingestErased")))
        return counts

    def compact(self, target: Target) -> CareReport:
        return self._tables.compact(target)

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> CareReport:
        return self._tables.vacuum(target, keep_h=keep_h, rehearse=rehearse)

    # --- a commit of several tables

    def _take(self, tables: Sequence[ModelTable], written: Written, epoch: int) -> list[ModelCounts]:
        counts = []
        by_model = {table.target.model: table for table in tables}
        for part in written.parts:
            table = by_model[part.target.model]
            files, target = self._tables._files(part.target), _merging(part.target)
            mapped = sum(one.models[str(target.model)] for one in part.group)
            siblings = [self._tables._files(one.target) for one in tables if one is not table]

            def taken(
                found: DeltaTable,
                part: Part = part,
                table: ModelTable = table,
                files: TableFiles = files,
                siblings: list[TableFiles] = siblings,
                mapped: int = mapped,
            ) -> Counts:
                return self._merged(found, part, table, files, siblings, mapped, epoch, written.sequence)

            commit_once(files, target, epoch, written.sequence, taken)
            committed = self._fact(files, target, written.sequence, "ingestRowsCommitted")
            erased = self._fact(files, target, written.sequence, "ingestErased")
            self._tables.abort(part.group)  # the rows are in the table's own files now
            counts.append(
                ModelCounts(mapped=mapped, committed=committed, deduplicated=mapped - committed, erased=erased)
            )
            reached("sink:between-models")
        return counts

    def _merged(
        self,
        found: DeltaTable,
        part: Part,
        table: ModelTable,
        files: TableFiles,
        siblings: list[TableFiles],
        mapped: int,
        epoch: int,
        sequence: int,
    ) -> Counts:
        target = part.target
        shape = file_schema(found, _merging(target), table.schema)
        names = [str(file["name"]) for one in part.group for file in _files_of(one)]
        others = [] if target.write is WriteMode.REPLACE else [one for one in map(load, siblings) if one is not None]
        merge = ModelMerge(found, files, target, shape, others)
        chosen = merge.choose(names)
        how: Literal["tombstone", "delete"] = "delete" if target.write is WriteMode.REPLACE else target.deletes
        facts = {"ingestRowsCommitted": chosen.kept, "ingestErased": len(chosen.stale)}
        merge.run(names, chosen, how, marks(target, epoch, sequence, **facts))
        return Counts(chosen.kept, mapped - chosen.kept)

    def _fact(self, files: TableFiles, target: Target, sequence: int, name: str) -> int:
        table = load(files)
        entry = history_of(table, target, sequence) if table is not None else None
        return int(entry[name]) if entry is not None and name in entry else 0

    def _sequences(self, tables: Sequence[ModelTable]) -> list[int]:
        found = [load(self._tables._files(table.target)) for table in tables]
        return [0 if table is None else sequence_of(table, tables[0].target) for table in found]

    def _write_down(self, written: Written) -> None:
        place = self._tables.commits_of(written.parts[0].target)
        name = f"{written.epoch:012}.json"
        draft = f"{name}.part" if place.is_local else name
        with place.create(draft) as out:
            out.write(written.model_dump_json().encode())
        if place.is_local:
            place.make_durable([draft])
            os.replace(os.path.join(place.uri, draft), os.path.join(place.uri, name))
            place.make_durable([name])
        reached("sink:after-written-down")

    def _finish(self, tables: Sequence[ModelTable], epoch: int) -> None:
        """Rolls a commit forward that only some of its tables have; forgets one that none or all of them have.

        Older epochs are fenced in every table by now, so nobody else is at work on it. Of two that are written down the one of the
        newer epoch counts.
        """
        place = self._tables.commits_of(tables[0].target)
        names = [name for name in place.names() if name.endswith(".json")]
        if names:
            with place.open(names[-1]) as source:
                written = Written.model_validate(json.loads(source.read()))
            by_model = {table.target.model for table in tables}
            known = [part for part in written.parts if part.target.model in by_model]
            mine = [table for table in tables if table.target.model in {part.target.model for part in known}]
            has_it = [found >= written.sequence for found in self._sequences(mine)]
            if any(has_it) and not all(has_it):
                self._take(tables, written.model_copy(update={"parts": tuple(known)}), epoch)
        for name in place.names():
            place.delete(name)

    def _forget(self, target: Target, epoch: int) -> None:
        self._tables.commits_of(target).delete(f"{epoch:012}.json")


def open_models(config: DeltaConfig) -> DeltaModels:
    return DeltaModels(config)


def _merging(target: Target) -> Target:
    return target.model_copy(update={"write": WriteMode.UPSERT})


def _files_of(prepared: Prepared) -> list[dict[str, object]]:
    files = prepared.payload.get("files")
    return [dict(file) for file in files if isinstance(file, dict)] if isinstance(files, list) else []


def _owned(target: Target) -> str:
    endpoint, unit = (value.replace("'", "''") for value in (target.endpoint_id, target.unit_id))
    return f"t.\"_source_endpoint\" = '{endpoint}' AND t.\"_source_unit\" = '{unit}'"
