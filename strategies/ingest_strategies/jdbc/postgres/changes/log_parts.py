"""Parts of the log, read from a slot once and kept for all units that share it.

The slot has everything until every unit has it durably in its sink. The messages of each table are apart.
"""

from collections.abc import Callable, Iterator
from struct import Struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_ray.sdk.errors import SourceError, SourceUnavailable
from ingest_strategies.jdbc.changes.kept_parts import KeptParts
from ingest_strategies.jdbc.changes.log_spool import LogSpool
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes import message_kernel as kernel
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_text
from ingest_strategies.jdbc.postgres.changes.slot import Slot, read_log_end, read_slot
from ingest_strategies.jdbc.standard_sql import quoted, quoted_text

PEEK_BYTES = 4 * 1024 * 1024  # of messages, received at once
COMPILED_BYTES = 64 * 1024  # fewer are read before machine code is loaded

_LENGTH = Struct(">I")
_LSN = Struct(">Q")
_TRUNCATE = Struct(">IB")

Octets = npt.NDArray[np.uint8]


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
        self.begun = -1
        """The number of the transaction whose begin was added last."""
        self.messages = spool.sequence()

    def change(self, number: int, begin: bytes, lsn: int, message: bytes) -> None:
        if number != self.begun:
            self.begun = number
            self.messages.add(begin)
        self.last = lsn
        self.has_moves |= message[5:6] == b"K" and message[:1] == b"U"
        self.messages.add(message)


class LogPart:
    """The transactions whose commits are in `[lower, upper)`. `catalog_xmin`: of the slot, before it was read. `only`: the table whose
    messages are kept; None: all."""

    def __init__(self, lower: int, upper: int, catalog_xmin: int, only: int | None = None) -> None:
        self.lower, self.upper, self.catalog_xmin = lower, upper, catalog_xmin
        self._tables: dict[int, TableMessages] = {}
        self._only = only
        self._spool = LogSpool()
        self._number, self._begin, self._lsn = 0, bytes(kernel.BEGIN_BYTES), 0

    @property
    def end(self) -> int:
        return self.upper

    @property
    def size_bytes(self) -> int:
        return self._spool.size_bytes

    def fill(self, messages: pa.Array) -> None:
        """The next ones."""
        if messages.nbytes < COMPILED_BYTES:
            for message in messages.to_pylist():
                self._take(message)
            return
        offsets = np.frombuffer(messages.buffers()[1], np.int32)[messages.offset :][: len(messages) + 1]
        data, at = np.frombuffer(messages.buffers()[2], np.uint8), 0
        while at < len(messages):
            at += self._divide(data, offsets[at:])
            if at < len(messages):  # a truncation, which may be of several tables
                self._take(messages[at].as_py())
                at += 1

    def _take(self, message: bytes) -> None:
        kind = message[:1]
        if kind == b"B":
            self._number, self._begin, self._lsn = self._number + 1, message, _LSN.unpack_from(message, 1)[0]
        elif kind == b"R":  # also of a transaction that is left out: later ones rely on it
            (oid,) = _LENGTH.unpack_from(message, 1)
            if self._only in (None, oid):
                self._table(oid).messages.add(message)
        elif self._lsn >= self.upper or kind in (b"C", b"O", b"Y", b"M"):
            return
        elif kind in (b"I", b"U", b"D"):
            self._change(_LENGTH.unpack_from(message, 1)[0], message)
        elif kind == b"T":
            count, options = _TRUNCATE.unpack_from(message, 1)
            for at in range(6, 6 + 4 * count, 4):
                oid = message[at : at + 4]
                self._change(_LENGTH.unpack(oid)[0], b"T" + _TRUNCATE.pack(1, options) + oid)
        else:
            raise SourceError(f"the log has a message of an unknown kind: {kind!r}")

    def _table(self, oid: int) -> TableMessages:
        table = self._tables.get(oid)
        if table is None:
            table = self._tables[oid] = TableMessages(self._spool)
        return table

    def _change(self, oid: int, message: bytes) -> None:
        if self._only in (None, oid):
            self._table(oid).change(self._number, self._begin, self._lsn, message)

    def _divide(self, data: Octets, offsets: npt.NDArray[np.int32]) -> int:
        """What `_take` does, in machine code; returns how many messages it has taken: the next one is not for it."""
        count, first = len(offsets) - 1, self._number
        tables, transactions = np.empty(count, np.int64), np.empty(count, np.int64)
        begins = np.empty((count + 1) * kernel.BEGIN_BYTES, np.uint8)
        begins[: kernel.BEGIN_BYTES] = np.frombuffer(self._begin, np.uint8)
        state = np.array([self._lsn, first], np.int64)
        done = kernel.divide(data, offsets, self.upper, state, tables, transactions, begins)
        order = np.argsort(tables[:done], kind="stable")
        oids, starts = np.unique(tables[order], return_index=True)
        ends = [*starts[1:], done]
        for oid, begin, end in zip(oids.tolist(), starts, ends[: len(oids)], strict=True):
            picked = order[begin:end]
            if oid != kernel.NO_TABLE and self._only in (None, oid):
                self._add_framed(oid, data, offsets, picked, transactions, first, begins)
        self._lsn, self._number = int(state[kernel.PRESENT_LSN]), int(state[kernel.PRESENT_NUMBER])
        begun = (self._number - first) * kernel.BEGIN_BYTES
        self._begin = begins[begun : begun + kernel.BEGIN_BYTES].tobytes()
        return done

    def _add_framed(
        self,
        oid: int,
        data: Octets,
        offsets: npt.NDArray[np.int32],
        picked: npt.NDArray[np.int64],
        transactions: npt.NDArray[np.int64],
        first: int,
        begins: Octets,
    ) -> None:
        table = self._table(oid)
        most = int((offsets[picked + 1] - offsets[picked]).sum()) + len(picked) * (8 + kernel.BEGIN_BYTES)
        out, state = np.empty(most, np.uint8), np.array([table.begun, table.last, table.has_moves], np.int64)
        size = kernel.frame(data, offsets, picked, transactions, first, begins, state, out)
        table.begun, table.last, table.has_moves = int(state[0]), int(state[1]), bool(state[2])
        table.messages.add_framed(out[:size].data)

    def has_changes(self, oid: int, lower: int) -> bool:
        """Whether a transaction from `lower` on changes the table."""
        table = self._tables.get(oid)
        return table is not None and table.last >= lower

    def has_moves(self, oid: int) -> bool:
        """Whether rows of the table may have to be looked up in the table itself."""
        table = self._tables.get(oid)
        return table is not None and table.has_moves

    def size_of(self, oid: int) -> int:
        table = self._tables.get(oid)
        return table.messages.size_bytes if table is not None else 0

    def framed(self, oid: int) -> Octets:
        """The messages of one table, each with its length in four bytes before it."""
        table = self._tables.get(oid)
        found, at = np.empty(self.size_of(oid), np.uint8), 0
        for piece in table.messages.framed() if table is not None else ():
            found[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
        return found

    def messages(self, oid: int) -> Iterator[bytes]:
        """Those of one table; several threads may read them."""
        table = self._tables.get(oid)
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

    before = read_slot(session, slot.name)
    if read_log_end(session) < upto:  # what it will have up to there is not in it yet
        raise SourceUnavailable(f"the log ends before {lsn_text(upto)}, up to which it is to be read")
    part = LogPart(upto, upto, before.catalog_xmin if before is not None else 0, only)
    options = {"adbc.postgresql.batch_size_hint_bytes": str(PEEK_BYTES)}
    for batch in session.batches(peek_sql(slot.name, publication, upto, "data"), options):
        if is_stopping():
            raise SourceUnavailable(f"replication slot '{slot.name}': reading was stopped")
        part.fill(batch.column(0))
    after = read_slot(session, slot.name)
    # A slot only moves forward: it had everything from here on while it was read, if it has it now.
    if after is not None and not after.is_lost and after.confirmed is not None:
        part.lower = min(after.confirmed, upto)
        _PARTS.keep(_key(after, publication), part)
    return part
