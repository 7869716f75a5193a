"""Answers the statements of the product's code for slots, and writes the log's messages as `pgoutput` does.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from struct import pack
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Dataset, Endpoint, UnitSpec
from ingest_strategies.jdbc.dialect import AxisColumn, Session, TableSize
from ingest_strategies.jdbc.postgres.changes.lsn import lsn_number, lsn_text
from ingest_strategies.jdbc.postgres.dialect import Postgres
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.logs.log_server import LogRow, LogTable, LogTransaction, Operation, ReplicationSlot
from tests.simulation.scheduler import Process, Scheduler

OID = 16_400
COLUMNS = (("id", 1, 20), ("at", 0, 20), ("big", 0, 25))  # name, whether it is of the key, type


@dataclass
class LogSession:
    table: LogTable
    scheduler: Scheduler
    faults: FaultInjector
    locked_at: int | None = None
    """How often the server had been restarted when this session got a lock: a restart ends the session."""

    @contextmanager
    def holding(self, name: str) -> Iterator[bool]:
        """The server releases the lock of a process that dies, and all of them when it is restarted."""
        self._begin_request()
        holder, process = self.table.locks.get(name), self.scheduler.current_process() or Process("history")
        if holder is not None and holder.is_alive:
            yield False
            return
        self.table.locks[name] = process
        self.locked_at = self.table.restarts
        try:
            yield True
        finally:
            if self.table.locks.get(name) is process and self.locked_at == self.table.restarts:
                del self.table.locks[name]
            self.locked_at = None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self._begin_request()
        answer = self._answer(sql)
        self.scheduler.pause()
        return answer

    def run(self, sql: str) -> None:
        self.rows(sql)

    def batches(self, sql: str, options: Any) -> Iterator[pa.RecordBatch]:
        self._begin_request()
        for message in [*self._peek(sql)]:
            yield pa.RecordBatch.from_pydict({"data": pa.array([message], pa.binary())})

    def _begin_request(self) -> None:
        self.scheduler.pause()
        if self.faults.occurs("source: not answered"):
            raise SourceUnavailable("the source does not answer")
        if self.locked_at is not None and self.locked_at != self.table.restarts:
            raise SourceUnavailable("the server was restarted")

    def _answer(self, sql: str) -> list[tuple[Any, ...]]:
        for slot in self.table.slots.values():
            self._end_making(slot)
        if "pg_control_system" in sql:
            history = ("simulated", self.table.timeline, lsn_text(self.table.end))
            numbers = json.dumps({name: at + 1 for at, (name, _, _) in enumerate(COLUMNS)})
            return [(*history, OID, "ours", "1/1", numbers) if "json_object_agg" in sql else history]
        if "pg_read_file" in sql:
            return [("".join(f"{number}\t{lsn_text(end)}\tpromoted\n" for number, end in self.table.left_at.items()),)]
        if "pg_copy_logical_replication_slot" in sql:
            name, to = _texts(sql)
            self._found(name)
            if self.table.random.random() < 0.2 or to in self.table.slots:
                raise SourceUnavailable("all replication slots are in use")
            self.table.note("log: slot copied")
            self.table.slots[to] = replace(self.table.slots[name])
            return [(to,)]
        if "SELECT slot_name::text FROM pg_replication_slots" in sql:
            return [(name,) for name in self.table.slots]
        if "pg_create_logical_replication_slot" in sql:
            return self._make_slot(_texts(sql)[0])
        if "pg_replication_slot_advance" in sql:
            name, to = _texts(sql)
            self._found(name)
            self.table.move_slot(name, lsn_number(to))
            return [(to,)]
        if "pg_drop_replication_slot" in sql:
            if (found := self.table.slots.get(_texts(sql)[0])) is not None and found.is_new:
                raise SourceUnavailable("the replication slot is active")
            return [("",)] if self.table.slots.pop(_texts(sql)[0], None) is not None else []
        if named := re.findall(r"FROM pg_replication_slots .*slot_name IN \((.*)\)", sql, re.DOTALL):
            return [row for name in re.findall(r"'(\w+)'", named[0]) for row in self._slot(name)]
        if "FROM pg_locks" in sql:
            listed = re.findall(r"string_to_array\('([\d,]*)'", sql)
            found = [str(some.xid) for some in self.table.running]
            return [(",".join(xid for xid in found if not listed or xid in listed[0].split(",")),)]
        if "SyncRep" in sql:
            return [(sum(some.lsn is not None for some in self.table.running), False)]
        if "pg_current_wal_flush_lsn" in sql:
            return [(lsn_text(self.table.end),)]
        for part, rows in _CONSTANT.items():
            if part in sql:
                return rows
        raise AssertionError(f"the simulated server does not know the statement: {sql}")

    def _slot(self, name: str) -> list[tuple[Any, ...]]:
        slot = self.table.slots.get(name)
        if slot is None:
            return []
        at = "" if slot.is_lost or slot.is_new else lsn_text(slot.confirmed)
        status = "lost" if slot.is_lost else "reserved"
        return [
            (
                int(slot.is_new),
                at,
                at,
                status,
                "pgoutput",
                True,
                lsn_text(self.table.end),
                1_000,
                str(self.table.restarts),
                name,
            )
        ]

    def _found(self, name: str) -> None:
        if name not in self.table.slots or self.table.slots[name].is_lost or self.table.slots[name].is_new:
            raise SourceUnavailable(f"replication slot '{name}' does not exist, or cannot be read")

    def _makes(self, slot: ReplicationSlot) -> bool:
        return slot.maker is not None and slot.maker.is_alive

    def _has_ended(self, transactions: list[LogTransaction]) -> bool:
        return all(some.lsn is not None or some not in self.table.running for some in transactions)

    def _end_making(self, slot: ReplicationSlot) -> None:
        """The backend of a process that died goes on until it has made the slot."""
        if slot.is_new and not self._makes(slot) and self._has_ended(slot.waits_for):
            slot.confirmed = slot.flushed = self.table.end
            slot.is_new = False

    def _make_slot(self, name: str) -> list[tuple[Any, ...]]:
        if name in self.table.slots:
            raise SourceUnavailable(f"replication slot '{name}' already exists")
        slot = self.table.make_slot(name)
        slot.maker = self.scheduler.current_process()
        slot.waits_for = [some for some in self.table.running if some.lsn is None]
        self.scheduler.wait_for(lambda: self._has_ended(slot.waits_for), 60)
        if self.table.slots.get(name) is not slot:
            raise SourceUnavailable("the server was restarted")
        slot.confirmed = slot.flushed = self.table.end
        slot.is_new = False
        return [(lsn_text(slot.confirmed),)]

    def _peek(self, sql: str) -> Iterator[bytes]:
        name, upto = re.findall(r"changes\('(\w+)', '([0-9A-F/]+)'", sql)[0]
        self._found(name)
        confirmed, upper, has_relation = self.table.slots[name].confirmed, lsn_number(upto), False
        for transaction in self.table.log:
            assert transaction.lsn is not None
            if transaction.lsn < confirmed:
                continue
            if transaction.lsn >= upper:
                if self.table.random.random() < 0.5:
                    return
                self.table.note("log: more than was asked for")
            yield from _messages(transaction, has_relation)
            has_relation = True


_CONSTANT: dict[str, list[tuple[Any, ...]]] = {
    "max_replication_slots": [(40, 0, False)],
    "wal_level": [("logical", 160_000, True)],
    "pg_publication_rel": [(name, 100) for name in ("u", "public.t", "public.other1", "public.other2")],
    "SELECT 1::bigint FROM pg_publication": [],
    "count(*)::bigint FROM pg_publication": [(0,)],
    "FROM pg_publication": [(True, True, True, "", "")],
    "attgenerated": [],
    "format_type(a.atttypid": [("id", "bigint"), ("at", "bigint"), ("big", "text")],
    "relreplident": [("t", "d", "p", "id", False)],
    "relrowsecurity": [],
    "::regclass::oid": [(OID,)],
    "SELECT 1": [(1,)],
}


def _texts(sql: str) -> list[str]:
    return re.findall(r"'([^']*)'", sql.replace("'pgoutput'", "").replace("','", ""))


def _messages(transaction: LogTransaction, has_relation: bool) -> Iterator[bytes]:
    yield b"B" + pack(">QqI", transaction.lsn, 0, transaction.xid)
    if not has_relation:
        columns = b"".join(
            bytes([is_key]) + name.encode() + b"\0" + pack(">Ii", kind, -1) for name, is_key, kind in COLUMNS
        )
        yield b"R" + pack(">I", OID) + b"public\0t\0d" + pack(">H", len(COLUMNS)) + columns
    for operation in transaction.operations:
        yield _message(operation)
    yield b"C" + b"\0" * 25


def _message(operation: Operation) -> bytes:
    if operation.key is None:
        return b"T" + pack(">IBI", 1, 0, OID)
    if operation.row is None:
        return b"D" + pack(">I", OID) + b"K" + _tuple(_key(operation.key))
    new = b"N" + _tuple(_row(operation.key, operation.row, repeats_big=operation.repeats_big))
    if operation.is_insert:
        return b"I" + pack(">I", OID) + new
    old = b"K" + _tuple(_key(operation.old_key)) if operation.old_key is not None else b""
    return b"U" + pack(">I", OID) + old + new


def _key(key: int) -> Sequence[str | None]:
    return (str(key), None, None)


def _row(key: int, row: LogRow, *, repeats_big: bool) -> Sequence[str | None]:
    return (str(key), str(row.at), f"b{row.big}" if repeats_big else "unchanged")


def _tuple(values: Sequence[str | None]) -> bytes:
    parts = [pack(">H", len(values))]
    for value in values:
        if value is None or value == "unchanged":
            parts.append(b"n" if value is None else b"u")
        else:
            parts.append(b"t" + pack(">I", len(value)) + value.encode())
    return b"".join(parts)


class SimulatedLogDialect(Postgres):
    strategy: Any

    def __init__(self, table: LogTable, scheduler: Scheduler, faults: FaultInjector) -> None:
        self._table, self._scheduler, self._faults = table, scheduler, faults

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        yield LogSession(self._table, self._scheduler, self._faults)

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        return AxisColumn(name, "int", f'"t"."{name}"', "bigint")

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return TableSize(rows=len(self._table.rows), bytes_per_row=1.0)

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        return
