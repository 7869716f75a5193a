"""A connection to PostgreSQL over which the stream of a COPY reaches our own decoder."""

from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa

from ingest_ray.connections.copy_wire import CopyWire, WireError, described_types, error_fields
from ingest_strategies.jdbc.postgres.copy_rows import CopyRows, MalformedCopy, copied_type


class UnknownColumnType(Exception):
    """A column of a query has a type that the decoder does not know."""


class ReadingWire(CopyWire):
    def copy(self, sql: str, page_bytes: int) -> Iterator[pa.RecordBatch]:
        """The rows of a query, as ADBC makes them, but for numerics with a precision, which are decimals.

        Raises:
            UnknownColumnType: nothing was read; the connection and its transaction go on.
            MalformedCopy, OSError, WireError: after the first two the connection is of no use.
        """
        described = self._describe(sql)
        types = [kind for column in described if (kind := copied_type(*column)) is not None]
        if len(types) != len(described):
            unknown = [str(number) for number, modifier in described if copied_type(number, modifier) is None]
            raise UnknownColumnType(f"types {', '.join(unknown)}")
        self._send(b"Q", f"COPY ({sql}) TO STDOUT (FORMAT binary)".encode() + b"\0")
        self._begin_copy()
        is_over = False
        try:
            rows = CopyRows(types, page_bytes, self._receive, self._take_other)
            try:
                yield from rows.batches()
            except WireError:
                is_over = True
                with suppress(OSError):
                    self._read_to_the_end(rows.rest())
                raise
            self._read_to_the_end(rows.rest())
            is_over = True
        finally:
            if not is_over:
                self._abandon()

    def _describe(self, sql: str) -> list[tuple[int, int]]:
        """The types of the query's columns: their numbers and modifiers."""
        parse = b"\0" + sql.encode() + b"\0\0\0"
        self._send(b"P", parse, b"D", b"S\0", b"S", b"")
        return [column for letter, content in self._answer() if letter == b"T" for column in described_types(content)]

    def _begin_copy(self) -> None:
        while True:
            letter, content = self._message()
            if letter == b"H":
                return
            if letter == b"E":
                with suppress(OSError):
                    self._read_to_the_end(b"")
                raise WireError(error_fields(content))
            if letter == b"Z":
                raise MalformedCopy("no COPY was begun")

    def _take_other(self, letter: int, content: bytes) -> None:
        """A message amid the rows: an error ends them."""
        if letter == ord("E"):
            raise WireError(error_fields(content))

    def _receive(self, room: memoryview) -> int:
        if self._received:
            size = min(len(room), len(self._received))
            room[:size], self._received = self._received[:size], self._received[size:]
            return size
        count: int = self._socket.recv_into(room)
        return count
