"""A simulated table of a database and its writers: a clock, sessions, open transactions, and the server that is read.

A transaction takes the cursor's value when it begins and shows its row when it ends; transactions end in any order. On a
replica the commits appear later, in their order.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

from ingest_strategies.jdbc.planning.probe import SEGMENT
from tests.simulation.databases.traits import Traits
from tests.simulation.source_table import EPOCH, Row, SourceTable, Transaction

SECOND = 1_000_000
SESSIONS = 3
MAX_OPEN_S = 250  # of transactions that the server does not show: shorter than the lag of 300 s


@lru_cache(maxsize=100_000)
def wall_time(moment: int, zone: str) -> int:
    """The wall time of a zone, as if it were UTC. Both in microseconds since 1970."""
    local = (EPOCH + timedelta(microseconds=moment)).astimezone(ZoneInfo(zone))
    return (local.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@dataclass
class DatabaseTransaction(Transaction):
    """`shown_start` is what the server shows as its start, None where it shows nothing; `begun` is the moment it has the clock from."""

    session: int = 0
    shown_start: int | None = None
    prepared_at: int | None = None


class DatabaseTable(SourceTable):
    def __init__(self, random: Random, traits: Traits, note_fault: Callable[[str], None]) -> None:
        super().__init__(random, 1, traits.lookback or 0)
        self.traits = traits
        self.clock = traits.start_s * SECOND
        self.set_back = 0
        """How far the clock was set back in all."""
        self._highest_clock = self.clock
        self.last_commit: int | None = None
        """When the newest transaction was committed that the server that is read has."""
        self.is_replaying = True
        self._note = note_fault
        self._commits: list[tuple[int, Row | None, int]] = []
        """The commits that a replica has not replayed: key, row, moment."""
        self._counter = 0
        self._blocks: dict[int, list[int]] = {}
        self._visible: dict[int, Row] = {}
        self._newest_at = self._last_at = 0
        self.sql = sqlite3.connect(":memory:", isolation_level=None)
        self.sql.execute("create table t (id integer primary key, at integer)")

    def segment_of(self, key: int) -> str:
        return SEGMENT

    def is_due(self, row: Row, write: str) -> bool:
        """Without a key in the sink, rows above the horizon belong to later runs."""
        return write != "append" or row.at < self._last_at

    def of(self, segment: str) -> dict[int, Row]:
        return self._visible

    def truth(self, segment: str) -> dict[int, Row]:
        return self.rows

    @property
    def shown_transactions(self) -> list[DatabaseTransaction]:
        """The open transactions that the server that is read shows: of a replica none."""
        return [] if self.traits.is_replica else [t for t in self.open if isinstance(t, DatabaseTransaction)]

    @property
    def behind_s(self) -> int:
        return (self.clock - self._commits[0][2]) // SECOND if self._commits else 0

    # --- writers

    def write(self, key: int) -> None:
        self.clock += self.random.randint(1, 60 * SECOND)
        self._end_overdue()
        if any(transaction.key == key for transaction in self.open):
            return
        session = self.random.randrange(SESSIONS)
        begun, is_early = self.clock, False
        at = self._next_value(session) if self.traits.is_counter else self._time(begun)
        if self.traits.takes_early and self.random.random() < 0.4:
            at, is_early = self._time(begun - self.random.randint(1, 60 * SECOND)), True
        is_behind = self.clock <= self._highest_clock
        self._highest_clock = max(self._highest_clock, self.clock)
        if self.versions.get(key, -1) >= at:
            return  # a version that is not newer is no update for a sink
        self.versions[key] = at
        is_untracked = self.traits.has_untracked and session == 0
        shown = None if is_untracked else begun
        transaction = DatabaseTransaction(key, Row(at, is_early or is_behind), begun, session, shown)
        if is_untracked:
            self._note("source: start of a transaction unknown")
        if is_early:
            self._note("source: time taken before the transaction")
        if self.traits.hides_transactions:
            self._note("source: transactions hidden")
        if self.traits.cursor == "timestamp" and not self.traits.declares_zone:
            self._note("source: zone unknown")
        self.open.append(transaction)
        draw = self.random.random()
        if draw < 0.15 and self.traits.has_prepared:
            transaction.prepared_at, transaction.shown_start = self.clock, None
            self._note("source: transaction prepared")
        elif draw < 0.7:
            self.end_one()

    def _time(self, moment: int) -> int:
        return wall_time(moment, self.traits.writer_zone) if self.traits.cursor == "timestamp" else moment

    def _next_value(self, session: int) -> int:
        """The next value of the sequence, which a session takes in blocks; a block that the others have left behind is given up."""
        block = [
            value for value in self._blocks.get(session, []) if value > self._counter - self.traits.block * SESSIONS
        ]
        if not block:
            block = list(range(self._counter + 1, self._counter + self.traits.block + 1))
            self._counter += self.traits.block
        elif self.traits.block > 1:
            self._note("source: values of a sequence in blocks")
        value, *self._blocks[session] = block
        return value

    def _end_overdue(self) -> None:
        if not self.traits.limits_transactions:
            return
        for transaction in list(self.open):
            if self.clock - transaction.begun > MAX_OPEN_S * SECOND:
                self._commit(transaction)

    def set_clock_back(self) -> None:
        if not self.traits.sets_clock_back:
            return
        for transaction in list(self.open) if self.traits.limits_transactions else []:
            self._commit(transaction)
        self._highest_clock = max(self._highest_clock, self.clock)
        step = self.random.choice([10, 400, 4_000]) * SECOND
        self.clock -= step
        self.set_back += step
        self._note("source: clock set back")

    @property
    def readers_clock_s(self) -> float:
        return (self.clock + self.set_back) / SECOND

    def end_one(self) -> None:
        if self.open:
            self._commit(self.open[self.random.randrange(len(self.open))])

    def _commit(self, transaction: Transaction) -> None:
        self.open.remove(transaction)
        self.clock += 1
        if transaction.row.at < self._newest_at:
            self._note("source: committed out of order")
            if self.traits.is_counter:
                self._note("source: counter committed out of order")
            if self._is_in_repeated_hour():
                self._note("source: hour repeated")
        self._newest_at = max(self._newest_at, transaction.row.at)
        self.rows[transaction.key] = transaction.row
        self._publish(transaction.key, transaction.row)
        self.on_commit(transaction.key, transaction.row)

    def _is_in_repeated_hour(self) -> bool:
        zone, hour = self.traits.writer_zone, 3_600 * SECOND
        return (
            self.traits.cursor == "timestamp" and wall_time(self.clock, zone) - wall_time(self.clock - hour, zone) == 0
        )

    def delete(self, key: int) -> None:
        if key in self.rows and not any(transaction.key == key for transaction in self.open):
            del self.rows[key]
            self._publish(key, None)

    # --- the server that is read

    def _publish(self, key: int, row: Row | None) -> None:
        self._commits.append((key, row, self.clock))
        if not self.traits.is_replica:
            self.replay(1)
        elif self.is_replaying:
            self.replay(self.random.choice([0, 0, 1, 2, 5]))

    def replay(self, count: int) -> None:
        for key, row, moment in self._commits[:count]:
            self.last_commit = moment
            if row is None:
                self._visible.pop(key, None)
                self.sql.execute("delete from t where id = ?", (key,))
            else:
                self._visible[key] = row
                self.sql.execute("insert or replace into t values (?, ?)", (key, row.at))
        del self._commits[:count]
        if self._commits:
            self._note("source: replica behind")

    def change_replication(self) -> None:
        """Stops or starts the replica, or restarts it: then it does not say how far it is until it has replayed something."""
        if not self.traits.is_replica:
            return
        self.is_replaying = not self.is_replaying
        if not self.is_replaying:
            self._note("source: replica stopped")
            self.last_commit = self.last_commit if self.random.random() < 0.7 else None

    def settle(self) -> None:
        """Ends all transactions, waits longer than zones differ, and writes one more row: all others are below any horizon then."""
        self.is_replaying = True
        if self.traits.is_replica and self.traits.hides_transactions and self.traits.database == "mysql":
            self._note("source: replica that does not say how far it is")
            self.traits = replace(self.traits, hides_transactions=False)  # the grant that the note of its plan names
        super().settle()
        self.clock += 30 * 3_600 * SECOND
        self._counter += 10 * self.traits.block * SESSIONS
        self._last_at = self._next_value(0) if self.traits.is_counter else self._time(self.clock)
        key = min(self.rows, default=0)
        self.versions[key] = self._last_at
        self.open.append(DatabaseTransaction(key, Row(self._last_at), self.clock, 0, self.clock))
        super().settle()
        self.replay(len(self._commits))

    def read_primary(self) -> None:
        """What the hint of a refusal says: the endpoint becomes that of the primary."""
        self.traits = replace(self.traits, is_replica=False)
        self.replay(len(self._commits))
