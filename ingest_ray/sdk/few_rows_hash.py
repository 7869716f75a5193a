"""The hashes that DuckDB gives to few rows, computed without it: a query costs as much for one row as for a thousand.

The functions are those of DuckDB (https://github.com/duckdb/duckdb/blob/main/src/common/types/hash.cpp, and `CombineHashScalar` of
https://github.com/duckdb/duckdb/blob/main/src/common/vector_operations/vector_hash.cpp). Another version may have others, so
`row_hash` compares the two on a sample of every type before it uses these.
"""

from collections.abc import Sequence

import pyarrow as pa

_BITS = (1 << 64) - 1
_PRIME = 0xD6E8FEB86659FD93
_SEED = 0xE17A1465
_LENGTH_PRIME = 0xC6A4A7935BD1E995
_NULL = 0xBF58476D1CE4E5B9

_DECIMAL_BYTES = ((2, 4), (4, 9), (8, 18), (16, 38))  # the integer that a decimal of so many digits is
MOST_VALUES = 256
MOST_BYTES = 8 * 1024


def is_small(columns: Sequence[pa.Array]) -> bool:
    """True where hashing the rows here is cheaper than a query. `columns`: of types that `row_hash.plain` returns."""
    rows = len(columns[0])
    if rows * len(columns) > MOST_VALUES or any(pa.types.is_nested(column.type) for column in columns):
        return False
    return bool(sum(column.nbytes for column in columns) <= MOST_BYTES)


def hashes_of_rows(columns: Sequence[pa.Array], salt: int) -> list[int]:
    """`hash(salt, column, ...)` of each row. `columns`: at least one, none of them nested."""
    hashes = [_of_integer(salt)] * len(columns[0])
    for column in columns:
        hashes = [_combined(left, right) for left, right in zip(hashes, _hashes(column), strict=True)]
    return hashes


def _hashes(column: pa.Array) -> list[int]:
    kind = column.type
    if pa.types.is_null(kind):
        return [_NULL] * len(column)
    if pa.types.is_decimal(kind):
        width = next(width for width, digits in _DECIMAL_BYTES if kind.precision <= digits)
        of_number = _of_wide if width == 16 else _of_integer if width == 8 else _of_narrow
        numbers = (value and _number(value[:width]) for value in _bytes(column))
        return [_NULL if number is None else of_number(int(number)) for number in numbers]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        of_value = _of_integer if kind.bit_width == 64 else _of_narrow
        return [_NULL if value is None else of_value(int(value)) for value in column.to_pylist()]
    return [_NULL if value is None else _of_bytes(value) for value in _bytes(column)]


def _bytes(column: pa.Array) -> list[bytes | None]:
    """Text need not be valid UTF-8."""
    kind = column.type
    if pa.types.is_string(kind):
        column = column.view(pa.binary())
    elif pa.types.is_large_string(kind):
        column = column.view(pa.large_binary())
    elif pa.types.is_decimal(kind):
        column = column.view(pa.binary(kind.bit_width // 8))
    values: list[bytes | None] = column.to_pylist()
    return values


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little", signed=True)


def _of_integer(number: int) -> int:
    """Of 64 bits. Negative numbers in two's complement."""
    mixed = number & _BITS
    mixed = (mixed ^ mixed >> 32) * _PRIME & _BITS
    mixed = (mixed ^ mixed >> 32) * _PRIME & _BITS
    return mixed ^ mixed >> 32


def _of_narrow(number: int) -> int:
    """Of 32 bits and fewer: DuckDB widens the sign to 32."""
    return _of_integer(number & 0xFFFFFFFF)


def _of_wide(number: int) -> int:
    """Of 128 bits."""
    return _of_integer(number) ^ _of_integer(number >> 64)


def _of_bytes(value: bytes) -> int:
    mixed = _SEED ^ (len(value) * _LENGTH_PRIME & _BITS)
    for start in range(0, len(value), 8):
        mixed = (mixed ^ int.from_bytes(value[start : start + 8], "little")) * _PRIME & _BITS
    return _of_integer(mixed)


def _combined(left: int, right: int) -> int:
    return ((left ^ left >> 32) * _PRIME & _BITS) ^ right
