"""Decides what a commit changes in a history: pure, for every sink.

Of each key the table has rows one after the other, in the order of their begins, which differ; at most one is open (`end` is None). A row
ends where the next one begins, or earlier, where it was found deleted.

* A newer version closes the open row and opens its own. An older one that the table has not yet is put before the next newer one, closed.
* A row of the version that is open replaces its values, unless it is equal or was read before it. A closed row keeps its values.
* Without versions, the row that was read later is newer; an equal one changes nothing, and one that was read earlier is dropped.
* A row that comes back after its key was deleted begins when it was read; one that was read before the delete stays deleted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

LATEST = 2**62  # microseconds: later than any time


@dataclass(frozen=True)
class HistoryRow:
    """A row of one key. Times are microseconds since 1970."""

    id: int
    version: int
    """Its position among the versions of its key; equal ones are one version. Without versions always the same number."""
    read_at: int
    begin: int
    """Of a row that comes: where it would begin if there was no other."""
    is_stored: bool = False
    end: int | None = None
    deleted: int | None = None
    is_equal: bool = False
    """Of a row that comes: the open row of its key has the same values."""


@dataclass(frozen=True)
class Validity:
    """What a row of the table gets: the stored row, or the row that comes, with this id."""

    id: int
    begin: int
    end: int | None
    deleted: int | None


@dataclass
class HistoryPlan:
    """`closes` change only the validity of stored rows. `replaces`: rows that come, and the stored rows whose values they replace."""

    opens: list[Validity] = field(default_factory=list)
    closes: list[Validity] = field(default_factory=list)
    replaces: list[tuple[int, int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The rows that come and are in the table afterwards."""
        return len(self.opens) + len(self.replaces)


def plan_history(keys: Iterable[Sequence[HistoryRow]], *, has_versions: bool, is_replay: bool = False) -> HistoryPlan:
    """`keys`: for each key its stored rows, and of the rows that come one of each version, the one that was read last.

    `is_replay`: without versions, rows that an earlier run read; of keys that the table has they are dropped, because what was read
    after them may have been equal to an older row.
    """
    plan = HistoryPlan()
    for rows in keys:
        timeline = _Timeline([row for row in rows if row.is_stored], has_versions, is_replay)
        coming = (row for row in rows if not row.is_stored)
        for row in sorted(coming, key=lambda row: (row.version, row.read_at, row.id)):
            timeline.take(row)
        timeline.add_to(plan)
    return plan


@dataclass
class _Entry:
    row: HistoryRow
    begin: int
    end: int | None
    deleted: int | None

    @property
    def is_changed(self) -> bool:
        return (self.end, self.deleted) != (self.row.end, self.row.deleted)


class _Timeline:
    """The rows of one key."""

    def __init__(self, stored: Sequence[HistoryRow], has_versions: bool, is_replay: bool) -> None:
        ordered = sorted(stored, key=lambda row: row.begin)
        self._entries = [_Entry(row, row.begin, row.end, row.deleted) for row in ordered]
        self._has_versions = has_versions
        self._is_late = is_replay and not has_versions and bool(stored)
        self._replaces: list[tuple[int, int]] = []

    def take(self, row: HistoryRow) -> None:
        if self._is_late:
            return
        position = self._position(row.version)
        before = self._entries[position - 1] if position else None
        if before is None or before.row.version != row.version:
            self._open(row, position)
        elif before.end is not None:
            is_last = position == len(self._entries)
            if is_last and before.deleted is not None and row.read_at > before.deleted:
                self._open(row, position)  # it came back
        elif row.read_at >= before.row.read_at and not row.is_equal:
            if self._has_versions:
                self._replaces.append((row.id, before.row.id))
            else:
                self._open(row, position)

    def add_to(self, plan: HistoryPlan) -> None:
        plan.replaces += self._replaces
        for entry in self._entries:
            validity = Validity(entry.row.id, entry.begin, entry.end, entry.deleted)
            if not entry.row.is_stored:
                plan.opens.append(validity)
            elif entry.is_changed:
                plan.closes.append(validity)

    def _position(self, version: int) -> int:
        """After the last row of this version or an older one: a repair may have put an older version last."""
        positions = range(len(self._entries), 0, -1)
        return next((position for position in positions if self._entries[position - 1].row.version <= version), 0)

    def _open(self, row: HistoryRow, position: int) -> None:
        before = self._entries[position - 1] if position else None
        after = self._entries[position] if position < len(self._entries) else None
        begin = row.begin if before is None else max(row.begin, before.begin + 1)
        if before is not None and before.deleted is not None and after is None and row.read_at > before.deleted:
            begin = max(begin, before.end or begin)  # between the delete and its return there was no row
        if after is not None:
            begin = min(begin, after.begin - 1)
            if before is not None and begin <= before.begin:
                return  # there is no time between the two
        entry = _Entry(row, begin, None if after is None else after.begin, None)
        if before is not None:
            self._divide(before, entry, is_last=after is None)
        self._entries.insert(position, entry)

    def _divide(self, before: _Entry, entry: _Entry, *, is_last: bool) -> None:
        """Ends the row before; where that was deleted after the new row was read, or within its time, the new row was deleted."""
        deleted = before.deleted
        if deleted is not None and (entry.begin < (before.end or 0) or (is_last and entry.row.read_at <= deleted)):
            entry.end, entry.deleted = max(before.end or 0, entry.begin), deleted
            before.deleted = None
            before.end = entry.begin
        elif before.end is None or before.end > entry.begin:
            before.end = entry.begin


def keys_of(rows: Iterable[tuple[int, HistoryRow]]) -> Iterator[list[HistoryRow]]:
    """Rows of one key number, which come one after the other, as one list."""
    found: list[HistoryRow] = []
    number: int | None = None
    for key, row in rows:
        if number is not None and key != number:
            yield found
            found = []
        number = key
        found.append(row)
    if found:
        yield found
