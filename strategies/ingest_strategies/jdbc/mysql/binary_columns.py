"""Values of a MySQL server's binary protocol as Arrow's types: numbers and times as they are sent, all others as their text.

https://mariadb.com/kb/en/resultset-row/#binary-resultset-row, https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pymysql.constants import FIELD_TYPE, FLAG

from ingest_strategies.jdbc.mysql import value_kernel as kernel
from ingest_strategies.jdbc.mysql.packet_kernel import LIKE_TEXT, ONE_BYTE
from ingest_strategies.jdbc.mysql.typed_columns import Cells

_WIDTHS = {
    FIELD_TYPE.TINY: 1,
    FIELD_TYPE.SHORT: 2,
    FIELD_TYPE.YEAR: 2,
    FIELD_TYPE.INT24: 4,
    FIELD_TYPE.LONG: 4,
    FIELD_TYPE.LONGLONG: 8,
}
_FLOATS = {FIELD_TYPE.FLOAT: pa.float32(), FIELD_TYPE.DOUBLE: pa.float64()}
_TIMES = {
    FIELD_TYPE.DATE: pa.date32(),
    FIELD_TYPE.DATETIME: pa.timestamp("us"),
    FIELD_TYPE.TIMESTAMP: pa.timestamp("us"),
}
_TEXTS = frozenset(
    {
        FIELD_TYPE.VARCHAR, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.ENUM, FIELD_TYPE.SET, FIELD_TYPE.JSON,
        FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BLOB,
    }
)  # fmt: skip
_DECIMALS = frozenset({FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL})
MOST_DIGITS = 6  # of a second's fraction


@dataclass(frozen=True)
class BinaryColumn:
    """`sent` is the type of the values as they travel, `width` as the kernel wants it, `digits` those of a second's fraction."""

    sent: pa.DataType
    width: int
    digits: int = 0


def binary_columns(fields: Sequence[Any], targets: Sequence[pa.DataType]) -> list[BinaryColumn] | None:
    """`fields` as PyMySQL describes them. None: a column is sent in a form that is not the one of its target."""
    if len(fields) != len(targets):
        return None
    found = [_binary_column(field, target) for field, target in zip(fields, targets, strict=True)]
    known = [column for column in found if column is not None]
    return known if len(known) == len(found) else None


def _binary_column(field: Any, target: pa.DataType) -> BinaryColumn | None:
    code = field.type_code
    if code in _WIDTHS:
        is_signed = not field.flags & FLAG.UNSIGNED or code == FIELD_TYPE.YEAR
        sent = _integer(_WIDTHS[code], is_signed=is_signed)
        return BinaryColumn(sent, _WIDTHS[code]) if pa.types.is_integer(target) else None
    if code in _FLOATS:
        return BinaryColumn(target, target.byte_width) if target == _FLOATS[code] else None
    if code in _TIMES:
        is_alike = target == pa.date32() if code == FIELD_TYPE.DATE else _is_moment(target)
        return BinaryColumn(target, ONE_BYTE, min(field.scale, MOST_DIGITS)) if is_alike else None
    is_text = pa.types.is_string(target) or pa.types.is_binary(target)
    if (code in _TEXTS and is_text) or (code in _DECIMALS and pa.types.is_decimal(target)):
        return BinaryColumn(pa.binary(), LIKE_TEXT)
    return None


def _integer(width: int, *, is_signed: bool) -> pa.DataType:
    return pa.from_numpy_dtype(np.dtype(f"{'i' if is_signed else 'u'}{width}"))


def _is_moment(target: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(target)) and target.unit == "us"


def read_column(cells: Cells, column: BinaryColumn, nulls: int) -> pa.Array:
    """The values as they travel, of a column that has no text. Raises `ValueError` where a time is none that Arrow can hold."""
    rows = len(cells[2])
    valid = np.zeros((rows + 7) // 8 if nulls else 0, np.uint8)
    values: npt.NDArray[Any]
    if column.width != ONE_BYTE:
        values = np.empty(rows * column.width, np.uint8)
        kernel.gather_fixed(*cells, column.width, values, valid)
    else:
        is_date = pa.types.is_date32(column.sent)
        values = np.empty(rows, np.int32 if is_date else np.int64)
        if not (kernel.read_dates if is_date else kernel.read_moments)(*cells, values, valid):
            raise ValueError(f"not a value of {column.sent}")
    buffers = [pa.py_buffer(valid) if nulls else None, pa.py_buffer(values)]
    return pa.Array.from_buffers(column.sent, rows, buffers, nulls)


def column_as_text(cells: Cells, column: BinaryColumn, nulls: int) -> pa.Array:
    """The values as the server writes them in its text protocol, but for zeros that fill up a number, and the notation of floats."""
    if column.width != ONE_BYTE:
        return read_column(cells, column, nulls).cast(pa.string()).cast(pa.binary())
    wire, starts, lengths = cells
    texts = [
        None if length < 0 else _time_text(wire[start : start + length].tobytes(), column)
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    return pa.array(texts, pa.binary())


def _time_text(sent: bytes, column: BinaryColumn) -> bytes:
    parts = sent.ljust(11, b"\0")
    year, micros = int.from_bytes(parts[:2], "little"), int.from_bytes(parts[7:11], "little")
    text = f"{year:04d}-{parts[2]:02d}-{parts[3]:02d}"
    if not pa.types.is_date32(column.sent):
        text += f" {parts[4]:02d}:{parts[5]:02d}:{parts[6]:02d}"
        text += f".{micros:06d}"[: column.digits + 1] if column.digits else ""
    return text.encode()
