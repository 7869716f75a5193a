"""Parts of the log, read from a slot once and kept for all units that share it.

The slot has everything until every unit has it durably in its sink. The messages of each table are apart.
"""

from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from ingest_ray.sdk.errors import SourceError, SourceUnavailable
from ingest_strategies.jdbc.changes.kept_parts import KeptParts
from ingest_strategies.jdbc.changes.log_spool import LogSpool
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text
from ingest_strategies.jdbc.postgres.changes.slot import Slot, read_log_end, read_slot
from ingest_strategies.jdbc.standard_sql import quoted, quoted_text

PEEK_BYTES = 4 * 1024 * 1024  # of messages, received at once

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

    def __init__(self, spool: LogSpool) -> None:
        self.last = -1
        """The position of the last commit with a change."""
        self.has_moves = False
        """A row got another key, and what was not changed in it is not in the log."""
        self.begin = b""
        self.messages = spool.sequence()

    def change(self, begin: bytes, lsn: int, message: bytes) -> None:
        if begin is not self.begin:
            self.begin = begin
            self.messages.add(begin)
        self.last = lsn
        self.has_moves |= message[5:6] == b"K" and message[:1] == b"U"
        self.messages.add(message)


class LogPart:
    """The transactions whose commits are in `[lower, upper)`. `catalog_xmin`: of the slot, before it was read."""

    def __init__(self, lower: int, upper: int, catalog_xmin: int) -> None:
        self.lower, self.upper, self.catalog_xmin = lower, upper, catalog_xmin
        self._tables: dict[bytes, TableMessages] = {}
        self._only: bytes | None = None
        self._spool = LogSpool()

    @property
    def end(self) -> int:
        return self.upper

    @property
    def size_bytes(self) -> int:
        return self._spool.size_bytes

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
                    self._table(message[1:5]).messages.add(message)
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
        table = self._tables.get(oid)
        if table is None:
            table = self._tables[oid] = TableMessages(self._spool)
        return table

    def _change(self, oid: bytes, begin: bytes, lsn: int, message: bytes) -> None:
        if self._only in (None, oid):
            self._table(oid).change(begin, lsn, message)


    def has_changes(self, oid: int, lower: int) -> bool:
        """Whether a transaction from `lower` on changes the table."""
        table = self._tables.get(_LENGTH.pack(oid))
        return table is not None and table.last >= lower

    def has_moves(self, oid: int) -> bool:
        """Whether rows of the table may have to be looked up in the table itself."""
        table = self._tables.get(_LENGTH.pack(oid))
        return table is not None and table.has_moves

    def messages(self, oid: int) -> Iterator[bytes]:
        """Those of one table; several threads may read them."""
        table = self._tables.get(_LENGTH.pack(oid))
        return iter(table.messages) if table is not None else iter(())


_PARTS: KeptParts[tuple[str, str, str], LogPart] = KeptParts()
"""By the server's start, the slot and the publication."""


def find_part(slot: Slot, publication: str, fits: Callable[[LogPart], bool]) -> LogPart | None:
    return _PARTS.find(_key(slot, publication), fits)


def release_parts(name: str, confirmed: int, server: str) -> None:
    """Forgets parts that no unit needs: below the slot's position, or of another server."""
    _PARTS.release(lambda key, part: key[1] != name or (part.upper > confirmed and key[0] == server))


def forget_parts() -> None:
    _PARTS.forget()


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
    if read_log_end(session) < upto:  # what it will have up to there is not in it yet
        raise SourceUnavailable(f"the log ends before {lsn_text(upto)}, up to which it is to be read")
    part = LogPart(upto, upto, before.catalog_xmin if before is not None else 0)
    part.fill(messages(), only)
    after = read_slot(session, slot.name)
    # A slot only moves forward: it had everything from here on while it was read, if it has it now.
    if after is not None and not after.is_lost and after.confirmed is not None:
        part.lower = min(after.confirmed, upto)
        _PARTS.keep(_key(after, publication), part)
    return part
