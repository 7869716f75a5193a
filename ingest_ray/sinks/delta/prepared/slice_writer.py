"""Writes a slice as files of a table that its log does not name yet."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.changes import CHANGE_COLUMNS, has_changes, table_columns
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Prepared, Slice, Target
from ingest_ray.sinks.delta.errors import translate_errors
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.log.snapshot import load_table
from ingest_ray.sinks.delta.table_schema import (
    file_schema,
)
from ingest_ray.sinks.history.columns import (
    HISTORY_COLUMNS,
    keeps_history,
    table_columns_of,
    with_validity,
)
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.layout.partitions import add_partitions, is_derived
from ingest_ray.sinks.parquet import RollingParquetWriter, WrittenFile
from ingest_ray.sinks.prepared_changes import ChangeCounter, changes_schema
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.value_limits import convert_rows

PAYLOAD_BYTES = 48 * 1024  # a handle stays under 64 KiB: beyond this, files lose the bounds of their columns


class SliceWriter:
    """`payload_bytes`: how large the description of a slice's files may be."""

    def __init__(self, payload_bytes: int) -> None:
        self._payload_bytes = payload_bytes
        self._file_schema: tuple[object, pa.Schema] | None = None

    def write(
        self,
        files: TableFiles,
        target: Target,
        piece: Slice,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        prefix: str,
    ) -> Prepared:
        """The rows are durable when it returns. `prefix`: how the names of the files begin."""
        started = time.monotonic()
        is_change = target.write.merges and has_changes(schema)
        columns = self._cached_file_schema(
            files, target, table_columns(schema) if is_change else table_columns_of(target, schema)
        )
        changes = ChangeCounter() if is_change else None
        columns = changes_schema(columns) if is_change else columns
        with translate_errors(files.uri):
            rows = _rows_of(target, piece, columns, batches, changes)
            written, unbounded = _write_files(
                files, columns, sorted_rows(rows, columns, _order_of(target, piece)), prefix
            )
        return Prepared(
            slice_id=piece.slice_id,
            rows=sum(file.rows for file in written),  # as the files themselves say
            bytes=sum(file.bytes for file in written),
            is_insert_only=piece.is_insert_only,
            payload={
                "uri": files.uri,
                "files": _describe_files(written, self._payload_bytes),
                "unbounded": sorted(unbounded - set(CHANGE_COLUMNS)) if is_change else sorted(unbounded),
                **(changes.payload if changes is not None else {}),
            },
            seconds=time.monotonic() - started,
        )

    def _cached_file_schema(self, files: TableFiles, target: Target, schema: pa.Schema) -> pa.Schema:
        """Read once per run: reading the log again for each slice would cost more than writing it.

        Only the opening of a run changes the columns; the commit refuses columns that were changed by hand meanwhile.
        """
        cached, key = self._file_schema, _schema_key(files, target, schema)
        if cached is not None and cached[0] == key:
            return cached[1]
        table = load_table(files)
        if table is None:
            raise SinkRejected(f"table '{files.uri}' is gone", hint="reset the unit to load it again")
        with translate_errors(files.uri):
            columns = file_schema(table, target, schema)
        self._file_schema = (key, columns)
        return columns


def _rows_of(
    target: Target,
    piece: Slice,
    columns: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    changes: ChangeCounter | None,
) -> Iterator[pa.RecordBatch]:
    """The rows as the files have them: `columns`. `changes` counts those of a log; None: rows of the table."""
    added = (*PROVENANCE_COLUMNS, *(HISTORY_COLUMNS if keeps_history(target) else ()))
    source_columns = pa.schema([field for field in columns if field.name not in added and not is_derived(field)])
    provenance = Provenance(target.run_id, piece)
    for batch in batches:
        if changes is not None:
            changes.count(batch)
        rows = convert_rows(batch, source_columns)
        if keeps_history(target) and changes is None:
            rows = with_validity(target, rows, batch, provenance.ingested_at)
        yield add_partitions(provenance.add_to(rows), columns, target.endpoint_id)


def _write_files(
    files: TableFiles, columns: pa.Schema, rows: Iterable[pa.RecordBatch], prefix: str
) -> tuple[Sequence[WrittenFile], set[str]]:
    """The files, durable, and the columns without bounds. Where `rows` raise, no file is left."""
    writer = RollingParquetWriter(columns, files.create, prefix=prefix)
    try:
        for batch in rows:
            writer.write(batch)
        written = writer.close()
        files.make_durable([file.name for file in written])
    except BaseException:
        writer.abort()
        for name in writer.names:
            files.delete(name)
        raise
    return written, writer.unbounded


def _order_of(target: Target, piece: Slice) -> tuple[str, ...]:
    """The order of prepared rows. Of rows that are merged the later one wins, so they stay in the order in which they come."""
    is_merged = target.write.merges and not piece.is_insert_only
    return () if target.layout is None or is_merged else target.layout.cluster_by


def _schema_key(files: TableFiles, target: Target, schema: pa.Schema) -> object:
    return files.uri, target.run_id, target.write, schema, target.layout


def _describe_files(written: Sequence[WrittenFile], most_bytes: int) -> list[JsonValue]:
    """Without the bounds of columns where those would exceed `most_bytes`."""
    if sum(len(file.stats) for file in written) > most_bytes:
        return [{**asdict(file), "stats": f'{{"numRecords": {file.rows}}}'} for file in written]
    return [asdict(file) for file in written]
