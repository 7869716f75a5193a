"""The columns of one page of rows, in one piece of memory that machine code fills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_strategies.jdbc.postgres import copy_kernel as kernel
from ingest_strategies.jdbc.postgres.page_memory import lend_memory

MAX_ROWS = 1 << 20
TEXT_BYTES = 256 * 1024 * 1024  # of all columns of a page: memory that is touched only as far as it is filled
ALIGNMENT = 64
FORMS = {
    "eight": kernel.EIGHT,
    "four": kernel.FOUR,
    "two": kernel.TWO,
    "bits": kernel.BIT,
    "bytes": kernel.TEXT,
    "fixed": kernel.FIXED,
    "decimal": kernel.DECIMAL,
}
_WIDTHS = {kernel.EIGHT: 8, kernel.FOUR: 4, kernel.TWO: 2, kernel.TEXT: 4, kernel.DECIMAL: 16}


@dataclass(frozen=True)
class CopiedType:
    """How a type of PostgreSQL becomes one of Arrow: the form of its bytes, and what is added to a number or left out of a text."""

    arrow: pa.DataType
    form: str
    change: int = 0
    element: "CopiedType | None" = None
    """Of an array, which is decoded after its page: `arrow` is the type of its binary form."""


class Page:
    """`columns` has the kernel's items of each column; the views of the memory are what its functions take."""

    def __init__(self, types: Sequence[CopiedType], page_bytes: int, rooms: Mapping[int, int]) -> None:
        """`rooms`: the bytes that the texts of a column need, where these are more than usual."""
        self._types = list(types)
        texts = sum(kind.form == "bytes" for kind in types)
        self.columns = np.zeros((len(types), kernel.ITEMS), np.int64)
        for index, (item, kind) in enumerate(zip(self.columns, types, strict=True)):
            item[kernel.FORM], item[kernel.CHANGE] = FORMS[kind.form], _change(kind)
            item[kernel.LIMIT] = 10 ** min(kind.arrow.precision, kernel.WIDEST) if kind.form == "decimal" else 0
            item[kernel.TEXT_ROOM] = max(ALIGNMENT, min(page_bytes, TEXT_BYTES // max(1, texts)), rooms.get(index, 0))
        self.fixed_bytes = sum(self._width(item) for item in self.columns)
        self.most_rows = max(1, min(MAX_ROWS, page_bytes // max(1, self.fixed_bytes) + 1))
        self._lay_out(is_usual=not rooms)

    def _width(self, item: npt.NDArray[np.int64]) -> int:
        form = int(item[kernel.FORM])
        return int(item[kernel.CHANGE]) if form == kernel.FIXED else _WIDTHS.get(form, 0)

    def _lay_out(self, *, is_usual: bool) -> None:
        """Bits of validity first, then the values, then the texts, each aligned."""
        bits = _aligned((self.most_rows + 7) // 8)
        end = bits * len(self.columns)
        for index, item in enumerate(self.columns):
            item[kernel.VALID] = bits * index
            width = self._width(item)
            item[kernel.VALUES] = end // (1 if item[kernel.FORM] in (kernel.BIT, kernel.FIXED) else min(width, 8))
            end += _aligned(width * (self.most_rows + 1)) if width else bits
        for item in self.columns:
            item[kernel.TEXTS] = end
            end += _aligned(int(item[kernel.TEXT_ROOM])) if item[kernel.FORM] == kernel.TEXT else 0
        self.octets, self._memory = lend_memory(end, is_usual=is_usual)
        self.shorts, self.ints, self.longs = (self.octets.view(kind) for kind in (np.int16, np.int32, np.int64))
        self.octets[: bits * len(self.columns)] = 0xFF
        for item in self.columns:
            if item[kernel.FORM] == kernel.TEXT:
                self.ints[item[kernel.VALUES]] = 0

    def batch(self, rows: int) -> pa.RecordBatch:
        """The first rows, without a copy."""
        arrays = [self._array(kind, item, rows) for kind, item in zip(self._types, self.columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, [f"c{index}" for index in range(len(arrays))])

    def _array(self, kind: CopiedType, item: npt.NDArray[np.int64], rows: int) -> pa.Array:
        form, bits = item[kernel.FORM], (rows + 7) // 8
        valid = self._memory.slice(int(item[kernel.VALID]), bits) if item[kernel.HAS_NULL] else None
        width = self._width(item)
        at = int(item[kernel.VALUES]) * (1 if form in (kernel.BIT, kernel.FIXED) else min(width, 8))
        buffers = [valid, self._memory.slice(at, bits if form == kernel.BIT else width * rows)]
        if form == kernel.TEXT:
            buffers[1] = self._memory.slice(at, 4 * (rows + 1))
            buffers.append(self._memory.slice(int(item[kernel.TEXTS]), int(self.ints[at // 4 + rows])))
        return pa.Array.from_buffers(kind.arrow, rows, buffers, -1 if item[kernel.HAS_NULL] else 0)


def _change(kind: CopiedType) -> int:
    match kind.form:
        case "fixed":
            return int(kind.arrow.byte_width)
        case "decimal":
            return int(kind.arrow.scale)
        case _:
            return kind.change


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT
