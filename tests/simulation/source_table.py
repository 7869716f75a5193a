"""Simulated source: one table with a key and a cursor, changed by transactions while it is read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

from ingest_ray.sdk.types import Position

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = 2**62


@lru_cache(maxsize=100_000)
def microseconds(text: str) -> int:
    """A time as text, with or without a zone; infinity, and MySQL's zero, lie outside of all others."""
    if "infinity" in text or text.startswith("0000"):
        return -NEVER if text.startswith(("-", "0")) else NEVER
    moment = datetime.fromisoformat(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


def position_value(position: Position) -> int:
    """A position as a number: a whole number, or microseconds since 1970."""
    item = position[0]
    return microseconds(item) if isinstance(item, str) else item


@dataclass(frozen=True)
class Row:
    at: int
    is_late: bool = False
    """The cursor is older than the commit of the row: only a look-back reads it."""


@dataclass
class Transaction:
    key: int
    row: Row
    begun: int


@dataclass
class SourceTable:
    """Segments are `key % segments`. A transaction sets the cursor when it begins; its row is visible when it ends."""

    random: Random
    segments: int
    lookback: int
    tick: int = 10
    rows: dict[int, Row] = field(default_factory=dict)
    open: list[Transaction] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    """The newest version of each key, also of those that were deleted."""
    bad: frozenset[int] = frozenset()
    """Keys whose rows no schema can represent: they go to quarantine."""
    on_commit: Callable[[int, Row], None] = lambda _key, _row: None

    @property
    def horizon(self) -> int:
        """The tick of the oldest open transaction: below it no row changes silently."""
        return min([transaction.begun for transaction in self.open], default=self.tick + 1)

    def write(self, key: int) -> None:
        """Inserts or updates a row, in a transaction of its own that may stay open."""
        if any(transaction.key == key for transaction in self.open):
            return
        self.tick += 1
        lag = self.random.randrange(self.lookback) if self.lookback and self.random.random() < 0.3 else 0
        at = max(self.tick - lag, 1)
        if self.versions.get(key, 0) >= at:  # also after a delete: a version that is not newer is no update for a sink
            at, lag = self.tick, 0
        self.versions[key] = at
        self.open.append(Transaction(key, Row(at, lag > 0), self.tick))
        if self.random.random() < 0.7:
            self.end_one()

    def end_one(self) -> None:
        if self.open:
            transaction = self.open.pop(self.random.randrange(len(self.open)))
            self.rows[transaction.key] = transaction.row
            self.on_commit(transaction.key, transaction.row)

    def delete(self, key: int) -> None:
        if not any(transaction.key == key for transaction in self.open):
            self.rows.pop(key, None)

    def settle(self) -> None:
        """Ends all transactions."""
        while self.open:
            self.end_one()

    def segment_of(self, key: int) -> str:
        return str(key % self.segments)

    def is_due(self, row: Row, write: str) -> bool:
        """Whether the row has to be in the sink at the end of a history."""
        return True

    def of(self, segment: str) -> dict[int, Row]:
        """The rows that the server shows that is read."""
        return self.truth(segment)

    def truth(self, segment: str) -> dict[int, Row]:
        """The rows that are committed."""
        return {key: row for key, row in self.rows.items() if self.segment_of(key) == segment}
