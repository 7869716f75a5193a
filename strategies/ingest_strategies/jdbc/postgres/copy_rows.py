"""Receives the rows of a binary COPY and makes Arrow batches of them: the arrays that ADBC makes of the same query, for the types below.

A value that Arrow cannot hold wraps around as in ADBC; `ingest_strategies.jdbc.postgres.reader` recognises it. The types with their binary
forms: https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES, `src/backend/utils/adt` of PostgreSQL.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_strategies.jdbc.postgres import copy_kernel as kernel

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = len(SIGNATURE) + 8  # flags, and the length of an extension
MAX_ROWS = 65_536
MAX_BYTES = 2**30  # offsets of Arrow's binary have 31 bits
MIN_BUFFER_BYTES = 256 * 1024
EPOCH_US = 946_684_800_000_000
EPOCH_DAYS = 10_957

Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CopiedType:
    """How a type of PostgreSQL becomes one of Arrow: the form of its bytes, and what is added to a number or left out of a text."""

    arrow: pa.DataType
    form: str
    change: int = 0


TEXT = CopiedType(pa.string(), "bytes")
TYPES = {
    16: CopiedType(pa.bool_(), "bits"),
    17: CopiedType(pa.binary(), "bytes"),
    18: TEXT,  # "char"
    19: TEXT,  # name
    20: CopiedType(pa.int64(), "eight"),
    21: CopiedType(pa.int16(), "two"),
    23: CopiedType(pa.int32(), "four"),
    25: TEXT,
    114: TEXT,  # json
    700: CopiedType(pa.float32(), "four"),
    701: CopiedType(pa.float64(), "eight"),
    1042: TEXT,  # character
    1043: TEXT,  # character varying
    1082: CopiedType(pa.date32(), "four", EPOCH_DAYS),
    1083: CopiedType(pa.time64("us"), "eight"),
    1114: CopiedType(pa.timestamp("us"), "eight", EPOCH_US),
    1184: CopiedType(pa.timestamp("us", "UTC"), "eight", EPOCH_US),
    2950: CopiedType(pa.binary(16), "fixed"),  # uuid
    3802: CopiedType(pa.string(), "bytes", 1),  # jsonb: a version before the text
}
"""By the type's number, which is the same in every server."""

NUMPY = {"eight": np.int64, "four": np.int32, "two": np.int16}


class MalformedCopy(Exception):
    """The stream is not one of the protocol."""


class CopyRows:
    """`receive` fills a part of a buffer with the next bytes of the connection and returns their number, 0 at its end. `other` takes a
    message that is no row: its letter and payload."""

    def __init__(
        self,
        types: Sequence[CopiedType],
        page_bytes: int,
        receive: Callable[[memoryview], int],
        other: Callable[[int, bytes], None],
    ) -> None:
        self._types = types
        self._page_bytes = min(page_bytes, MAX_BYTES)
        self._receive_into = receive
        self._other = other
        columns = len(types)
        most = max(1, min(MAX_ROWS, self._page_bytes // (4 * columns + 2)))
        most += 16 - most % 16  # no power of two, with which the columns would share cache lines
        self._starts = np.empty((columns, most), np.int64)
        self._lengths = np.empty((columns, most), np.int32)
        self._sizes = np.zeros(columns, np.int64)
        self._nulls = np.zeros(columns, np.int64)
        self._state = np.zeros(kernel.STATES, np.int64)
        self._room = max(self._page_bytes, MIN_BUFFER_BYTES)
        self._wire: Octets = np.empty(self._room, np.uint8)
        self._end = 0
        self._has_header = False
        self._is_ended = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Until the message that ends the COPY was passed to `other`. Bounded by `page_bytes`, save for a single row that is larger."""
        while True:
            status = self._split_messages()
            if status == kernel.FULL:
                yield self._batch()
                self._move_rest()
                continue
            if status == kernel.OTHER:
                joined = self._join()
                while self._split():
                    yield self._batch()
                    self._move_rest()
                if joined == kernel.OTHER and self._pass_on():
                    break
                if joined != kernel.MORE:
                    continue
            if self._end == len(self._wire):
                if self._state[kernel.ROWS]:
                    yield self._batch()
                self._move_rest()
            self._receive()
        if not self._is_ended or self._state[kernel.LEFT]:
            raise MalformedCopy("it ended before its last row")
        if self._state[kernel.ROWS]:
            yield self._batch()

    def rest(self) -> bytes:
        """What was received after the end of the COPY."""
        return bytes(self._wire[int(self._state[kernel.RAW]) : self._end].tobytes())

    def _split_messages(self) -> int:
        if not self._has_header or self._is_ended:
            return kernel.OTHER
        arguments = (self._wire, self._end, self._page_bytes, self._state, self._starts, self._lengths)
        return int(kernel.split_messages(*arguments))

    def _join(self) -> int:
        status = int(kernel.join_payloads(self._wire, self._end, self._state))
        if status == kernel.MALFORMED:
            raise MalformedCopy("a message without a length")
        return status

    def _split(self) -> bool:
        """True where a page is full."""
        if not self._has_header and not self._read_header():
            return False
        if self._is_ended:
            if self._state[kernel.AT] != self._state[kernel.FILLED]:
                raise MalformedCopy("rows after its end")
            return False
        status = kernel.split_rows(self._wire, self._page_bytes, self._state, self._starts, self._lengths)
        if status == kernel.MALFORMED:
            raise MalformedCopy("a row that is not of the query")
        self._is_ended = status == kernel.END
        return bool(status == kernel.FULL)

    def _read_header(self) -> bool:
        filled = int(self._state[kernel.FILLED])
        if filled < HEADER:
            return False
        header = self._wire[:HEADER].tobytes()
        size = HEADER + int.from_bytes(header[-4:], "big")
        if not header.startswith(SIGNATURE) or header[len(SIGNATURE) : -4] != bytes(4):
            raise MalformedCopy("it does not begin as a binary COPY")
        if filled < size:
            return False
        self._state[kernel.AT] = size
        self._has_header = True
        return True

    def _pass_on(self) -> bool:
        """Passes the next message to `other`; True where it ends the COPY ('c')."""
        at = int(self._state[kernel.RAW])
        letter = int(self._wire[at])
        size = 1 + int.from_bytes(self._wire[at + 1 : at + 5].tobytes(), "big")
        self._state[kernel.RAW] = at + size
        self._other(letter, self._wire[at + 5 : at + size].tobytes())
        return letter == ord("c")

    def _receive(self) -> None:
        count = self._receive_into(self._wire.data[self._end :])
        if not count:
            raise ConnectionError("the server closed the connection unexpectedly")
        self._end += count

    def _move_rest(self) -> None:
        """Moves the incomplete row, and what was received behind it, to the front of a buffer that has room for more."""
        state = self._state
        at, filled, raw = int(state[kernel.AT]), int(state[kernel.FILLED]), int(state[kernel.RAW])
        row, received = self._wire[at:filled].copy(), self._wire[raw : self._end].copy()
        held = len(row) + len(received)
        need = max(int(state[kernel.NEED]), held + 1)
        room = self._room if need <= self._room else max(need + MIN_BUFFER_BYTES, 2 * held)
        if len(self._wire) != room:
            self._wire = np.empty(room, np.uint8)
        self._wire[: len(row)] = row
        self._wire[len(row) : held] = received
        state[kernel.AT], state[kernel.FILLED], state[kernel.RAW], state[kernel.NEED] = 0, len(row), len(row), 0
        self._end = held

    def _batch(self) -> pa.RecordBatch:
        rows = int(self._state[kernel.ROWS])
        kernel.measure_columns(self._lengths, rows, self._sizes, self._nulls)
        columns = [self._column(index, kind, rows) for index, kind in enumerate(self._types)]
        self._state[kernel.ROWS] = 0
        return pa.RecordBatch.from_arrays(columns, [f"c{index}" for index in range(len(columns))])

    def _column(self, index: int, kind: CopiedType, rows: int) -> pa.Array:
        nulls = int(self._nulls[index])
        valid = np.zeros((rows + 7) // 8 if nulls else 0, np.uint8)
        cells = (self._wire, self._starts[index, :rows], self._lengths[index, :rows])
        is_right, buffers = self._gather(kind, cells, rows, int(self._sizes[index]), valid)
        if not is_right:
            raise MalformedCopy(f"a value of column {index + 1} is no {kind.arrow}")
        return pa.Array.from_buffers(kind.arrow, rows, [pa.py_buffer(valid) if nulls else None, *buffers], nulls)

    def _gather(
        self, kind: CopiedType, cells: tuple[Any, ...], rows: int, size: int, valid: Octets
    ) -> tuple[int, list[pa.Buffer]]:
        match kind.form:
            case "bytes":
                offsets, content = pa.allocate_buffer(4 * (rows + 1)), pa.allocate_buffer(size)
                into = np.frombuffer(offsets, np.int32), np.frombuffer(content, np.uint8)
                return kernel.gather_bytes(*cells, kind.change, *into, valid), [offsets, content]
            case "bits":
                bits = np.zeros((rows + 7) // 8, np.uint8)
                return kernel.gather_bits(*cells, bits, valid), [pa.py_buffer(bits)]
            case "fixed":
                width = kind.arrow.byte_width
                fixed = np.zeros(rows * width, np.uint8)
                return kernel.gather_fixed(*cells, width, fixed, valid), [pa.py_buffer(fixed)]
            case "two":
                short = np.empty(rows, np.int16)
                return kernel.gather_two(*cells, short, valid), [pa.py_buffer(short)]
            case form:
                values = np.empty(rows, NUMPY[form])
                gather = kernel.gather_eight if form == "eight" else kernel.gather_four
                return gather(*cells, kind.change, values, valid), [pa.py_buffer(values)]
