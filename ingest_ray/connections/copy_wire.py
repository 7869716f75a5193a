"""A connection to PostgreSQL whose messages are read and written here, so that the stream of a COPY is our own. pg8000 logs in.

https://www.postgresql.org/docs/current/protocol.html
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from pg8000.core import CoreConnection

RECEIVED_BYTES = 64 * 1024
MESSAGE_BYTES = 64 * 1024  # of a COPY to the server
CANCEL_CODE = 80877102
CANCEL_TIMEOUT_S = 5.0
_TEXT, _INTEGER = 25, 20  # the numbers of `text` and `bigint`
_VALUES: dict[int, Callable[[str], Any]] = {16: lambda text: text == "t", 700: float, 701: float}
_VALUES |= dict.fromkeys((20, 21, 23, 26), int)


class WireError(Exception):
    """An error of the server: its message, with its detail as libpq writes it, and its SQLSTATE."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        detail = f"\nDETAIL:  {fields['D']}" if "D" in fields else ""
        super().__init__(f"{fields.get('S', 'ERROR')}:  {fields.get('M', '')}{detail}")
        self.state = fields.get("C", "")


class CopyWire:
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
        self.close_socket()

    def close_socket(self) -> None:
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
                found, read = [], [_VALUES.get(number, str) for number, _ in described_types(content)]
            elif letter == b"D":
                found.append(_row(content, read))
        return found

    def execute(self, sql: str, *values: str | int) -> tuple[list[tuple[Any, ...]], str]:
        """The rows of one statement, as `rows` has them, and what the server says that it did. `values` replace `$1`, `$2` ..."""
        kinds = struct.pack(
            f"!h{len(values)}i", len(values), *(_INTEGER if isinstance(v, int) else _TEXT for v in values)
        )
        texts = (str(value).encode() for value in values)
        bound = b"".join(struct.pack("!i", len(text)) + text for text in texts)
        bind = b"\0\0\0\0" + struct.pack("!h", len(values)) + bound + b"\0\0"
        parse, run = b"\0" + sql.encode() + b"\0" + kinds, b"\0\0\0\0\0"
        self._send(b"P", parse, b"B", bind, b"D", b"P\0", b"E", run, b"S", b"")
        found: list[tuple[Any, ...]] = []
        read: list[Callable[[str], Any]] = []
        done = ""
        for letter, content in self._answer():
            if letter == b"T":
                read = [_VALUES.get(number, str) for number, _ in described_types(content)]
            elif letter == b"D":
                found.append(_row(content, read))
            elif letter == b"C":
                done = content[:-1].decode()
        return found, done

    def begin_copy_in(self, sql: str) -> None:
        """`sql`: a COPY FROM STDIN, whose stream `send_copied` sends."""
        self._send(b"Q", sql.encode() + b"\0")
        for letter, _ in iter(self._message_or_error, None):
            if letter == b"G":
                return
        raise ConnectionError("no COPY was begun")

    def _message_or_error(self) -> tuple[bytes, bytes] | None:
        """None: the server is ready for another statement."""
        letter, content = self._message()
        if letter == b"E":
            with suppress(OSError):
                self._read_to_the_end(b"")
            raise WireError(error_fields(content))
        return None if letter == b"Z" else (letter, content)

    def send_copied(self, part: bytes | memoryview) -> None:
        """A part of the stream. An error of the server is raised by `end_copy_in`, or where the connection is lost with it, at once."""
        try:
            for first in range(0, len(part), MESSAGE_BYTES):
                message = part[first : first + MESSAGE_BYTES]
                self._socket.sendall(b"d" + struct.pack("!i", len(message) + 4))
                self._socket.sendall(message)
        except OSError:
            for _ in self._answer():  # its last words
                pass
            raise

    def end_copy_in(self) -> str:
        """What the server says that it did."""
        self._send(b"c", b"")
        return next((content[:-1].decode() for letter, content in list(self._answer()) if letter == b"C"), "")

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
                error = error or WireError(error_fields(content))
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
        self.close_socket()
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


def error_fields(content: bytes) -> dict[str, str]:
    parts = (part.decode(errors="replace") for part in content.split(b"\0") if part)
    return {part[0]: part[1:] for part in parts}


def described_types(content: bytes) -> list[tuple[int, int]]:
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
