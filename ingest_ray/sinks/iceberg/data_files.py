"""Data files of an Iceberg table: written as Parquet with field ids, and described as manifests describe them.

https://iceberg.apache.org/spec/#data-file-fields. Bounds are those of flat columns whose order is the same everywhere: floats are left
out for NaN, bytes and uuids for readers that compare them with a sign.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sinks.iceberg.field_ids import arrow_schema, ids_of
from ingest_ray.sinks.iceberg.file_io import make_files_durable

BOUND_CHARS = 16  # as other writers of Iceberg: longer texts are cut, with the last character of an upper bound raised


class TableFiles:
    """The files of one table's rows, by name."""

    def __init__(self, io: FileIO, location: str) -> None:
        self._io = io
        self._location = location.rstrip("/")

    @classmethod
    def of(cls, table: Table) -> "TableFiles":
        return cls(table.io, table.location())

    def path(self, name: str) -> str:
        return f"{self._location}/data/{name}"

    def create(self, name: str) -> Any:
        if isinstance(self._io, PyArrowFileIO):  # not through a stream that makes every file durable by itself
            return PyArrowFileIO.new_output(self._io, self.path(name)).create(overwrite=True)
        return self._io.new_output(self.path(name)).create(overwrite=True)

    def read_footer(self, name: str) -> pq.FileMetaData:
        with self._io.new_input(self.path(name)).open() as source:
            return pq.read_metadata(source)

    def open(self, name: str) -> Any:
        return self._io.new_input(self.path(name)).open()

    def read(self, names: Sequence[str], columns: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows of prepared files, in the order of `columns` and in their types."""
        for name in names:
            with self._open_prepared(name) as source:
                for batch in pq.ParquetFile(source).iter_batches(columns=list(columns.names)):
                    ordered = [batch.column(field.name).cast(field.type) for field in columns]
                    yield pa.RecordBatch.from_arrays(ordered, schema=columns)

    def _open_prepared(self, name: str) -> Any:
        try:
            return self.open(name)
        except FileNotFoundError as error:
            raise StagingLost(
                f"file '{self.path(name)}' of prepared rows is gone", hint="its rows are prepared again"
            ) from error

    def make_durable(self, names: Sequence[str]) -> None:
        """Called before a commit names files, so that they survive a power failure; an object store's put is durable already."""
        make_files_durable([self.path(name) for name in names])

    def delete(self, name: str) -> None:
        try:
            self._io.delete(self.path(name))
        except FileNotFoundError:
            return


def data_file(
    table: Table, files: TableFiles, file: Mapping[str, JsonValue], partition: Record, spec_id: int
) -> DataFile:
    """The manifest's entry of a file, given as the fields of a `WrittenFile`. Reads the footer where its columns are not described."""
    text = str(file["stats"])
    if not text:
        text = describe_columns(files.read_footer(str(file["name"])), arrow_schema(table.schema()))
    stats = json.loads(text)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=files.path(str(file["name"])),
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=int(str(file["rows"])),
        file_size_in_bytes=int(str(file["bytes"])),
        column_sizes=_by_id(stats["sizes"]),
        value_counts=_by_id(stats["values"]),
        null_value_counts=_by_id(stats["nulls"]),
        nan_value_counts={},
        lower_bounds={int(key): bytes.fromhex(value) for key, value in stats["lower"].items()},
        upper_bounds={int(key): bytes.fromhex(value) for key, value in stats["upper"].items()},
        split_offsets=stats["splits"],
        sort_order_id=None,
        spec_id=spec_id,
        equality_ids=None,
        key_metadata=None,
    )


def describe_columns(metadata: pq.FileMetaData, schema: pa.Schema) -> str:
    """JSON: sizes, counts and bounds of flat columns by field id, and the offsets of the row groups."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    found: dict[str, dict[str, JsonValue]] = {name: {} for name in ("sizes", "values", "nulls", "lower", "upper")}
    indexes = {groups[0].column(index).path_in_schema: index for index in range(metadata.num_columns)} if groups else {}
    for name, field_id in ids_of(schema).items():
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or name not in indexes:
            continue
        chunks = [group.column(indexes[name]) for group in groups]
        key = str(field_id)
        found["sizes"][key] = sum(chunk.total_compressed_size for chunk in chunks)
        found["values"][key] = metadata.num_rows
        if all(chunk.statistics is not None and chunk.statistics.has_null_count for chunk in chunks):
            found["nulls"][key] = sum(chunk.statistics.null_count for chunk in chunks)
            _describe_bounds(found, key, kind, [chunk for chunk in chunks if _has_values(chunk)])
    splits: list[JsonValue] = [int(offset) for offset in sorted(_offset(group) for group in groups)]
    return json.dumps({**found, "splits": splits})


def decoded_bound(kind: pa.DataType, bound: bytes) -> Any:
    """As `comparable_value` returns the values of a key; None for a type without bounds."""
    if pa.types.is_string(kind):
        return bound.decode()
    if pa.types.is_decimal(kind):
        return int.from_bytes(bound, "big", signed=True)
    if _width(kind) is None:
        return None
    return int.from_bytes(bound, "little", signed=True)


def comparable_values(column: pa.Array) -> list[Any] | None:
    """Every value of a key once, in order, as numbers or texts that compare with bounds; None for a type without bounds."""
    kind, values = column.type, column.drop_null().unique()
    if pa.types.is_string(kind):
        return sorted(values.to_pylist())
    if pa.types.is_decimal(kind):
        return sorted(int(f"{value:f}".replace(".", "")) for value in values.to_pylist())
    width = _width(kind)
    if width is None:
        return None
    return sorted(values.view(pa.int32() if width == 4 else pa.int64()).to_pylist())


def _describe_bounds(
    found: dict[str, dict[str, JsonValue]], key: str, kind: pa.DataType, chunks: Sequence[pq.ColumnChunkMetaData]
) -> None:
    if not chunks or not all(chunk.statistics.has_min_max for chunk in chunks):
        return
    lows = [_raw(kind, chunk.statistics.min_raw) for chunk in chunks]
    highs = [_raw(kind, chunk.statistics.max_raw) for chunk in chunks]
    if any(value is None for value in (*lows, *highs)):
        return
    low, high = min(lows), max(highs)
    if isinstance(low, str):
        low, high = low[:BOUND_CHARS], _upper_text(high)
    found["lower"][key] = _encoded(kind, low).hex()
    if high is not None:
        found["upper"][key] = _encoded(kind, high).hex()


def _upper_text(text: str) -> str | None:
    """A text of at most `BOUND_CHARS` that is not less than `text`; None where there is none. No half of a surrogate pair is made."""
    if len(text) <= BOUND_CHARS:
        return text
    for end in range(BOUND_CHARS, 0, -1):
        raised = ord(text[end - 1]) + 1
        if raised <= 0x10FFFF:
            return text[: end - 1] + chr(0xE000 if 0xD800 <= raised <= 0xDFFF else raised)
    return None


def _raw(kind: pa.DataType, value: Any) -> Any:
    if pa.types.is_string(kind):
        try:
            return value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError:
            return None
    if pa.types.is_decimal(kind):
        return int.from_bytes(value, "big", signed=True) if isinstance(value, bytes) else int(value)
    return int(value) if _width(kind) is not None else None


def _encoded(kind: pa.DataType, value: Any) -> bytes:
    """https://iceberg.apache.org/spec/#binary-single-value-serialization"""
    if isinstance(value, str):
        return value.encode()
    if pa.types.is_decimal(kind):
        magnitude = value if value >= 0 else ~value
        return int(value).to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)
    return struct.pack("<i" if _width(kind) == 4 else "<q", value)


def _width(kind: pa.DataType) -> int | None:
    if kind == pa.int32() or pa.types.is_date32(kind):
        return 4
    is_long = kind == pa.int64() or pa.types.is_timestamp(kind) or pa.types.is_time64(kind)
    return 8 if is_long else None


def _has_values(chunk: pq.ColumnChunkMetaData) -> bool:
    return bool(chunk.statistics.null_count < chunk.num_values)


def _offset(group: pq.RowGroupMetaData) -> int:
    first = group.column(0)
    return int(first.dictionary_page_offset if first.has_dictionary_page else first.data_page_offset)


def _by_id(values: Mapping[str, int]) -> dict[int, int]:
    return {int(key): int(value) for key, value in values.items()}
