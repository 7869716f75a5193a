"""A part of the binary log, for all tables of an endpoint: its events, apart for each table, as the log has them.

What may concern any table (definitions, statements, ends of XA) is in a sequence of its own. The events of one table are merged from both by
their numbers, so that its transactions are read from a part as they are from the server.
"""

import heapq
import sys
from collections.abc import Iterator
from struct import Struct

from ingest_strategies.jdbc.changes.log_spool import LogSpool, SpooledSequence
from ingest_strategies.jdbc.mysql.changes.event_kinds import (
    FORMAT,
    GTIDS,
    INCIDENT,
    PARTIAL_UPDATE,
    ROWS,
    STATEMENTS,
    TABLE_MAP,
    XA_PREPARE,
    XID,
)
from ingest_strategies.jdbc.mysql.changes.event_stream import Event, EventStream
from ingest_strategies.jdbc.mysql.changes.gtids import GtidState
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.statements import (
    Does,
    TargetTable,
    concerns_tables,
    effect_of,
)
from ingest_strategies.jdbc.mysql.changes.table_map import table_id_of, table_name_of
from ingest_strategies.jdbc.mysql.changes.transactions import (
    Transaction,
    TransactionReader,
    statement_of,
    unpacked,
)

_RECORD = Struct(">QBIIHQ")  # number of the event, kind, at_s, server_id, number of the file, offset; the body follows
SYSTEM_SCHEMAS = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
_NOWHERE = TargetTable("", "")
TableName = tuple[str, str]


class LogPart:
    """The transactions behind `lower`, up to `upper`. `by_gtids`: those that `lower` does not have, in the order of another server."""

    def __init__(self, lower: LogPosition, *, by_gtids: bool = False) -> None:
        self.lower = self.upper = lower
        self.by_gtids = by_gtids
        self.writers: dict[str, str] = {}
        """Who made each file, by its name."""
        self.added = GtidState()
        self.log_bytes = 0
        self.first_at_s: int | None = None
        """When the first transaction was committed; None: there is none."""
        self.left_out: set[TableName] = set()
        self._files: list[str] = []
        self._spool = LogSpool()
        self._common = self._spool.sequence()
        self._tables: dict[TableName, SpooledSequence] = {}

    @property
    def size_bytes(self) -> int:
        return self._spool.size_bytes

    @property
    def end(self) -> int:
        return self.upper.number

    def fits(self, target: TargetTable, lower: LogPosition, upper: LogPosition | None) -> bool:
        """Whether it has every change of the table from `lower` on: up to its own end, or to `upper` where that is in it."""
        if any(target.is_table(*name) for name in self.left_out):
            return False
        if self.by_gtids:
            return self.lower.gtids == lower.gtids and upper in (None, self.upper)
        has_lower = self._has(lower) and self.lower.number <= lower.number < self.upper.number
        return has_lower and (upper is None or upper.number > self.upper.number or self._has(upper))

    def _has(self, position: LogPosition) -> bool:
        return self.writers.get(position.file) == position.writer

    def upper_from(self, lower: LogPosition) -> LogPosition:
        """The position behind the part, for a reader that was at `lower`."""
        if self.by_gtids or lower == self.lower:
            return self.upper
        state = lower.state
        state.merge(self.added)
        return LogPosition(self.upper.file, self.upper.offset, self.upper.writer, str(state))

    def events(self, target: TargetTable, lower: LogPosition, upper: LogPosition) -> Iterator[Event]:
        """Those of the transactions between two positions that concern the table; several threads may read them. By GTIDs, all: the positions
        may be of another server, which numbers them otherwise."""
        own = [sequence for name, sequence in self._tables.items() if target.is_table(*name)]
        first, last = (-1, sys.maxsize) if self.by_gtids else (lower.number, upper.number)
        numbers = [LogPosition(file, 0, "").number for file in self._files]
        seen = -1
        for record in heapq.merge(self._common, *own):
            ordinal, kind, at_s, server_id, file, offset = _RECORD.unpack_from(record)
            at = numbers[file] | offset
            if ordinal == seen or at <= first:
                continue
            if at > last:
                return
            seen = ordinal
            yield Event(kind, at_s, server_id, self._files[file], offset, record[_RECORD.size :])

    # --- filling

    def note_file(self, event: Event, stream: EventStream) -> None:
        if event.kind == FORMAT:
            self.writers[event.file] = stream.writer

    def file_number(self, file: str) -> int:
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        return len(self._files) - 1

    def sequence(self, name: TableName | None) -> SpooledSequence:
        """Of a table; None: of what concerns all of them."""
        if name is None:
            return self._common
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = self._spool.sequence()
        return found

    def leave_out(self, name: TableName) -> None:
        self._tables.pop(name, None)
        self.left_out.add(name)


class LogDivision:
    """Divides the events of a log among the tables of a part.

    `wanted`: the table for which it is read, and `what` that is, for messages. Where the part is larger than `most_bytes`, which only a transaction of that size makes it,
    other tables are left out. `schemas`: in lower case, those of the endpoint; empty: all but the server's own.
    """

    def __init__(self, part: LogPart, wanted: TargetTable, what: str, schemas: frozenset[str], most_bytes: int) -> None:
        self._part, self._wanted, self._schemas, self._most_bytes = part, wanted, schemas, most_bytes
        self._boundaries = TransactionReader(_NOWHERE, what, refuses=False)
        self._ordinal = 0
        self._begin: list[bytes] = []
        """What the transaction begins with, for each sequence that it gets into."""
        self._touched: dict[TableName | None, SpooledSequence] = {}
        self._maps: dict[int, TableName | None] = {}
        self.is_left_out = False
        """Set for a transaction that is not read."""

    def add(self, event: Event) -> Iterator[Transaction]:
        """The transaction that ends with the event, without its rows."""
        for one in unpacked(event):
            if not self.is_left_out or one.kind in GTIDS:
                self._put(one)
            ended = None if one.kind == INCIDENT else self._boundaries.apply(one)
            if ended is not None:
                self._begin.clear()
                self._touched.clear()
                self._maps.clear()
                yield ended

    def _put(self, event: Event) -> None:
        kind = event.kind
        if kind == TABLE_MAP:
            name = self._kept_name(event.body)
            self._maps[table_id_of(event.body)] = name
            self._put_row(name, event)
        elif kind in ROWS or kind == PARTIAL_UPDATE:
            self._put_row(self._maps.get(table_id_of(event.body)), event)
        elif kind in GTIDS:
            self._touched.clear()
            self._maps.clear()
            self._begin = [self._record(event)]
        elif kind in STATEMENTS:
            self._put_statement(event)
        elif kind == INCIDENT:
            self._put_common(event)
        elif kind in (XID, XA_PREPARE):
            self._put_touched(event)

    def _kept_name(self, body: bytes) -> TableName | None:
        schema, table, _ = table_name_of(body)
        name = (schema.decode(), table.decode())
        folded = name[0].casefold()
        if folded in SYSTEM_SCHEMAS or (self._schemas and folded not in self._schemas):
            return None
        return name

    def _put_row(self, name: TableName | None, event: Event) -> None:
        if name is None or name in self._part.left_out:
            return
        if self._part.size_bytes > self._most_bytes and not self._wanted.is_table(*name):
            self._part.leave_out(name)
            self._touched.pop(name, None)
            return
        self._join(name).add(self._head(event), event.body)

    def _put_statement(self, event: Event) -> None:
        schema, text = statement_of(event)
        does = effect_of(text, schema, _NOWHERE).does
        if does is Does.BEGIN:
            self._begin.append(self._record(event))
        elif does in (Does.COMMIT, Does.ROLLBACK, Does.SAVEPOINT, Does.ROLLBACK_TO):
            self._put_touched(event)
        elif concerns_tables(text):
            self._put_common(event)

    def _put_common(self, event: Event) -> None:
        self._join(None)
        self._put_touched(event)

    def _put_touched(self, event: Event) -> None:
        record = self._record(event)
        for sequence in self._touched.values():
            sequence.add(record)

    def _join(self, name: TableName | None) -> SpooledSequence:
        sequence = self._touched.get(name)
        if sequence is None:
            sequence = self._touched[name] = self._part.sequence(name)
            for record in self._begin:
                sequence.add(record)
        return sequence

    def _head(self, event: Event) -> bytes:
        self._ordinal += 1
        file = self._part.file_number(event.file)
        return _RECORD.pack(self._ordinal, event.kind, event.at_s, event.server_id, file, event.offset)

    def _record(self, event: Event) -> bytes:
        return self._head(event) + event.body
