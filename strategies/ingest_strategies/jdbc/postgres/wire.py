"""A connection to PostgreSQL whose messages are read here, so that the stream of a COPY reaches our own decoder. pg8000 logs in.

https://www.postgresql.org/docs/current/protocol.html
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa
from pg8000.core import CoreConnection

from ingest_strategies.jdbc.postgres.copy_rows import CopyRows, MalformedCopy, copied_type

RECEIVED_BYTES = 64 * 1024
CANCEL_CODE = 80877102
CANCEL_TIMEOUT_S = 5.0
_VALUES: dict[int, Callable[[str], Any]] = {16: lambda text: text == "t", 700: float, 701: float}
_VALUES |= dict.fromkeys((20, 21, 23, 26), int)


class WireError(Exception):
    """An error of the server: its message, with its detail as libpq writes it, and its SQLSTATE."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        detail = f"\nDETAIL:  {fields['D']}" if "D" in fields else ""
        super().__init__(f"{fields.get('S', 'ERROR')}:  {fields.get('M', '')}{detail}")
        self.state = fields.get("C", "")


class UnknownColumnType(Exception):
    """A column of a query has a type that the decoder does not know."""


class PostgresWire:
    def __init__(self, **login: Any) -> None:
        """`login`: the arguments of pg8000's connection. Raises its errors, and `OSError`."""
        self._login = login
        self._core: Any = CoreConnection(**login)
        self._socket: Any = self._core._usock
        self._socket.settimeout(None)
        self._received = self._read_ahead()

    def close(self) -> None:
        with suppress(Exception):
            self._socket.sendall(b"X\0\0\0\4")
        self._close_socket()

    def _close_socket(self) -> None:
        for part in (self._core._sock, self._socket):  # the socket stays open as long as the stream over it
            with suppress(OSError, ValueError):
                part.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of the last of several statements; whole numbers, floats and booleans as Python's, everything else as text."""
        self._send(b"Q", sql.encode() + b"\0")
        found: list[tuple[Any, ...]] = []
        read: list[Callable[[str], Any]] = []
        for letter, content in self._answer():
            if letter == b"T":
                found, read = [], [_VALUES.get(number, str) for number, _ in _described_types(content)]
            elif letter == b"D":
                found.append(_row(content, read))
        return found

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
        return [column for letter, content in self._answer() if letter == b"T" for column in _described_types(content)]

    def _begin_copy(self) -> None:
        while True:
            letter, content = self._message()
            if letter == b"H":
                return
            if letter == b"E":
                with suppress(OSError):
                    self._read_to_the_end(b"")
                raise WireError(_fields(content))
            if letter == b"Z":
                raise MalformedCopy("no COPY was begun")

    def _take_other(self, letter: int, content: bytes) -> None:
        """A message amid the rows: an error ends them."""
        if letter == ord("E"):
            raise WireError(_fields(content))

    def _read_to_the_end(self, received: bytes) -> None:
        self._received = received + self._received
        for _ in self._answer():
            pass

    def _answer(self) -> Iterator[tuple[bytes, bytes]]:
        """The messages up to the one that says that the server is ready; then raises the error that was among them."""
        error: WireError | None = None
        while True:
            try:
                letter, content = self._message()
            except OSError:
                if error is None:
                    raise
                break  # it was the server's last word
            if letter == b"Z":
                break
            if letter == b"E":
                error = error or WireError(_fields(content))
            else:
                yield letter, content
        if error is not None:
            raise error

    def _message(self) -> tuple[bytes, bytes]:
        head = self._take(5)
        return head[:1], self._take(struct.unpack("!i", head[1:])[0] - 4)

    def _take(self, size: int) -> bytes:
        parts, missing = [self._received], size - len(self._received)
        while missing > 0:
            part = self._socket.recv(max(missing, RECEIVED_BYTES))
            if not part:
                raise ConnectionError("server closed the connection unexpectedly")
            parts.append(part)
            missing -= len(part)
        received = b"".join(parts)
        self._received = received[size:]
        return received[:size]

    def _receive(self, room: memoryview) -> int:
        if self._received:
            size = min(len(room), len(self._received))
            room[:size], self._received = self._received[:size], self._received[size:]
            return size
        count: int = self._socket.recv_into(room)
        return count

    def _send(self, *messages: bytes) -> None:
        """Letters and contents in turn."""
        pairs = zip(messages[::2], messages[1::2], strict=True)
        self._socket.sendall(
            b"".join(letter + struct.pack("!i", len(content) + 4) + content for letter, content in pairs)
        )

    def _read_ahead(self) -> bytes:
        """What the login has received beyond its own end."""
        self._socket.settimeout(0.0)
        try:
            return bytes(self._core._sock.peek(1) or b"")
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        finally:
            self._socket.settimeout(None)

    def _abandon(self) -> None:
        """Ends a statement that is still running, and the connection."""
        key = self._core._backend_key_data
        self._close_socket()
        if key is None:
            return
        with suppress(OSError), self._second_socket() as other:
            other.sendall(struct.pack("!ii", 8 + len(key), CANCEL_CODE) + key)

    def _second_socket(self) -> socket.socket:
        path = self._login.get("unix_sock")
        if path is None:
            return socket.create_connection((self._login["host"], self._login["port"]), CANCEL_TIMEOUT_S)
        second = socket.socket(socket.AF_UNIX)
        second.settimeout(CANCEL_TIMEOUT_S)
        second.connect(path)
        return second


def _fields(content: bytes) -> dict[str, str]:
    parts = (part.decode(errors="replace") for part in content.split(b"\0") if part)
    return {part[0]: part[1:] for part in parts}


def _described_types(content: bytes) -> list[tuple[int, int]]:
    (count,) = struct.unpack_from("!h", content)
    found, at = [], 2
    for _ in range(count):
        at = content.index(b"\0", at) + 1
        _, _, number, _, modifier, _ = struct.unpack_from("!ihihih", content, at)
        found.append((number, modifier))
        at += 18
    return found


def _row(content: bytes, read: list[Callable[[str], Any]]) -> tuple[Any, ...]:
    values, at = [], 2
    for convert in read:
        (size,) = struct.unpack_from("!i", content, at)
        at += 4
        values.append(None if size < 0 else convert(content[at : at + size].decode()))
        at += max(size, 0)
    return tuple(values)
