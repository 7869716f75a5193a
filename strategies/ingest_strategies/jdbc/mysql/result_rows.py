"""Reads the rows of a result from a PyMySQL connection in bulk, a batch of columns at a time: text as binary, or the types that are asked for.

The rows are those of a statement's text, or those of a prepared statement, in binary form.

PyMySQL has read the columns before, and its buffered reader already holds the first bytes of the rows. They are taken from it; the
rest comes from the stream below, so that the reader is empty when PyMySQL reads again. (Its `readinto1` waits for more than it holds.)
"""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pymysql
from pymysql.constants import CR
from pymysql.protocol import MysqlPacket

from ingest_strategies.jdbc.mysql import packet_kernel as kernel
from ingest_strategies.jdbc.mysql.binary_columns import BinaryColumn, column_as_text, read_column
from ingest_strategies.jdbc.mysql.typed_columns import Cells, parsed_column
from ingest_strategies.jdbc.values.wire_text import parse_text

MAX_ROWS = 65_536
MAX_BYTES = 2**30  # offsets of Arrow's binary have 31 bits
MIN_BUFFER_BYTES = 256 * 1024  # one read of the socket takes up to this much, for small pages, too
SHORTEST_ERROR = 9  # a mark, a number, and an SQLSTATE with a mark of its own
SHORTEST_END = 5  # a mark, a count of warnings, the server's status

Octets = npt.NDArray[np.uint8]


class MysqlRows:
    """`result` is unbuffered, and none of its rows was read. Errors are those that PyMySQL raises."""

    def __init__(
        self,
        connection: Any,
        result: Any,
        page_bytes: int,
        types: Sequence[pa.DataType] = (),
        forms: Sequence[BinaryColumn] = (),
    ) -> None:
        """`forms`: of each column, where the rows are in binary form."""
        self._forms = forms
        self._widths = np.array([form.width for form in forms], np.int64)
        self._connection = connection
        self._result = result
        self._types = types
        self._page_bytes = page_bytes = min(page_bytes, MAX_BYTES)
        columns = result.field_count
        most = max(1, min(MAX_ROWS, page_bytes // (5 * columns + 4)))  # so many rows of NULL fill a page
        most += 16 - most % 16  # no power of two, with which the columns would share cache lines
        self._starts = np.empty((columns, most), np.int64)
        self._lengths = np.empty((columns, most), np.int32)
        self._sizes = np.zeros(columns, np.int64)
        self._nulls = np.zeros(columns, np.int64)
        self._state = np.zeros(kernel.STATES, np.int64)
        self._state[kernel.NUMBER] = connection._next_seq_id
        self._room = max(page_bytes, MIN_BUFFER_BYTES)
        self._wire: Octets = np.empty(self._room, np.uint8)
        self._end = 0
        self._is_drained = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Bounded by `page_bytes`, save for a single row that is larger."""
        while True:
            match self._split():
                case kernel.MORE if self._end < len(self._wire):
                    self._receive()
                case kernel.MORE if not self._state[kernel.ROWS]:
                    self._make_room(int(self._state[kernel.NEED]))
                case kernel.MORE | kernel.FULL:
                    yield self._batch()
                    self._make_room(0)
                case kernel.END:
                    last = self._batch()
                    self._finish()
                    if last.num_rows:
                        yield last
                    return
                case kernel.FAILED:
                    self._fail()
                case kernel.OUT_OF_ORDER:
                    self._refuse_order()
                case _:
                    self._drop(pymysql.InternalError("a row that is not of the protocol"))

    def _split(self) -> int:
        status: int = kernel.split_rows(
            self._wire,
            self._end,
            self._page_bytes,
            self._state,
            self._starts,
            self._lengths,
            self._sizes,
            self._nulls,
            self._widths,
        )
        return status

    def _receive(self) -> None:
        """Takes the bytes of the buffered reader, then one read of the stream at a time."""
        room = self._wire.data[self._end :]
        reader = self._connection._rfile
        try:
            count = reader.raw.readinto(room) if self._is_drained else reader.readinto(room[: len(reader.peek())])
        except OSError as error:
            self._lose(f"Lost connection to MySQL server during query ({error})")
        except BaseException:
            self._connection._force_close()
            raise
        if not count:
            self._lose("Lost connection to MySQL server during query")
        self._is_drained = True
        self._end += count

    def _make_room(self, need: int) -> None:
        """Moves the incomplete row to the front of a buffer with room for `need` bytes; a buffer that a long row enlarged shrinks again."""
        begin = int(self._state[kernel.AT])
        incomplete = self._wire[begin : self._end]
        room = (
            self._room if max(need, len(incomplete)) <= self._room else max(need, len(incomplete), 2 * len(incomplete))
        )
        wire = self._wire if len(self._wire) == room else np.empty(room, np.uint8)
        wire[: len(incomplete)] = incomplete
        self._wire, self._end, self._state[kernel.AT] = wire, len(incomplete), 0

    def _batch(self) -> pa.RecordBatch:
        rows = int(self._state[kernel.ROWS])
        try:
            columns = [self._typed_column(index, rows, target) for index, target in enumerate(self._types)]
        except ValueError:  # quarantine shows the server's own text of the whole row
            columns = []
        columns = columns or [self._column(index, rows) for index in range(len(self._sizes))]
        self._state[kernel.ROWS] = 0
        self._sizes[:] = 0
        self._nulls[:] = 0
        return pa.RecordBatch.from_arrays(columns, [f"c{index}" for index in range(len(columns))])

    def _typed_column(self, index: int, rows: int, target: pa.DataType) -> pa.Array:
        """Raises `ValueError` where a value is not of the type."""
        cells, nulls = self._cells(index, rows), int(self._nulls[index])
        if self._forms and self._forms[index].width != kernel.LIKE_TEXT:
            column = read_column(cells, self._forms[index], nulls)
            return column if column.type == target else column.cast(target)
        parsed = parsed_column(cells, target, nulls)
        return parsed if parsed is not None else parse_text(self._gathered(index, rows), target)

    def _column(self, index: int, rows: int) -> pa.Array:
        if self._forms and self._forms[index].width != kernel.LIKE_TEXT:
            return column_as_text(self._cells(index, rows), self._forms[index], int(self._nulls[index]))
        return self._gathered(index, rows)

    def _cells(self, index: int, rows: int) -> Cells:
        return self._wire, self._starts[index, :rows], self._lengths[index, :rows]

    def _gathered(self, index: int, rows: int) -> pa.Array:
        nulls = int(self._nulls[index])
        offsets = pa.allocate_buffer(4 * (rows + 1))
        filled = pa.allocate_buffer(int(self._sizes[index]))
        valid = np.zeros((rows + 7) // 8 if nulls else 0, np.uint8)
        kernel.gather_column(
            self._wire,
            self._starts[index, :rows],
            self._lengths[index, :rows],
            np.frombuffer(offsets, np.int32),
            np.frombuffer(filled, np.uint8),
            valid,
        )
        buffers = [pa.py_buffer(valid) if nulls else None, offsets, filled]
        return pa.Array.from_buffers(pa.binary(), rows, buffers, null_count=nulls)

    def _packet(self) -> Any:
        begin, stop = int(self._state[kernel.BEGIN]), int(self._state[kernel.STOP])
        self._connection._next_seq_id = int(self._state[kernel.NUMBER])
        return MysqlPacket(self._wire[begin:stop].tobytes(), self._connection.encoding)

    def _finish(self) -> None:
        if self._end != self._state[kernel.AT]:
            self._drop(pymysql.InternalError("bytes after the end of a result"))
        packet = self._packet()
        if len(packet.get_all_data()) < SHORTEST_END:
            self._drop(pymysql.InternalError("an end that is not of the protocol"))
        self._result._check_packet_is_eof(packet)
        self._release_connection()

    def _fail(self) -> NoReturn:
        """An error ends the result: the connection may be used again."""
        packet = self._packet()
        content = packet.get_all_data()
        if len(content) < SHORTEST_ERROR or not content[3:SHORTEST_ERROR].isascii():
            self._drop(pymysql.InternalError("an error that is not of the protocol"))
        self._release_connection()
        packet.raise_for_error()
        raise AssertionError("an error packet raises")

    def _release_connection(self) -> None:
        self._result.unbuffered_active = False
        self._result.connection = None
        self._result.rows = None

    def _refuse_order(self) -> NoReturn:
        number = int(self._wire[int(self._state[kernel.BEGIN]) + 3])
        if number == 0:  # MariaDB sends it when it shuts down, https://jira.mariadb.org/browse/MDEV-9409
            self._lose("Lost connection to MySQL server during query")
        self._drop(pymysql.InternalError(f"a packet numbered {number} out of its turn"))

    def _lose(self, message: str) -> NoReturn:
        self._drop(pymysql.OperationalError(CR.CR_SERVER_LOST, message))

    def _drop(self, error: Exception) -> NoReturn:
        self._connection._force_close()
        raise error
