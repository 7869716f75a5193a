"""A table whose transactions are written to a log, in the order of their commits; and the replication slots of its server.

A commit is in the log before other sessions see it. A slot is made when the transactions that were open then have ended. After a restart
of the server a slot may be where it was before it was last moved.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from tests.simulation.scheduler import Process
from tests.simulation.source_table import Row, SourceTable

KEYS = 24
FIRST_LSN = 0xFFFF_0000  # positions pass 32 bits during a history
LOG_FAULTS = (
    "log: commit not visible yet",
    "log: slot dropped",
    "log: slot invalidated",
    "log: slot moved by another reader",
    "log: server restarted",
    "log: standby promoted",
    "log: standby promoted that lost transactions",
    "log: slot went back",
    "log: transaction rolled back",
    "log: key changed",
    "log: table truncated",
    "log: large value not repeated",
    "log: other tables changed",
    "log: more than was asked for",
    "log: slot copied",
    "log: unit joined the others",
)


@dataclass(frozen=True)
class LogRow(Row):
    """`big`: a large value, which the log repeats only where it was changed."""

    big: int = 0


@dataclass(frozen=True)
class Operation:
    """`row` None: a delete. `old_key`: of a changed key. `key` None: a truncation."""

    key: int | None
    row: LogRow | None = None
    old_key: int | None = None
    is_insert: bool = False
    repeats_big: bool = True


@dataclass(eq=False)
class LogTransaction:
    xid: int
    operations: list[Operation] = field(default_factory=list)
    lsn: int | None = None
    """Where the log has its commit; None: it is open."""

    @property
    def keys(self) -> set[int]:
        """Its locked rows; all of them after a truncation."""
        keys = {op.key for op in self.operations} | {op.old_key for op in self.operations if op.old_key is not None}
        return set(range(KEYS)) if None in keys else {key for key in keys if key is not None}


@dataclass
class ReplicationSlot:
    confirmed: int
    flushed: int
    """What the server has on disk of `confirmed`."""
    is_lost: bool = False
    is_new: bool = False
    """It is being made, and has no position yet."""
    maker: Process | None = None
    waits_for: "list[LogTransaction]" = field(default_factory=list)
    """Those that ran when its making began: it has a position when they have ended, also if its maker died before."""


class LogTable(SourceTable):
    """`rows`: what a new snapshot sees."""

    def __init__(self, random: Random, note_fault: Callable[[str], None]) -> None:
        super().__init__(random, 1, 0)
        self.end = FIRST_LSN
        self.log: list[LogTransaction] = []
        self.states: list[tuple[int, Mapping[int, LogRow]]] = [(0, {})]
        """The table after each commit of the log, in its order."""
        self.slots: dict[str, ReplicationSlot] = {}
        self.slots_made = 0
        """For the unit that is loaded and judged."""
        self.main_slot = self.shared_slot = ""
        self.locks: dict[str, Process] = {}
        self.restarts = 0
        self.has_lost_logs = False
        self.timeline = 1
        self.left_at: dict[int, int] = {}
        """Where each older timeline ended."""
        self.lost_transactions = False
        """Some that a sink may have."""
        self.looked_up: set[int] = set()
        """Keys whose rows a reader of the log read from the table itself: in the sink they may be ahead."""
        self.running: list[LogTransaction] = []
        """Open, or in the log and not visible."""
        self.note = note_fault
        self.on_slot_moved: Callable[[str, int], None] = lambda _name, _to: None
        self._xid = 700

    def segment_of(self, key: int) -> str:
        return "all"

    def of(self, segment: str) -> dict[int, Row]:
        return self.rows

    # --- writers

    def write(self, key: int) -> None:
        """A transaction of one to four statements, which may stay open."""
        self.tick += 1
        self._show_some()
        transaction = LogTransaction(self._xid)
        self._xid += 1
        locked = {key for other in self.running for key in other.keys}
        for _ in range(self.random.choice([1, 1, 2, 4])):
            if key not in locked:
                operation = self._draw(key, transaction, locked)
                transaction.operations.append(operation)
            key = self.random.randrange(KEYS)
        if not transaction.operations:
            return
        self.running.append(transaction)
        if self.random.random() < 0.7:
            self.end_one()

    def _draw(self, key: int, transaction: LogTransaction, locked: set[int]) -> Operation:
        rows, draw = after(self.rows, transaction.operations), self.random.random()
        old = rows.get(key)
        if draw < 0.04 and not locked:
            self.note("log: table truncated")
            return Operation(None)
        self.tick += 1
        if old is None:
            return Operation(key, LogRow(self.tick, big=self.tick), is_insert=True)
        if draw < 0.25:
            return Operation(key)
        repeats = self.random.random() < 0.3
        if not repeats:
            self.note("log: large value not repeated")
        row = replace(old, at=self.tick, big=self.tick if repeats else old.big)
        free = [other for other in range(KEYS) if other not in locked and other not in rows]
        if draw < 0.45 and free:
            self.note("log: key changed")
            return Operation(self.random.choice(free), row, old_key=key, repeats_big=repeats)
        return Operation(key, row, repeats_big=repeats)

    def end_one(self) -> None:
        """Commits an open transaction, or shows one that is committed, or rolls one back."""
        if not self.running:
            return
        transaction = self.random.choice(self.running)
        if transaction.lsn is not None:
            self._show(transaction)
        elif self.random.random() < 0.1:
            self.note("log: transaction rolled back")
            self.running.remove(transaction)
        else:
            self._commit(transaction)
            if self.random.random() < 0.3:
                self.note("log: commit not visible yet")
            else:
                self._show(transaction)

    def _commit(self, transaction: LogTransaction) -> None:
        self.write_log()
        transaction.lsn = self.end
        self.log.append(transaction)
        self.states.append((self.end, after(self.states[-1][1], transaction.operations)))
        self.end += self.random.randint(40, 400)

    def write_log(self) -> None:
        """Of other tables of the server."""
        self.end += self.random.choice([0, 8, 5_000, 40_000])

    def _show(self, transaction: LogTransaction) -> None:
        self.running.remove(transaction)
        self.rows = dict(after(self.rows, transaction.operations))

    def _show_some(self) -> None:
        for transaction in [some for some in self.running if some.lsn is not None]:
            if self.random.random() < 0.3:
                self._show(transaction)

    def delete(self, key: int) -> None:
        self.note("log: other tables changed")
        self.write_log()

    def settle(self) -> None:
        for transaction in list(self.running):
            if transaction.lsn is None:
                self._commit(transaction)
            self._show(transaction)

    # --- the log

    def at(self, lsn: int) -> Mapping[int, LogRow]:
        """The table after every transaction whose commit is below the position."""
        return next(rows for position, rows in reversed(self.states) if position < lsn)

    def since(self, lsn: int) -> list[Mapping[int, LogRow]]:
        """The table at that position, and after each commit from there on."""
        return [self.at(lsn), *(rows for position, rows in self.states if position >= lsn)]

    # --- the server

    def inject(self) -> None:
        """Something happens to the slots."""
        draw, slots = self.random.random(), list(self.slots)
        if not slots:
            return
        slot = self.slots[self.random.choice(slots)]
        self.has_lost_logs |= draw < 0.24
        if draw < 0.08:
            self.note("log: slot dropped")
            self.slots.clear()
        elif draw < 0.16:
            self.note("log: slot invalidated")
            slot.is_lost = True
        elif draw < 0.24:
            self.note("log: slot moved by another reader")
            slot.confirmed = slot.flushed = max(slot.confirmed, self.end)
        elif draw < 0.36:
            self.promote()
        else:
            self.restart()

    def promote(self) -> None:
        """A standby goes on where it has received the log; its slots are where they were when it last heard of them."""
        newest = [some.lsn for some in self.log[-4:] if some.lsn is not None and some.lsn > FIRST_LSN]
        has_all = not newest or self.random.random() < 0.4
        self.restart()
        self.left_at[self.timeline] = end = self.end if has_all else self.random.choice(newest)
        self.timeline += 1
        self.note("log: standby promoted" if has_all else "log: standby promoted that lost transactions")
        if has_all:
            return
        self.has_lost_logs = self.lost_transactions = True
        self.log = [some for some in self.log if some.lsn is not None and some.lsn < end]
        self.states = [some for some in self.states if some[0] < end]
        self.end, self.rows = end, dict(self.states[-1][1])
        for slot in self.slots.values():
            slot.confirmed = slot.flushed = min(slot.confirmed, end)

    def restart(self) -> None:
        """Open transactions are rolled back; committed ones are visible; slots are as they were flushed."""
        self.note("log: server restarted")
        self.restarts += 1
        self.locks.clear()
        for transaction in list(self.running):
            if transaction.lsn is not None:
                self._show(transaction)
        self.running.clear()
        self.slots = {name: slot for name, slot in self.slots.items() if not slot.is_new}
        for slot in self.slots.values():
            if slot.flushed < slot.confirmed:
                self.note("log: slot went back")
            slot.confirmed = slot.flushed

    def make_slot(self, name: str) -> ReplicationSlot:
        self.slots[name] = ReplicationSlot(self.end, self.end, is_new=True)
        self.slots_made += name == self.main_slot
        return self.slots[name]

    def move_slot(self, name: str, to: int) -> None:
        slot = self.slots[name]
        self.on_slot_moved(name, to)
        slot.confirmed = max(slot.confirmed, min(to, self.end))
        if self.random.random() < 0.2:
            slot.flushed = slot.confirmed


def after(rows: Mapping[int, Row], operations: list[Operation]) -> Mapping[int, LogRow]:
    left: dict[int, LogRow] = dict(rows)  # type: ignore[arg-type]
    for operation in operations:
        if operation.key is None:
            left.clear()
            continue
        if operation.old_key is not None:
            left.pop(operation.old_key, None)
        if operation.row is None:
            left.pop(operation.key, None)
        else:
            left[operation.key] = operation.row
    return left
