"""Messages of a log, apart for each table, in a file that has no name any more: a part of a log costs little memory."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from struct import Struct

from ingest_ray.sdk.errors import StagingUnavailable

CHUNK_BYTES = 128 * 1024  # of a sequence, before it is written to the file
LEAST_CHUNK_BYTES = 4 * 1024
PENDING_BYTES = (
    32 * 1024 * 1024
)  # of all sequences together: where there are thousands of them, their chunks are smaller

_LENGTH = Struct(">I")


class SpooledSequence:
    """Messages in the order in which they were added. One thread adds; afterwards several may read."""

    def __init__(self, spool: "LogSpool") -> None:
        self._spool = spool
        self._tail = bytearray()
        self._chunks: list[tuple[int, int]] = []

    def add(self, *parts: bytes) -> None:
        """One message, which has these parts."""
        tail = self._tail
        tail += _LENGTH.pack(sum(map(len, parts)))
        for part in parts:
            tail += part
        if len(tail) >= self._spool.chunk_bytes:
            self._chunks.append(self._spool.write(tail))
            self._tail = bytearray()

    def add_framed(self, data: bytes | memoryview) -> None:
        """Several messages, each with its length in four bytes before it."""
        self._tail += data
        if len(self._tail) >= self._spool.chunk_bytes:
            self._chunks.append(self._spool.write(self._tail))
            self._tail = bytearray()

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self._chunks) + len(self._tail)

    def framed(self) -> Iterator[bytes]:
        """All messages, each with its length before it, in pieces."""
        for offset, size in self._chunks:
            yield self._spool.read(offset, size)
        yield bytes(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.framed():
            yield from _framed(piece)


class LogSpool:
    """The file of some sequences. Raises `StagingUnavailable` where it cannot be written."""

    def __init__(self) -> None:
        self._file = -1
        self._written = 0
        self._sequences = 0
        self.chunk_bytes = CHUNK_BYTES

    @property
    def size_bytes(self) -> int:
        """Of the file; what is in memory yet is at most `PENDING_BYTES`."""
        return self._written

    def sequence(self) -> SpooledSequence:
        self._sequences += 1
        self.chunk_bytes = max(LEAST_CHUNK_BYTES, min(CHUNK_BYTES, PENDING_BYTES // self._sequences))
        return SpooledSequence(self)

    def write(self, data: bytearray) -> tuple[int, int]:
        """Where it is in the file, and its size."""
        begin, size = self._written, len(data)
        try:
            if self._file < 0:
                self._file, name = tempfile.mkstemp(prefix="ingest-log-")
                weakref.finalize(self, os.close, self._file)
                os.unlink(name)
            while data:
                written = os.pwrite(self._file, data, self._written)
                self._written += written
                data = data[written:]
        except OSError as error:
            raise StagingUnavailable(
                f"a part of the log cannot be written to '{tempfile.gettempdir()}': {error.strerror}",
                hint="free space there, or name another folder with the variable TMPDIR",
            ) from None
        return begin, size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._file, size, offset)


def _framed(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        yield data[at + 4 : at + 4 + size]
        at += 4 + size
