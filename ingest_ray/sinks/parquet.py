"""Writes one slice as Parquet files of bounded size, with the statistics that a table format records for each file."""

import datetime as dt
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue

FILE_BYTES = 128 * 1024 * 1024  # a usual size in data lakes; a smaller slice makes a smaller file
ROW_GROUP_BYTES = 32 * 1024 * 1024  # rows held in memory before a row group is written
STATISTICS_COLUMNS = 32  # as Delta's own default: statistics of wide tables would outgrow the log
STATISTICS_CHARS = 64  # longer texts are left out
SAMPLE_ROWS = 4_096  # enough to see whether a column's values repeat
REPEATS = 2  # a dictionary pays where each value occurs at least so often in the sample


@dataclass(frozen=True)
class WrittenFile:
    name: str
    bytes: int
    rows: int
    stats: str
    """JSON: numRecords, minValues, maxValues, nullCount."""


class RollingParquetWriter:
    """Writes batches to a file until it is large enough, then to the next. `create(name)` opens a file for writing."""

    def __init__(self, schema: pa.Schema, create: Callable[[str], pa.NativeFile]) -> None:
        self._schema = schema
        self._create = create
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._name = ""
        self._out: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._files: list[WrittenFile] = []
        self.names: list[str] = []
        """Every file that was begun, so that the caller can delete them after `abort`."""

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> list[WrittenFile]:
        self._flush()
        self._close_file()
        return self._files

    def abort(self) -> None:
        """Closes the open file; the caller deletes the files."""
        self._waiting = []
        writer, out, self._writer, self._out = self._writer, self._out, None, None
        for opened in (writer, out):
            with suppress(OSError, pa.ArrowException):  # on a full disk closing fails like writing
                if opened is not None:
                    opened.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._waiting_bytes = [], 0
        if self._writer is None:
            self._name = f"part-{uuid.uuid4()}.parquet"
            self.names.append(self._name)
            self._out = self._create(self._name)
            self._writer = pq.ParquetWriter(
                self._out,
                self._schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=dictionary_columns(rows),
                store_decimal_as_integer=True,  # up to 18 digits, as Spark writes them: smaller, and faster both ways
            )
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
        if self._out is not None and self._out.tell() >= FILE_BYTES:
            self._close_file()

    def _close_file(self) -> None:
        if self._writer is None or self._out is None:
            return
        self._writer.close()
        size = self._out.tell()
        metadata = self._writer.writer.metadata
        self._out.close()
        self._out = self._writer = None
        self._files.append(WrittenFile(self._name, size, metadata.num_rows, file_statistics(metadata, self._schema)))


def dictionary_columns(rows: pa.Table) -> list[str] | bool:
    """The columns whose values repeat: for the others a dictionary would be built, and dropped when it is full.

    True (all columns) where one is nested: the Parquet writer has other names for its leaves.
    """
    if any(pa.types.is_nested(field.type) for field in rows.schema):
        return True
    sample = rows.slice(0, SAMPLE_ROWS)
    return [
        name
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        if column.null_count == len(column) or REPEATS * pc.count_distinct(column).as_py() <= len(column)
    ]


def file_statistics(metadata: pq.FileMetaData, schema: pa.Schema) -> str:
    """JSON for flat columns only, with bounds only for types whose bounds JSON represents exactly; a missing bound is always safe."""
    least: dict[str, JsonValue] = {}
    most: dict[str, JsonValue] = {}
    nulls: dict[str, JsonValue] = {}
    names = [field.name for field in schema][:STATISTICS_COLUMNS]
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    flat = {groups[0].column(index).path_in_schema: index for index in range(metadata.num_columns)} if groups else {}
    for name in names:
        if pa.types.is_nested(schema.field(name).type) or name not in flat:
            continue
        chunks = [group.column(flat[name]).statistics for group in groups]
        if any(chunk is None or not chunk.has_null_count for chunk in chunks):
            continue
        nulls[name] = sum(chunk.null_count for chunk in chunks)
        filled = [chunk for chunk, group in zip(chunks, groups, strict=True) if chunk.null_count < group.num_rows]
        if filled and all(chunk.has_min_max for chunk in filled) and _has_exact_bounds(schema.field(name).type):
            low, high = _json(min(chunk.min for chunk in filled)), _json(max(chunk.max for chunk in filled))
            if low is not None and high is not None:
                least[name], most[name] = low, high
    return json.dumps({"numRecords": metadata.num_rows, "minValues": least, "maxValues": most, "nullCount": nulls})


def _has_exact_bounds(kind: pa.DataType) -> bool:
    """Floats are left out for NaN, decimals for JSON's numbers, bytes for their encoding, times without a zone for their text form."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_date(kind)
        or pa.types.is_string(kind)
        or (pa.types.is_timestamp(kind) and kind.tz == "UTC")
    )


def _json(bound: object) -> JsonValue:
    if isinstance(bound, bool | int):
        return bound
    if isinstance(bound, str):
        return bound if len(bound) <= STATISTICS_CHARS else None
    if isinstance(bound, dt.datetime):
        return bound.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if bound.year >= 1000 else None
    if isinstance(bound, dt.date):
        return bound.isoformat()
    return None
