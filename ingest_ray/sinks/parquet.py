"""Writes one slice as Parquet files of bounded size, with the statistics that a table format records for each file."""

import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue

FILE_BYTES = 128 * 1024 * 1024  # a usual size in data lakes; a smaller slice makes a smaller file
ROW_GROUP_BYTES = 16 * 1024 * 1024  # rows held in memory before a row group is written
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
        self._describe = describe
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

    @property
    def waiting_bytes(self) -> int:
        """Of rows that are in no file yet."""
        return self._waiting_bytes

    @property
    def is_open(self) -> bool:
        return self._out is not None

    def flush(self) -> None:
        """Writes what waits, and leaves the file open."""
        self._flush()

    def close(self) -> list[WrittenFile]:
        """Every file so far; more rows begin another one."""
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
        unbounded = unbounded_columns(metadata, self._schema)
        self.unbounded |= unbounded
        describe = self._describe
        stats = (
            describe(metadata, self._schema)
            if describe is not None
            else file_statistics(metadata, self._schema, unbounded)
        )
        self._files.append(WrittenFile(self._name, size, metadata.num_rows, stats))


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
    if sample.num_rows == 1:  # nothing repeats
        return [name for name, column in zip(sample.column_names, sample.columns, strict=True) if column.null_count]
    return [
        name
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        if column.null_count == len(column) or REPEATS * pc.count_distinct(_storage(column)).as_py() <= len(column)
    ]


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Arrow does not count the values of an extension type, such as uuid."""
    is_extension = isinstance(column.type, pa.BaseExtensionType)
    return column.cast(column.type.storage_type) if is_extension else column


def file_statistics(metadata: pq.FileMetaData, schema: pa.Schema, unbounded: Collection[str] | None = None) -> str:
    """JSON for flat columns only, with bounds only for types whose bounds JSON represents exactly; a missing bound is always safe.

    `unbounded`: what `unbounded_columns` finds, where the caller has it.
    """
    least: dict[str, JsonValue] = {}
    most: dict[str, JsonValue] = {}
    nulls: dict[str, JsonValue] = {}
    far = unbounded_columns(metadata, schema) if unbounded is None else unbounded
    for field, chunks in _flat_columns(metadata, schema, range(min(len(schema), STATISTICS_COLUMNS))):
        if any(statistics is None or not statistics.has_null_count for statistics, _ in chunks):
            continue
        name = field.name
        nulls[name] = sum(statistics.null_count for statistics, _ in chunks)
        filled = [statistics for statistics, values in chunks if statistics.null_count < values]
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
    dated = [position for position, field in enumerate(schema) if units_per_day(field.type)]
    for field, chunks in _flat_columns(metadata, schema, dated):
        units = units_per_day(field.type)
        low, high = FIRST_DAY * units, (LAST_DAY + 1) * units
        for statistics, values in chunks:
            if statistics is None or statistics.null_count == values:
                continue
            if not statistics.has_min_max or not low <= statistics.min_raw <= statistics.max_raw < high:
                unbounded.add(field.name)
    return unbounded


def units_per_day(kind: pa.DataType) -> int:
    """How many steps of a date or time make a day; 0 for other types."""
    return 1 if pa.types.is_date32(kind) else DAY[kind.unit] if pa.types.is_timestamp(kind) else 0


def _flat_columns(
    metadata: pq.FileMetaData, schema: pa.Schema, positions: Iterable[int]
) -> Iterator[tuple[pa.Field, list[tuple[Any, int]]]]:
    """Of each column at `positions` that is not nested, the statistics (None where there are none) and the number of values of its
    chunks; nothing for a file without rows."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if not groups:
        return
    first = groups[0]
    has_one_leaf_each = metadata.num_columns == len(schema)
    by_path = {} if has_one_leaf_each else {first.column(n).path_in_schema: n for n in range(metadata.num_columns)}
    for position in positions:
        field = schema.field(position)
        index = position if has_one_leaf_each else by_path.get(field.name)
        if index is None or pa.types.is_nested(field.type) or first.column(index).path_in_schema != field.name:
            continue
        chunks = [group.column(index) for group in groups]
        yield field, [(chunk.statistics, chunk.num_values) for chunk in chunks]


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
