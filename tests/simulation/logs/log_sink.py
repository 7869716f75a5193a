"""A sink that applies changes as the product's sinks do, and compares itself at each commit with the table at that position of the log."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.sdk.changes import DELETE, INSERT, TRUNCATE, UPDATE
from ingest_ray.sdk.types import Prepared, Receipt, Slice
from ingest_strategies.jdbc.postgres.changes.lsn import number_of
from tests.simulation.logs.log_server import KEYS, LogTable
from tests.simulation.simulated_sink import SinkServer
from tests.simulation.simulated_staging import Rows


@dataclass
class LogSinkServer(SinkServer):
    """`newest`: key -> `at` and the large value. `shown`, of an append: every row, which is a change or was loaded."""

    table: LogTable = None  # type: ignore[assignment]
    is_tainted: bool = False
    """A load began while the sink had rows, of which the source may have deleted some: they stay."""
    load_end: int = 0
    """Where the log ended when the last slice of a load was committed: below it the sink may be ahead."""
    highest: int = 0
    """The end of the last part of the log that was applied."""
    _pieces: dict[str, Slice] = field(default_factory=dict)
    _slots_seen: int = 0

    def prepare(self, run_id: str, piece: Slice, uri: str, rows: Rows) -> Prepared:
        self._pieces[uri] = piece
        return super().prepare(run_id, piece, uri, rows)

    def open(self, run_id: str, epoch: int) -> int:
        self._note_slots()
        return super().open(run_id, epoch)

    def commit(self, run_id: str, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        self._note_slots()
        before = self.sequence
        receipt = super().commit(run_id, epoch, sequence, group)
        if self.sequence != before:
            self._check_commit([self._pieces[str(prepared.payload["uri"])] for prepared in group])
        return receipt

    def _note_slots(self) -> None:
        if self.table.slots_made != self._slots_seen:
            self._slots_seen = self.table.slots_made
            self.is_tainted |= bool(self.newest or self.shown or self.prepared.keys() - self.committed)

    def empty_for_a_load(self) -> None:
        """An operator resets the unit and removes its rows; nothing else lives."""
        self.truncate()
        self.crash()
        self.is_tainted, self.load_end, self.highest = False, 0, 0
        self.table.looked_up.clear()
        self.table.lost_transactions = False

    def _show(self, epoch: int, rows: Rows, is_insert: bool) -> Receipt:
        changes: list[Any] = list(rows)
        if self.write == "append":
            self.shown.update(changes)
            return Receipt(epoch=epoch, sequence=self.sequence, rows_committed=len(rows))
        if is_insert and ({row[0] for row in changes} & self.newest.keys()):
            self.checker.report_violation("an insert without a merge, of a key that is there")
        orphans = self._apply(changes)
        return Receipt(
            epoch=epoch, sequence=self.sequence, rows_committed=len(rows) - orphans, rows_deduplicated=orphans
        )

    def _apply(self, changes: list[Any]) -> int:
        """Returns the number of updates without a row whose other values they keep."""
        newest: dict[int, Any] = self.newest
        orphans = 0
        if any(row[2] == TRUNCATE for row in changes):
            newest.clear()
        for key in (row[0] for row in changes if row[2] == DELETE):
            newest.pop(key, None)
        keys = Counter(row[0] for row in changes if row[2] != TRUNCATE)
        if keys and max(keys.values()) > 1:
            self.checker.report_violation("a slice of the log has two rows of one key")
        for key, at, op, big, unchanged, _, _ in changes:
            if op in (DELETE, TRUNCATE):
                continue
            if unchanged is not None and key not in newest and op != INSERT:
                orphans += 1
                continue
            newest[key] = (at, newest[key][1] if unchanged is not None and unchanged[2] == "1" else big)
        return orphans

    def _check_commit(self, pieces: list[Slice]) -> None:
        logged = [piece for piece in pieces if piece.axis.kind == "log"]
        if not logged:
            self.load_end = self.table.end
            return
        if len(pieces) > 1:
            self.checker.report_violation("two slices of the log are in one commit")
        upper = logged[0].interval.upper
        assert upper is not None
        to = number_of(upper)
        is_again = to < self.highest
        self.highest = max(self.highest, to)
        if self.write == "append":
            self.check_appended(to)
        elif not is_again:
            self._check_equal(to)

    def check_appended(self, to: int) -> None:
        """No change is there twice."""
        twice = [row for row, count in self.shown.items() if count > 1 and row[2] != "load"]  # type: ignore[misc]
        if twice and not self.is_tainted and not self.table.lost_transactions:
            self.checker.report_violation(f"changes are in the sink twice: {twice[:3]}")

    def _check_equal(self, to: int) -> None:
        if self.is_tainted or self.table.lost_transactions or to <= self.load_end:
            return
        newest: dict[int, Any] = self.newest
        expected = {key: (row.at, f"b{row.big}") for key, row in self.table.at(to).items()}
        wrong = {key for key in newest.keys() | expected.keys() if newest.get(key) != expected.get(key)}
        self.table.looked_up &= wrong
        wrong = (wrong - self.table.looked_up) | (self.rows_not_since(to).keys() & wrong)
        if wrong:
            found = {key: (newest.get(key), expected.get(key)) for key in sorted(wrong)}
            self.checker.report_violation(f"the sink is not the table as of {to:X}: {found}")

    def rows_not_since(self, lsn: int) -> dict[int, Any]:
        """The keys whose rows are not those of the table at the position or later. A row that was looked up is ahead, and later changes
        of a part of it may make it a mixture until the log is read as far."""
        states = self.table.since(lsn)
        wrong = {}
        for key in range(KEYS):
            known = {(row.at, f"b{row.big}") if (row := state.get(key)) is not None else None for state in states}
            found: Any = self.newest.get(key)
            if key in self.table.looked_up and found is not None:
                rows = [row for row in known if row is not None]
                if found[0] in {at for at, _ in rows} and found[1] in {big for _, big in rows}:
                    continue
            if found not in known:
                wrong[key] = found
        return wrong


def changes_of(table: LogTable, lower: int, upper: int) -> Counter[tuple[int, int, str]]:
    """Every change of the log with position, place and operation."""
    found: Counter[tuple[int, int, str]] = Counter()
    for transaction in table.log:
        assert transaction.lsn is not None
        if lower <= transaction.lsn < upper:
            for place, operation in enumerate(transaction.operations):
                op = DELETE if operation.row is None else INSERT if operation.is_insert else UPDATE
                found[transaction.lsn, place, TRUNCATE if operation.key is None else op] += 1
    return found
