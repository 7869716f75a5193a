"""Receives the rows of a binary COPY and makes Arrow batches of them: the arrays that ADBC makes of the same query, for the types below.

A value that Arrow cannot hold wraps around as in ADBC; `ingest_strategies.jdbc.postgres.reader` recognises it. A `numeric` with a precision is
decoded to a decimal; from the first value on that its type cannot hold (NaN, infinity), or that has more than 18 digits, the column arrives in its binary form. The
types with their binary forms: https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES, `src/backend/utils/adt` of PostgreSQL.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_strategies.jdbc.postgres import copy_kernel as kernel
from ingest_strategies.jdbc.postgres.arrays import NoArray, decode_arrays
from ingest_strategies.jdbc.postgres.page import CopiedType, Page

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = len(SIGNATURE) + 8  # flags, and the length of an extension
MAX_BYTES = 2**30  # offsets of Arrow's binary have 31 bits
BUFFER_BYTES = 512 * 1024  # received bytes that stay in the processor's cache until they are decoded
SMALL_BYTES = 16 * 1024  # what is moved to make room although there is some
EPOCH_US = 946_684_800_000_000
EPOCH_DAYS = 10_957

Octets = npt.NDArray[np.uint8]

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
ARRAYS = {
    1000: 16,
    1001: 17,
    1003: 19,
    1016: 20,
    1005: 21,
    1007: 23,
    1009: 25,
    1021: 700,
    1022: 701,
    1014: 1042,
    1015: 1043,
    1182: 1082,
    1183: 1083,
    1115: 1114,
    1185: 1184,
}
"""By the array's type the type of its elements."""
NUMERIC = 1700
SENT = CopiedType(pa.binary(), "bytes")
"""A numeric as it is sent."""


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
        self._types = list(types)
        self._page_bytes = min(page_bytes, MAX_BYTES)
        self._receive_into = receive
        self._other = other
        self._state = np.zeros(kernel.STATES, np.int64)
        self._wire: Octets = np.empty(BUFFER_BYTES, np.uint8)
        self._room = BUFFER_BYTES
        self._end = 0
        self._has_header = False
        self._is_ended = False
        self._rooms: dict[int, int] = {}  # what the texts of one row need
        self._begin_page()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Until the message that ends the COPY was passed to `other`. Bounded by `page_bytes`, save for a single row that is larger."""
        while True:
            status = self._decode_messages()
            if status == kernel.OTHER:
                joined = self._join()
                while (status := self._decode_joined()) != kernel.MORE:
                    yield from self._turn_page(status)
                if joined == kernel.OTHER and self._pass_on():
                    break
                if joined != kernel.MORE:
                    continue
            elif status != kernel.MORE:
                yield from self._turn_page(status)
                continue
            self._receive()
        if not self._is_ended or self._state[kernel.LEFT]:
            raise MalformedCopy("it ended before its last row")
        if self._state[kernel.ROWS]:
            yield self._batch(int(self._state[kernel.ROWS]))

    def _batch(self, rows: int) -> pa.RecordBatch:
        batch = self._page.batch(rows)
        try:
            columns = [
                column if kind.element is None else decode_arrays(column, kind.element)
                for column, kind in zip(batch.columns, self._types, strict=True)
            ]
        except NoArray as error:
            raise MalformedCopy(str(error)) from None
        return pa.RecordBatch.from_arrays(columns, batch.schema.names)

    def rest(self) -> bytes:
        """What was received after the end of the COPY."""
        return bytes(self._wire[int(self._state[kernel.RAW]) : self._end].tobytes())

    def _begin_page(self) -> None:
        self._page = page = Page(self._types, self._page_bytes, self._rooms)
        self._state[kernel.ROWS] = self._state[kernel.BYTES] = 0
        self._state[kernel.MOST_BYTES], self._state[kernel.MOST_ROWS] = self._page_bytes, page.most_rows
        self._state[kernel.FIXED_BYTES] = page.fixed_bytes
        self._views = (page.columns, page.octets, page.shorts, page.ints, page.longs)
        self._bind()

    def _bind(self) -> None:
        self._decode = kernel.decode_messages.bound(self._wire, self._state, *self._views)

    def _turn_page(self, status: int) -> Iterator[pa.RecordBatch]:
        """The page so far, where it has rows, and another one, with room for the row that did not fit."""
        column, room = int(self._state[kernel.COLUMN]), int(self._state[kernel.ROOM])
        rows = int(self._state[kernel.ROWS])
        if status in (kernel.WRONG, kernel.MALFORMED):
            wrong = f"a value of column {column + 1} is no {self._types[column].arrow}"
            raise MalformedCopy(wrong if status == kernel.WRONG else "a row that is not of the query")
        if status == kernel.ODD:
            self._types[column] = SENT
        if rows:
            yield self._batch(rows)
            self._rooms = {}
        elif status == kernel.GROW:
            self._rooms[column] = room
        self._begin_page()

    def _decode_messages(self) -> int:
        if not self._has_header or self._is_ended:
            return kernel.OTHER
        return self._decode(self._end)

    def _join(self) -> int:
        status = kernel.join_payloads(self._wire, self._end, self._state)
        if status == kernel.MALFORMED:
            raise MalformedCopy("a message without a length")
        return status

    def _decode_joined(self) -> int:
        """`MORE` where the next bytes are needed, or the rows ended."""
        if not self._has_header and not self._read_header():
            return kernel.MORE
        if not self._is_ended:
            status = kernel.decode_joined(self._wire, self._state, *self._views)
            if status != kernel.END:
                return status
            self._is_ended = True
        if self._state[kernel.AT] != self._state[kernel.FILLED]:
            raise MalformedCopy("rows after its end")
        return kernel.MORE

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
        held = self._end - int(self._state[kernel.RAW]) + int(self._state[kernel.FILLED] - self._state[kernel.AT])
        if self._end == self._room or (held < SMALL_BYTES and self._end > self._room // 2):
            self._move_rest()
        count = self._receive_into(self._wire.data[self._end : self._room])
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
        room = BUFFER_BYTES if need <= BUFFER_BYTES else max(need + BUFFER_BYTES, 2 * held)
        if self._room != room:
            self._wire, self._room = np.empty(room, np.uint8), room
            self._bind()
        self._wire[: len(row)] = row
        self._wire[len(row) : held] = received
        state[kernel.AT], state[kernel.FILLED], state[kernel.RAW], state[kernel.NEED] = 0, len(row), len(row), 0
        self._end = held


def copied_type(number: int, modifier: int) -> CopiedType | None:
    """Of a column as the server describes it; None: the decoder does not know the type."""
    if number in ARRAYS:
        return CopiedType(pa.binary(), "bytes", element=TYPES[ARRAYS[number]])
    if number != NUMERIC:
        return TYPES.get(number)
    packed = modifier - 4
    precision, scale = (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    if modifier < 4 or not 0 <= scale <= precision <= 38:
        return SENT
    return CopiedType(pa.decimal128(precision, scale), "decimal")
