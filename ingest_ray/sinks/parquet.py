"""Writes one slice as Parquet files of bounded size, with the statistics that a table format records for each file."""

import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Sequence
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
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31: statistics have no agreed text for other years
DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
SAMPLE_ROWS = 4_096  # enough to see whether a column's values repeat
STAGED = "staged-"
REPEATS = 2  # a dictionary pays where each value occurs at least so often in the sample


@dataclass(frozen=True)
class WrittenFile:
    name: str
    bytes: int
    rows: int
    stats: str
    """JSON, as the table format records it; of `file_statistics`: numRecords, minValues, maxValues, nullCount."""


class RollingParquetWriter:
    """Writes batches to a file until it is large enough, then to the next. `create(name)` opens a file for writing."""

    def __init__(
        self,
        schema: pa.Schema,
        create: Callable[[str], pa.NativeFile],
        describe: Callable[[pq.FileMetaData, pa.Schema], str] | None = None,
        file_bytes: int = FILE_BYTES,
        prefix: str = "part-",
    ) -> None:
        """`describe` makes the `stats` of a written file; without it, `file_statistics`. Names are `prefix` and a random part."""
        self._file_bytes = file_bytes
        self._schema = schema
        self._create = create
        self._describe = describe or file_statistics
        self._prefix = prefix
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._name = ""
        self._out: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._files: list[WrittenFile] = []
        self.names: list[str] = []
        """Every file that was begun, so that the caller can delete them after `abort`."""
        self.unbounded: set[str] = set()
        """Columns with a date or time outside the years 1 to 9999, whose bounds statistics cannot state."""

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
            self._name = f"{self._prefix}{uuid.uuid4()}.parquet"
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
        if self._out is not None and self._out.tell() >= self._file_bytes:
            self._close_file()

    def _close_file(self) -> None:
        if self._writer is None or self._out is None:
            return
        self._writer.close()
        size = self._out.tell()
        metadata = self._writer.writer.metadata
        self._out.close()
        self._out = self._writer = None
        self.unbounded |= unbounded_columns(metadata, self._schema)
        self._files.append(WrittenFile(self._name, size, metadata.num_rows, self._describe(metadata, self._schema)))


def staged_prefix(run_id: str, attempt: int) -> str:
    """Of the files that a reader writes: `staged-<run>.<attempt>-`."""
    return f"{run_prefix(run_id)}{attempt}-"


def run_prefix(run_id: str) -> str:
    """Of all files that a run's readers write: its end belongs to no other run. Letters that a URI would have to quote are not in it."""
    is_plain = re.fullmatch(r"[A-Za-z0-9_-]{1,80}", run_id) is not None
    return f"{STAGED}{run_id if is_plain else hashlib.sha256(run_id.encode()).hexdigest()[:16]}."


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
        if column.null_count == len(column) or REPEATS * pc.count_distinct(_storage(column)).as_py() <= len(column)
    ]


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Arrow does not count the values of an extension type, such as uuid."""
    is_extension = isinstance(column.type, pa.BaseExtensionType)
    return column.cast(column.type.storage_type) if is_extension else column


def file_statistics(metadata: pq.FileMetaData, schema: pa.Schema) -> str:
    """JSON for flat columns only, with bounds only for types whose bounds JSON represents exactly; a missing bound is always safe."""
    least: dict[str, JsonValue] = {}
    most: dict[str, JsonValue] = {}
    nulls: dict[str, JsonValue] = {}
    far = unbounded_columns(metadata, schema)
    columns = _flat_columns(metadata, list(schema)[:STATISTICS_COLUMNS])
    for field in list(schema)[:STATISTICS_COLUMNS]:
        name = field.name
        chunks = columns.get(name, [])
        if not chunks or any(chunk.statistics is None or not chunk.statistics.has_null_count for chunk in chunks):
            continue
        nulls[name] = sum(chunk.statistics.null_count for chunk in chunks)
        filled = [chunk.statistics for chunk in chunks if chunk.statistics.null_count < chunk.num_values]
        if name in far or not has_exact_bounds(field.type) or not all(chunk.has_min_max for chunk in filled):
            continue
        bounds = _bounds(filled)
        if bounds is not None:
            least[name], most[name] = bounds
    statistics = {"numRecords": metadata.num_rows, "minValues": least, "maxValues": most, "nullCount": nulls}
    # not escaped: readers that decode surrogate pairs wrongly (U+20000 as U+10000) would take a bound for a lower one
    return json.dumps(statistics, ensure_ascii=False)


def unbounded_columns(metadata: pq.FileMetaData, schema: pa.Schema) -> set[str]:
    """The flat columns of dates and times with a value outside the years 1 to 9999."""
    unbounded = set()
    units = {field.name: units_per_day(field.type) for field in schema if units_per_day(field.type)}
    for name, chunks in _flat_columns(metadata, [schema.field(name) for name in units]).items():
        low, high = FIRST_DAY * units[name], (LAST_DAY + 1) * units[name]
        for chunk in chunks:
            statistics = chunk.statistics
            if statistics is None or statistics.null_count == chunk.num_values:
                continue
            if not statistics.has_min_max or not low <= statistics.min_raw <= statistics.max_raw < high:
                unbounded.add(name)
    return unbounded


def units_per_day(kind: pa.DataType) -> int:
    """How many steps of a date or time make a day; 0 for other types."""
    return 1 if pa.types.is_date32(kind) else DAY[kind.unit] if pa.types.is_timestamp(kind) else 0


def _flat_columns(metadata: pq.FileMetaData, fields: Sequence[pa.Field]) -> dict[str, list[pq.ColumnChunkMetaData]]:
    """The chunks of each column that is not nested; empty for a file without rows."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if not groups or not fields:
        return {}
    indexes = {groups[0].column(index).path_in_schema: index for index in range(metadata.num_columns)}
    return {
        field.name: [group.column(indexes[field.name]) for group in groups]
        for field in fields
        if field.name in indexes and not pa.types.is_nested(field.type)
    }


def _bounds(chunks: Sequence[pq.Statistics]) -> tuple[JsonValue, JsonValue] | None:
    if not chunks:
        return None
    try:
        low, high = _json(min(chunk.min for chunk in chunks)), _json(max(chunk.max for chunk in chunks))
    except (ValueError, OverflowError):  # a value without a form in Python, such as text that is not UTF-8
        return None
    return None if low is None or high is None else (low, high)


def has_exact_bounds(kind: pa.DataType) -> bool:
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
