"""Writes a slice as data files of a table that no snapshot names yet."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.changes import has_changes, table_columns
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Prepared, Slice, Target
from ingest_ray.sinks.history.columns import keeps_history, table_columns_of, with_validity, without_history
from ingest_ray.sinks.iceberg.catalog import Identifier, TableCatalog
from ingest_ray.sinks.iceberg.data_files import TableFiles
from ingest_ray.sinks.iceberg.errors import translate_errors
from ingest_ray.sinks.iceberg.field_ids import arrow_schema, ids_of
from ingest_ray.sinks.iceberg.layout.divided_files import RowLayout, partition_texts, write_divided, written_columns
from ingest_ray.sinks.iceberg.layout.handles import PAYLOAD_BYTES, handle_of
from ingest_ray.sinks.iceberg.layout.relayout import written_layout
from ingest_ray.sinks.iceberg.table_schema import file_schema
from ingest_ray.sinks.layout.ordering import sorted_rows
from ingest_ray.sinks.prepared_changes import ChangeCounter, changes_schema
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS, Provenance
from ingest_ray.sinks.value_limits import convert_rows


@dataclass(frozen=True)
class FileFormat:
    """`columns`: of the unit, with field ids. `all_columns`: of the table."""

    files: TableFiles
    columns: pa.Schema
    layout: RowLayout
    all_columns: pa.Schema


class SliceWriter:
    """May be used by several threads. `payload_bytes`: how large the description of a slice's files may be."""

    def __init__(self, catalog: TableCatalog, payload_bytes: int = PAYLOAD_BYTES) -> None:
        self._catalog = catalog
        self._payload_bytes = payload_bytes
        self._cached: dict[Identifier, tuple[object, FileFormat]] = {}

    def write(
        self,
        target: Target,
        piece: Slice,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        staged: str | None = None,
    ) -> Prepared:
        """The rows are durable when it returns. `staged`: how the names of files begin that a reader writes; their rows are hashed
        by the reader. None: rows of pages, which are hashed here again."""
        started = time.monotonic()
        name = self._catalog.identifier(target)
        is_change = target.write.merges and has_changes(schema)
        form = self._format(name, target, table_columns_of(target, table_columns(schema) if is_change else schema))
        counter = ChangeCounter() if is_change else None
        columns = changes_schema(without_history(form.columns, target)) if is_change else form.columns
        row_hash = RowHash() if staged is None else None
        is_merged = target.write.merges and not piece.is_insert_only
        # of equal rows the later one wins: rows that are merged keep their order
        layout = form.layout.undivided() if is_merged or is_change else form.layout
        with translate_errors(".".join(name)):
            to_write = written_columns(columns, layout, form.all_columns)
            rows = _rows_of(target, piece, columns, batches, counter, row_hash)
            ordered = sorted_rows(rows, columns, layout.cluster_by)
            written = write_divided(form.files, to_write, ordered, layout, prefix=staged)
            handle = handle_of(form.files, written, staged or "", self._payload_bytes)
        return Prepared(
            slice_id=piece.slice_id,
            rows=sum(one.file.rows for one in written),  # as the files themselves say
            bytes=sum(one.file.bytes for one in written),
            row_hash="" if row_hash is None else row_hash.hexdigest(),
            is_insert_only=piece.is_insert_only,
            payload={
                "table": list(name),
                **handle,
                "ids": dict(ids_of(form.columns)),
                "partition_by": None if is_merged or is_change else partition_texts(layout),
                **(counter.payload if counter is not None else {}),
            },
            seconds=time.monotonic() - started,
        )

    def _format(self, name: Identifier, target: Target, schema: pa.Schema) -> FileFormat:
        """Read once per run. Only the opening of a run changes the columns; the commit refuses columns that were changed meanwhile."""
        cached, key = self._cached.get(name), (name, target.run_id, target.write, schema, target.layout)
        if cached is not None and cached[0] == key:
            return cached[1]
        table = self._catalog.load(name)
        if table is None:
            raise SinkRejected(f"table '{'.'.join(name)}' is gone", hint="reset the unit to load it again")
        with translate_errors(".".join(name)):
            layout = written_layout(table, target, schema)
            columns = file_schema(table, target, schema)
            found = FileFormat(TableFiles.of(table), columns, layout, arrow_schema(layout.schema))
        self._cached[name] = (key, found)
        return found


def _rows_of(
    target: Target,
    piece: Slice,
    columns: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    counter: ChangeCounter | None,
    row_hash: RowHash | None,
) -> Iterator[pa.RecordBatch]:
    """The rows as the files have them: `columns`. `counter` counts the changes of a log; None: rows of the table."""
    source_columns = pa.schema(
        [field for field in without_history(columns, target) if field.name not in PROVENANCE_COLUMNS]
    )
    provenance = Provenance(target.run_id, piece)
    for batch in batches:
        if row_hash is not None:
            row_hash.update(batch)
        if counter is not None:
            counter.count(batch)
        rows = convert_rows(batch, source_columns)
        if keeps_history(target) and counter is None:
            rows = with_validity(target, rows, batch, provenance.ingested_at)
        yield provenance.add_to(rows)
