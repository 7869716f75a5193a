"""Plain Parquet files: a folder per unit, a manifest for each commit, and a pointer that moves atomically.

Prepared rows are files that no manifest names. A commit makes the next manifest, which names them; a full refresh names nothing else.
Rows are never merged: units that upsert are refused.
"""

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from ingest_ray.sdk.contracts import Misfit, SinkProgress
from ingest_ray.sdk.errors import ModeUnsupported, SinkRejected, StagingLost
from ingest_ray.sdk.types import ColumnFit, Layout, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.columns import sink_schema
from ingest_ray.sinks.lake_reach import check_reach
from ingest_ray.sinks.layout.ordering import refuse_unordered_columns, sorted_rows
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived, with_partitions
from ingest_ray.sinks.maintenance import KEEP_H, MaintenanceReport
from ingest_ray.sinks.parquet_tables.columns import (
    as_stored,
    file_columns,
    is_laid_out_otherwise,
    needed_columns,
    refuse_other_layout,
    replaced_columns,
    wanted_partitions,
)
from ingest_ray.sinks.parquet_tables.data_files import DataWriter, read_files, write_empty
from ingest_ray.sinks.parquet_tables.manifest import DataFile, Manifest, first_manifest, next_manifest
from ingest_ray.sinks.parquet_tables.rewrites import erased_files, rewrite_table
from ingest_ray.sinks.parquet_tables.table_folder import TableFolder
from ingest_ray.sinks.parquet_tables.types import PARQUET_LIMITS, PARQUET_TYPES
from ingest_ray.sinks.parquet_tables.upkeep import compact, compact_if_due, vacuum
from ingest_ray.sinks.parquet_tables.versions import (
    commit_once,
    make_version,
    read_newest,
    refuse_older_epoch,
    take_over,
    translate_errors,
)
from ingest_ray.sinks.parquet_template import ParquetConfig
from ingest_ray.sinks.provenance import DELETED_AT, PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.type_mapping import map_schema
from ingest_ray.sinks.value_conversion import convert_back, convert_batch
from ingest_ray.sinks.value_limits import convert_rows, find_all_misfits

PAYLOAD_BYTES = 32 * 1024  # a handle stays under 64 KiB: a longer list of files is a file of its own


class ParquetSink:
    writes = (WriteMode.APPEND, WriteMode.REPLACE)

    def __init__(self, config: ParquetConfig) -> None:
        self._root = config.uri
        self._options = {name: value.get_secret_value() for name, value in config.storage_options.items()}
        self._folders: dict[str, TableFolder] = {}
        self._columns: tuple[object, pa.Schema, tuple[str, ...]] | None = None

    def location(self, target: Target) -> str:
        return self._folder(target).uri

    def check_reach(self) -> None:
        check_reach(self._root, self._options)

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return map_schema(schema, PARQUET_TYPES)

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        return find_all_misfits(batch, schema, PARQUET_TYPES, PARQUET_LIMITS, converts=converts)

    def check_layout(self, target: Target, schema: pa.Schema) -> None:
        columns = with_partitions(sink_schema(schema, PARQUET_TYPES), wanted_partitions(target) or ())
        refuse_unordered_columns(columns, target.layout.cluster_by if target.layout is not None else ())

    def read_progress(self, target: Target) -> SinkProgress:
        folder = self._folder(target)
        with translate_errors(folder.uri):
            manifest = read_newest(folder)
        if manifest is None:
            return SinkProgress(exists=False)
        known = manifest.commit_of(target.app_id)
        return SinkProgress(known.epoch, known.sequence)

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        if target.write not in self.writes:
            raise ModeUnsupported(
                f"unit '{target.unit_id}': write: {target.write}, and plain Parquet files are only appended or replaced",
                hint="write: append or replace; or choose lake.delta or lake.iceberg, which merge rows by key",
            )
        folder = self._folder(target)
        with folder.lock, translate_errors(folder.uri):
            manifest = read_newest(folder) or self._create(folder, target, schema)
            refuse_older_epoch(folder, target, epoch, manifest.commit_of(target.app_id))
            if target.write is not WriteMode.REPLACE:
                refuse_other_layout(folder.uri, target, manifest)
                needed_columns(
                    folder.uri, target, schema, manifest
                )  # refuses what does not fit, before anything is changed
            manifest = take_over(folder, target, epoch, manifest)
            if target.write is not WriteMode.REPLACE:
                self._evolve(folder, target, schema, epoch)
            newest = read_newest(folder) or manifest
            compact_if_due(folder, target, newest)
            return newest.commit_of(target.app_id).sequence

    def is_empty(self, target: Target) -> bool:
        folder = self._folder(target)
        with translate_errors(folder.uri):
            manifest = read_newest(folder)
            return manifest is None or manifest.rows == 0

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        started = time.monotonic()
        folder = self._folder(target)
        with translate_errors(folder.uri):
            columns, partition_by = self._file_columns(folder, target, schema)
            source = pa.schema(
                [field for field in columns if field.name not in PROVENANCE_COLUMNS and not is_derived(field)]
            )
            provenance = Provenance(target.run_id, piece)
            layout = target.layout or Layout()

            def rows() -> Iterator[pa.RecordBatch]:
                for batch in batches:
                    whole = provenance.add_to(convert_rows(batch, source))
                    yield add_partitions(whole, columns, target.endpoint_id)

            writer = DataWriter(folder, columns, partition_by, layout.target_file_bytes)
            try:
                for batch in sorted_rows(rows(), columns, layout.cluster_by):
                    writer.write(batch)
                files = writer.close()
                payload = _payload(folder, files)
            except BaseException:
                writer.abort()
                raise
        return Prepared(
            slice_id=piece.slice_id,
            rows=sum(file.rows for file in files),
            bytes=sum(file.bytes for file in files),
            is_insert_only=piece.is_insert_only,
            payload={"uri": folder.uri, **payload},
            seconds=time.monotonic() - started,
        )

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        folder = self._folder(target)
        is_replace = target.write is WriteMode.REPLACE

        def add(before: Manifest) -> tuple[Manifest, int]:
            files = [file for prepared in group for file in _files_of(folder, prepared)]
            missing = folder.missing([file.path for file in files])
            if missing:
                raise StagingLost(f"prepared file '{missing[0]}' of '{folder.uri}' is gone")
            rows = sum(file.rows for file in files)
            if is_replace:
                columns, partition_by = replaced_columns(target, schema, before)
                return next_manifest(
                    before, schema=columns, partition_by=partition_by, files=_or_empty(folder, files, columns)
                ), rows
            file_columns(folder.uri, schema, before)
            kept = [file for file in before.files if file.rows or not files]
            return next_manifest(before, files=[*kept, *files]), rows

        with translate_errors(folder.uri):
            rows = commit_once(folder, target, epoch, sequence, add)
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=rows,
            location=folder.uri,
            seconds=time.monotonic() - started,
        )

    def abort(self, group: Sequence[Prepared]) -> None:
        for prepared in group:
            uri = str(prepared.payload["uri"])
            folder = self._folders.get(uri) or TableFolder(uri, self._options)
            with translate_errors(uri):
                manifest = read_newest(folder)
                named = {file.path for file in manifest.files} if manifest is not None else set()
                names = [file.path for file in _files_of(folder, prepared, or_none=True) if file.path not in named]
                listing = prepared.payload.get("listing")
                folder.delete_all([*names, *([str(listing)] if listing else [])])

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([schema.field(name) for name in target.key])
        yield from self._read(target, wanted)

    def comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        folder = self._folder(target)
        with translate_errors(folder.uri):
            manifest = read_newest(folder)
            stored = sink_schema(schema, PARQUET_TYPES)
            if manifest is not None and target.write is not WriteMode.REPLACE:
                stored = as_stored(stored, manifest.schema)
        return pa.schema([field for field in stored if field.name not in PROVENANCE_COLUMNS])

    def read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: tuple[int | None, int | None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        types = self.comparable_schema(target, schema)
        fields = [*(schema.field(name) for name in columns), *(types.field(name) for name in stored)]
        yield from self._read(target, pa.schema([field.with_nullable(True) for field in fields]), bounds)

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        if not target.key:
            raise SinkRejected(
                f"unit '{target.unit_id}' has no key by which its rows could be erased", hint="set policy.primary_key"
            )
        folder = self._folder(target)
        given = list(keys)

        def drop(before: Manifest) -> tuple[Manifest, int]:
            stored = pa.schema([before.schema.field(name) for name in target.key])
            table = pa.Table.from_batches((convert_batch(batch, stored) for batch in given), stored)
            files, erased = erased_files(folder, before, table, how, target.layout or Layout())
            return next_manifest(before, files=_or_empty(folder, files, before.schema)), erased

        with translate_errors(folder.uri):
            erased = commit_once(folder, target, epoch, sequence, drop)
        return Receipt(epoch=epoch, sequence=sequence, rows_committed=erased, location=folder.uri)

    def compact(self, target: Target) -> MaintenanceReport:
        folder = self._folder(target)
        with folder.lock, translate_errors(folder.uri):
            return compact(folder, target)

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> MaintenanceReport:
        folder = self._folder(target)
        with translate_errors(folder.uri):
            return vacuum(folder, keep_h, rehearse)

    def relayout(self, target: Target, schema: pa.Schema, epoch: int) -> MaintenanceReport:
        folder = self._folder(target)
        with folder.lock, translate_errors(folder.uri):
            before = read_newest(folder)
            if before is None:
                raise SinkRejected(f"there is no table at '{folder.uri}'", hint="the first run makes it in its layout")
            refuse_older_epoch(folder, target, epoch, before.commit_of(target.app_id))
            if not is_laid_out_otherwise(target, before):
                return MaintenanceReport(location=folder.uri)
            return self._lay_out(folder, target, epoch, before)

    def _lay_out(self, folder: TableFolder, target: Target, epoch: int, before: Manifest) -> MaintenanceReport:
        after = before

        def rewrite(found: Manifest) -> tuple[Manifest, int]:
            nonlocal after
            own = pa.schema([field for field in found.schema if not is_derived(field)])
            columns = with_partitions(own, wanted_partitions(target) or ())
            names = [one.name for one in wanted_partitions(target) or ()]
            files = rewrite_table(folder, found, columns, names, target)
            after = next_manifest(found, schema=columns, partition_by=names, files=_or_empty(folder, files, columns))
            return after, 0

        commit_once(folder, target, epoch, None, rewrite)
        return MaintenanceReport(
            location=folder.uri,
            files_added=len(after.files),
            files_removed=len(before.files),
            bytes_added=sum(file.bytes for file in after.files),
            bytes_removed=sum(file.bytes for file in before.files),
        )

    def _create(self, folder: TableFolder, target: Target, schema: pa.Schema) -> Manifest:
        columns = with_partitions(sink_schema(schema, PARQUET_TYPES), wanted_partitions(target) or ())
        manifest = first_manifest(columns, [one.name for one in wanted_partitions(target) or ()])
        manifest = manifest.model_copy(update={"files": (write_empty(folder, columns),)})
        make_version(folder, manifest)
        found = read_newest(folder)  # another process may have been first
        return found or manifest

    def _evolve(self, folder: TableFolder, target: Target, schema: pa.Schema, epoch: int) -> None:
        """Adds columns; widens types by writing all files again, because readers take one type a column."""
        found = read_newest(folder)
        if found is None or needed_columns(folder.uri, target, schema, found)[0] == found.schema:
            return

        def evolve(before: Manifest) -> tuple[Manifest, int]:
            columns, is_wider_now = needed_columns(folder.uri, target, schema, before)
            files: Sequence[DataFile] = before.files
            if is_wider_now:
                files = rewrite_table(folder, before, columns, before.partition_by, target)
            return next_manifest(
                before, schema=columns, files=_or_empty(folder, [f for f in files if f.rows], columns)
            ), 0

        commit_once(folder, target, epoch, None, evolve)

    def _file_columns(
        self, folder: TableFolder, target: Target, schema: pa.Schema
    ) -> tuple[pa.Schema, tuple[str, ...]]:
        """Read once per run: only the opening of a run changes the columns."""
        key = (folder.uri, target.run_id, target.write, schema, target.layout)
        if self._columns is not None and self._columns[0] == key:
            return self._columns[1], self._columns[2]
        manifest = read_newest(folder)
        if manifest is None:
            raise SinkRejected(f"table '{folder.uri}' is gone", hint="reset the unit to load it again")
        if target.write is WriteMode.REPLACE:
            columns, names = replaced_columns(target, schema, manifest)
            gone = set(columns.names) - {*sink_schema(schema, PARQUET_TYPES).names}
            columns = pa.schema([field for field in columns if field.name not in gone or is_derived(field)])
        else:
            columns, names = file_columns(folder.uri, schema, manifest), manifest.partition_by
        self._columns = (key, columns, names)
        return columns, names

    def _read(
        self, target: Target, wanted: pa.Schema, bounds: tuple[int | None, int | None] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows without tombstones, in the types of `wanted`."""
        folder = self._folder(target)
        with translate_errors(folder.uri):
            manifest = read_newest(folder)
            if manifest is None:
                return
            stored = manifest.schema
            fields = [stored.field(name) for name in dict.fromkeys([*wanted.names, DELETED_AT])]
            for batch in read_files(folder, [file for file in manifest.files if file.rows], fields):
                living = batch.filter(batch.column(DELETED_AT).is_null())
                arrays = [convert_back(living.column(field.name), field.type) for field in wanted]
                yield from _within(pa.RecordBatch.from_arrays(arrays, schema=wanted), bounds)

    def _folder(self, target: Target) -> TableFolder:
        names = target.table.split("/") if target.table else [target.endpoint_id, target.unit_id]
        folder = TableFolder.of(self._root, names, self._options)
        return self._folders.setdefault(folder.uri, folder)


def _payload(folder: TableFolder, files: Sequence[DataFile]) -> dict[str, JsonValue]:
    """The prepared files; more than a handle can hold are a file of their own."""
    listed: list[JsonValue] = [file.model_dump() for file in files]
    text = json.dumps(listed)
    if len(text) <= PAYLOAD_BYTES:
        return {"files": listed}
    name = f"_prepared/{uuid.uuid4()}.json"
    folder.conditional.create_once(name, text.encode())
    return {"listing": name}


def _files_of(folder: TableFolder, prepared: Prepared, *, or_none: bool = False) -> list[DataFile]:
    """`or_none`: no error where the list is gone, as after an abort."""
    listed: JsonValue = prepared.payload.get("files")
    if "listing" in prepared.payload:
        try:
            listed = json.loads(folder.conditional.read(str(prepared.payload["listing"])))
        except FileNotFoundError as error:
            if or_none:
                return []
            raise StagingLost(f"the list of prepared files of '{folder.uri}' is gone") from error
    return [DataFile.model_validate(file) for file in listed] if isinstance(listed, list) else []


def _or_empty(folder: TableFolder, files: Sequence[DataFile], columns: pa.Schema) -> Sequence[DataFile]:
    """At least one file, so that readers of a table without rows know its columns."""
    return files if files else [write_empty(folder, columns)]


def _within(batch: pa.RecordBatch, bounds: tuple[int | None, int | None] | None) -> Iterator[pa.RecordBatch]:
    """The rows whose first column is in `[lower, upper)`."""
    lower, upper = bounds or (None, None)
    if lower is not None:
        batch = batch.filter(pc.greater_equal(batch.column(0), pa.scalar(lower, batch.schema.field(0).type)))
    if upper is not None:
        batch = batch.filter(pc.less(batch.column(0), pa.scalar(upper, batch.schema.field(0).type)))
    if batch.num_rows:
        yield batch
