"""Converts a driver's arrays to the declared Arrow types, and finds the rows that do not fit.

The fast path costs one cast; only a batch with a value that does not fit is searched for it. No value becomes NULL on the
way: a row that does not fit is rejected as a whole, with its raw values.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue


@dataclass
class Misfits:
    """Rows of one batch that cannot be staged: row -> (reason, column). The first reason of a row is reported."""

    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, row: int, reason: str, column: str) -> None:
        self.reasons.setdefault(row, (reason, column))


Convert = Callable[[pa.Array, pa.DataType], pa.Array]
"""Casts one array; raises `ValueError` when any value of it does not fit."""


def cast_exactly(array: pa.Array, target: pa.DataType) -> pa.Array:
    """A safe cast: raises where a value would change."""
    return array if array.type == target else array.cast(target)


def fit_array(
    array: pa.Array, target: pa.DataType, column: str, misfits: Misfits, convert: Convert = cast_exactly
) -> pa.Array:
    """The array as `target`; values that do not fit are NULL in it and their rows are in `misfits`."""
    try:
        return convert(array, target)
    except (
        ValueError
    ):  # `ArrowInvalid` is one; a conversion that Arrow does not support raises another error, which is not caught
        pass
    bad = bad_rows(array, target, convert)
    for row in bad:
        misfits.add(row, f"not a value of {target}", column)
    return convert(pc.if_else(row_mask(bad, len(array)), pa.scalar(None, array.type), array), target)


def row_mask(rows: Iterable[int], length: int) -> pa.Array:
    """True at these rows."""
    mask = bytearray(length)
    for row in rows:
        mask[row] = 1
    return pa.array(mask, pa.uint8()).cast(pa.bool_())


def rows_where(mask: pa.Array) -> list[int]:
    """The rows where a mask is true."""
    rows: list[int] = pc.indices_nonzero(mask.fill_null(False)).to_pylist()
    return rows


def bad_rows(array: pa.Array, target: pa.DataType, convert: Convert, first: int = 0) -> list[int]:
    """The rows that do not convert, found by halving: a few casts for a few bad rows, none for good halves."""
    try:
        convert(array, target)
        return []
    except ValueError:
        if len(array) == 1:
            return [first]
    middle = len(array) // 2
    left = bad_rows(array.slice(0, middle), target, convert, first)
    return left + bad_rows(array.slice(middle), target, convert, first + middle)


def storage(array: pa.Array) -> pa.Array:
    """The plain array under an extension type."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def raw_value(array: pa.Array, row: int) -> JsonValue:
    """One value as JSON, exactly: a value that JSON cannot hold is text."""
    try:
        value = storage(array)[row].as_py()
    except UnicodeDecodeError:
        return f"X'{array.view(pa.binary())[row].as_py().hex()}'"
    except (OverflowError, ValueError):  # a time outside of Python's years
        return str(storage(array).view(pa.int64() if array.type.bit_width == 64 else pa.int32())[row].as_py())
    return json_value(value)


def json_value(value: Any) -> JsonValue:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case Decimal():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def without_misfits(arrays: Sequence[pa.Array], schema: pa.Schema, misfits: Misfits, rows: int) -> pa.RecordBatch:
    """The batch without the rows that do not fit."""
    if misfits.reasons:
        good = pc.invert(row_mask(misfits.reasons, rows))
        arrays = [array.filter(good) for array in arrays]
    return pa.RecordBatch.from_arrays(list(arrays), schema=schema)
