"""Encodes Arrow batches as the rows of a binary COPY, for the types that machine code knows: what the driver makes of the same batches,
but for numerics, which have all digits of their type.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_ray.sinks.databases.postgres import copy_kernel as kernel

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
BLOCK_BYTES = 512 * 1024  # stays in the processor's cache until it is sent
BLOCK_ROWS = 8_192
EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which the server counts
EPOCH_DAYS = 10_957

Octets = npt.NDArray[np.uint8]
_NONE: Octets = np.zeros(1, np.uint8)
_EIGHTS = {pa.int64(): 0, pa.float64(): 0, pa.time64("us"): 0}
_FOURS = {pa.int32(): 0, pa.float32(): 0, pa.date32(): EPOCH_DAYS}


class ValueOutOfRange(Exception):
    """A value that the server's type cannot have."""


def is_encoded(kind: pa.DataType) -> bool:
    return (
        kind in _EIGHTS
        or kind in _FOURS
        or kind in (pa.bool_(), pa.int16(), pa.string(), pa.binary(), pa.uuid())
        or (pa.types.is_timestamp(kind) and kind.unit == "us")
        or (pa.types.is_decimal128(kind) and 0 <= kind.scale <= kind.precision)
    )


def load_encoder() -> None:
    """Before a transaction: where no process has compiled the machine code yet, that takes seconds."""
    kernel.code.address(kernel.lay_out_rows.python.__name__)


@dataclass
class _Column:
    """One column of a batch: what its values take beside their length, and how a block of them is written."""

    width: int
    """0: as many as each text has."""
    has_nulls: int
    valid: Octets
    offset: int
    write: Callable[[Octets, Any, int, int], int]
    offsets: Any = None


class CopyEncoder:
    """`constants`: values of columns behind those of the batches."""

    def __init__(self, schema: pa.Schema, constants: Sequence[tuple[pa.Field, pa.Scalar]] = ()) -> None:
        self._fields = len(schema) + len(constants)
        self._constants = np.frombuffer(_encoded_fields(constants), np.uint8) if constants else _NONE[:0]
        self._out: Octets = np.empty(BLOCK_BYTES, np.uint8)
        self._at, self._sizes = np.empty(BLOCK_ROWS, np.int64), np.empty(BLOCK_ROWS, np.int64)
        self._fitted = np.zeros(2, np.int64)

    def blocks(self, batch: pa.RecordBatch) -> Iterator[memoryview]:
        """Each is valid until the next one. Raises `ValueOutOfRange`."""
        columns = [_column(array) for array in batch.columns]
        first = 0
        while first < batch.num_rows:
            rows = self._fit(columns, first, min(BLOCK_ROWS, batch.num_rows - first))
            if not rows:
                self._out = np.empty(int(self._fitted[kernel.NEED]), np.uint8)
                continue
            for column, field in zip(columns, batch.schema, strict=True):
                if column.write(self._out, self._at, first, rows):
                    raise ValueOutOfRange(f"column '{field.name}' has a value that is no {field.type} of PostgreSQL")
            if len(self._constants):
                kernel.write_constants(self._out, self._at, self._constants, rows)
            yield self._out.data[: int(self._fitted[kernel.NEED])]
            first += rows
            if len(self._out) > BLOCK_BYTES:
                self._out = np.empty(BLOCK_BYTES, np.uint8)

    def _fit(self, columns: Sequence[_Column], first: int, rows: int) -> int:
        """How many rows have a place in the block."""
        fixed = 2 + 4 * len(columns) + len(self._constants)
        self._sizes[:rows] = 0
        for column in columns:
            if column.offsets is not None:
                where = (column.valid, column.has_nulls, column.offset + first, rows)
                kernel.add_lengths(self._sizes, column.offsets, column.offset + first, *where)
            elif column.has_nulls:
                kernel.add_widths(self._sizes, column.valid, column.offset + first, rows, column.width)
            else:
                fixed += column.width
        kernel.lay_out_rows(self._out, self._at, self._sizes, rows, fixed, self._fields, self._fitted)
        return int(self._fitted[kernel.ROWS])


def _encoded_fields(constants: Sequence[tuple[pa.Field, pa.Scalar]]) -> bytes:
    arrays = [pa.array([value.as_py()], field.type) for field, value in constants]
    batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema([field for field, _ in constants]))
    (row,) = CopyEncoder(batch.schema).blocks(batch)
    return bytes(row[2:])


def _column(array: pa.Array) -> _Column:
    """Raises `TypeError` for a type that is not encoded."""
    kind = array.type
    if not is_encoded(kind):
        raise TypeError(f"{kind} is not encoded")
    if isinstance(kind, pa.BaseExtensionType):
        array = array.storage
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    buffers, offset = array.buffers(), array.offset
    has_nulls = int(array.null_count > 0)
    valid = np.frombuffer(buffers[0], np.uint8) if has_nulls else _NONE
    nulls = (valid, has_nulls)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        offsets, texts = _items(buffers[1], np.int32), _items(buffers[2], np.uint8)

        def write_texts(out: Octets, at: Any, first: int, rows: int) -> int:
            return kernel.write_texts(out, at, offsets, texts, offset + first, *nulls, offset + first, rows)

        return _Column(0, has_nulls, valid, offset, write_texts, offsets)
    width, call, item, last = _form(kind)
    values = _items(buffers[1], item)

    def write(out: Octets, at: Any, first: int, rows: int) -> int:
        return call(out, at, values, offset + first, *nulls, offset + first, rows, *last)

    return _Column(width, has_nulls, valid, offset, write)


def _form(kind: pa.DataType) -> tuple[int, Callable[..., int], Any, tuple[int, ...]]:
    """The bytes of a value, the function that writes them, its items, and its last arguments."""
    if pa.types.is_decimal128(kind):
        groups = max(1, -(-kind.scale // 4) + -(-(kind.precision - kind.scale) // 4))
        return 8 + 2 * groups, kernel.write_decimals, np.int64, (kind.scale, groups)
    if pa.types.is_timestamp(kind):
        return 8, kernel.write_eights, np.int64, (EPOCH_US,)
    if kind in _EIGHTS:
        return 8, kernel.write_eights, np.int64, (0,)
    if kind in _FOURS:
        return 4, kernel.write_fours, np.int32, (_FOURS[kind],)
    if pa.types.is_int16(kind):
        return 2, kernel.write_twos, np.int16, ()
    width = 1 if pa.types.is_boolean(kind) else 16
    return width, kernel.write_fixed, np.uint8, (width,)


def _items(buffer: pa.Buffer | None, item: Any) -> Any:
    """Whole items only: a buffer may be padded. Machine code takes an address of an empty array, too, but not of none."""
    if buffer is None or buffer.size < np.dtype(item).itemsize:
        return np.zeros(1, item)
    return np.frombuffer(buffer, item, buffer.size // np.dtype(item).itemsize)
