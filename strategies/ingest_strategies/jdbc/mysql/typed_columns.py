"""Values of a MySQL server's text protocol as Arrow's types, parsed where they were received."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_strategies.jdbc.mysql import value_kernel as kernel

WIDEST = 18  # digits of a decimal that an int64 holds

Cells = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int32]]
"""The received bytes; where each value begins in them, and how many it has (-1: NULL)."""


def parsed_column(cells: Cells, target: pa.DataType, nulls: int) -> pa.Array | None:
    """None: a type without a parser here, or a value that needs another conversion."""
    rows = len(cells[2])
    valid = np.zeros((rows + 7) // 8 if nulls else 0, np.uint8)
    values = _parsed(cells, target, rows, valid)
    if values is None:
        return None
    return pa.Array.from_buffers(target, rows, [pa.py_buffer(valid) if nulls else None, pa.py_buffer(values)], nulls)


def _parsed(cells: Cells, target: pa.DataType, rows: int, valid: npt.NDArray[np.uint8]) -> npt.NDArray[Any] | None:
    if pa.types.is_integer(target):
        kind, longs = np.dtype(str(target)), np.empty(rows, np.int64)
        bounds = np.iinfo(kind)
        most = min(int(bounds.max), 2**63 - 1)
        is_done = kernel.parse_whole_numbers(*cells, int(bounds.min), most, longs, valid)
        return longs.astype(kind, copy=False) if is_done else None
    if pa.types.is_decimal128(target):
        pairs = np.empty((rows, 2), np.int64)
        limit = 10 ** min(target.precision, WIDEST)
        return pairs if kernel.parse_decimals(*cells, target.scale, limit, pairs, valid) else None
    if pa.types.is_date32(target):
        days = np.empty(rows, np.int32)
        return days if kernel.parse_dates(*cells, days, valid) else None
    if pa.types.is_timestamp(target) and target.unit == "us":
        moments = np.empty(rows, np.int64)
        return moments if kernel.parse_moments(*cells, moments, valid) else None
    return None
