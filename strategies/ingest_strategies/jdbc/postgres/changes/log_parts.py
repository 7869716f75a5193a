"""Parts of the log, read from a slot once and kept for all units that share it, for some rounds.

A part is only a copy: the slot has everything until every unit has it durably in its sink, so a part that is gone, or that another process
has, is read again. The messages of each table are apart, in a file that has no name any more, so a part costs little memory.
"""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from struct import Struct, pack

from ingest_ray.sdk.errors import SourceError, SourceUnavailable, StagingUnavailable
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text
from ingest_strategies.jdbc.postgres.changes.slot import Slot, read_slot
from ingest_strategies.jdbc.standard_sql import quoted, quoted_text

CHUNK_BYTES = 128 * 1024  # of a table's messages, before they are written to the file
PEEK_BYTES = 4 * 1024 * 1024  # of messages, received at once
KEPT_PARTS = 3  # of a slot: units are at most some rounds apart

_LENGTH = Struct(">I")
_LSN = Struct(">Q")
_TRUNCATE = Struct(">IB")


def peek_sql(slot: str, publication: str, upto: int, columns: str, where: str = "") -> str:
    """A query over the slot's messages up to a position, which consumes none of them."""
    return (
        f"SELECT {columns} FROM pg_logical_slot_peek_binary_changes({quoted_text(slot)}, {quoted_text(lsn_text(upto))}::pg_lsn,"
        f" NULL, 'proto_version', '1', 'publication_names', {quoted_text(quoted(publication))}) {where}"
    )


class TableMessages:
    """The messages of one table: of each transaction that changes it the begin, and its changes."""

    def __init__(self) -> None:
        self.last = -1
        """The position of the last commit with a change."""
        self.begin = b""
        self.tail = bytearray()
        self.chunks: list[tuple[int, int]] = []

    def add(self, message: bytes) -> None:
        self.tail += pack(">I", len(message))
        self.tail += message

    def change(self, begin: bytes, lsn: int, message: bytes) -> None:
        if begin is not self.begin:
            self.begin = begin
            self.add(begin)
        self.last = lsn
        self.add(message)


class LogPart:
    """The transactions whose commits are in `[lower, upper)`. `catalog_xmin`: of the slot, before it was read."""

    def __init__(self, lower: int, upper: int, catalog_xmin: int) -> None:
        self.lower, self.upper, self.catalog_xmin = lower, upper, catalog_xmin
        self._tables: dict[bytes, TableMessages] = {}
        self._only: bytes | None = None
        self._file = -1
        self._size = 0

    def fill(self, messages: Iterable[bytes], only: int | None = None) -> None:
        """`only`: the table whose messages are kept; None: all."""
        self._only = _LENGTH.pack(only) if only is not None else None
        begin, lsn = b"", 0
        for message in messages:
            kind = message[:1]
            if kind == b"B":
                begin, lsn = message, _LSN.unpack_from(message, 1)[0]
            elif kind == b"R":  # also of a transaction that is left out: later ones rely on it
                if self._only in (None, message[1:5]):
                    self._table(message[1:5]).add(message)
            elif lsn >= self.upper or kind in (b"C", b"O", b"Y", b"M"):
                continue
            elif kind in (b"I", b"U", b"D"):
                self._change(message[1:5], begin, lsn, message)
            elif kind == b"T":
                count, options = _TRUNCATE.unpack_from(message, 1)
                for at in range(6, 6 + 4 * count, 4):
                    oid = message[at : at + 4]
                    self._change(oid, begin, lsn, b"T" + _TRUNCATE.pack(1, options) + oid)
            else:
                raise SourceError(f"the log has a message of an unknown kind: {kind!r}")

    def _table(self, oid: bytes) -> TableMessages:
        return self._tables.setdefault(oid, TableMessages())

    def _change(self, oid: bytes, begin: bytes, lsn: int, message: bytes) -> None:
        if self._only not in (None, oid):
            return
        table = self._table(oid)
        table.change(begin, lsn, message)
        if len(table.tail) >= CHUNK_BYTES:
            table.chunks.append((self._size, len(table.tail)))
            self._write(table.tail)
            table.tail = bytearray()

    def _write(self, data: bytearray) -> None:
        try:
            if self._file < 0:
                self._file, name = tempfile.mkstemp(prefix="ingest-log-")
                weakref.finalize(self, os.close, self._file)
                os.unlink(name)
            while data:
                written = os.pwrite(self._file, data, self._size)
                self._size += written
                data = data[written:]
        except OSError as error:
            raise StagingUnavailable(
                f"a part of the log cannot be written to '{tempfile.gettempdir()}': {error.strerror}",
                hint="free space there, or name another folder with the variable TMPDIR",
            ) from None

    def has_changes(self, oid: int, lower: int) -> bool:
        """Whether a transaction from `lower` on changes the table."""
        table = self._tables.get(_LENGTH.pack(oid))
        return table is not None and table.last >= lower

    def messages(self, oid: int) -> Iterator[bytes]:
        """Those of one table; several threads may read them."""
        table = self._tables.get(_LENGTH.pack(oid))
        if table is None:
            return
        for offset, size in table.chunks:
            yield from _framed(os.pread(self._file, size, offset))
        yield from _framed(bytes(table.tail))


def _framed(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


_PARTS: dict[tuple[str, str, str], list[LogPart]] = {}
"""By the server's start, the slot and the publication; the newest last."""


def find_part(slot: Slot, publication: str, fits: Callable[[LogPart], bool]) -> LogPart | None:
    return next((part for part in list(_PARTS.get(_key(slot, publication), ())) if fits(part)), None)


def release_parts(name: str, confirmed: int, server: str) -> None:
    """Forgets parts that no unit needs: below the slot's position, or of another server."""
    for key in [key for key in list(_PARTS) if key[1] == name]:
        left = [part for part in _PARTS.get(key, ()) if part.upper > confirmed and key[0] == server]
        if left:
            _PARTS[key] = left
        else:
            _PARTS.pop(key, None)


def forget_parts() -> None:
    _PARTS.clear()


def _key(slot: Slot, publication: str) -> tuple[str, str, str]:
    return slot.server, slot.name, publication


def read_part(
    session: Session,
    slot: Slot,
    publication: str,
    upto: int,
    only: int | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> LogPart:
    """Reads from the slot's position to `upto`, under the slot's lock, and keeps the part."""

    def messages() -> Iterator[bytes]:
        options = {"adbc.postgresql.batch_size_hint_bytes": str(PEEK_BYTES)}
        for batch in session.batches(peek_sql(slot.name, publication, upto, "data"), options):
            if is_stopping():
                raise SourceUnavailable(f"replication slot '{slot.name}': reading was stopped")
            yield from batch.column(0).to_pylist()

    before = read_slot(session, slot.name)
    part = LogPart(upto, upto, before.catalog_xmin if before is not None else 0)
    part.fill(messages(), only)
    after = read_slot(session, slot.name)
    # A slot only moves forward: it had everything from here on while it was read, if it has it now.
    if after is not None and not after.is_lost and after.confirmed is not None:
        part.lower = min(after.confirmed, upto)
        kept = _PARTS.setdefault(_key(after, publication), [])
        kept.append(part)
        del kept[:-KEPT_PARTS]
    return part
