"""What must be true after every step, and at the end of every history."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.core.ledger import Ledger
from ingest_ray.sdk.types import RunState
from ingest_ray.state.lease import TTL_S
from tests.simulation.table import Table


class Violation(Exception):
    """A promise was broken. Not an `IngestError`, so nothing takes it for a fault; see `Judge.broken`."""


@dataclass
class Judge:
    table: Table
    has: Callable[[int, int], bool] = lambda _key, _at: False
    watermarks: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """Every violation, so that none is lost where production code turns exceptions into events."""

    def accuse(self, what: str) -> None:
        self.broken.append(what)
        raise Violation(what)

    def writes(self, key: str, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        if old is not None and new.get("epoch", 0) < old.get("epoch", 0):
            self.accuse(f"'{key}' of epoch {old['epoch']} is overwritten by epoch {new['epoch']}")
        if key.endswith("::lease"):
            self._takes_lease(old, new)
        elif "::segment::" in key:
            self._moves(key, new["state"])

    def _takes_lease(self, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """By the clock of the one who takes it; what a wrong clock may do to the data is judged by the rows."""
        if old is None or new["run_id"] == old["run_id"] or old["is_released"]:
            return
        if old["expires_at"] <= new["expires_at"] - TTL_S:
            return
        self.accuse(f"run {new['run_id']} took the lease of {old['run_id']}, which lives: two owners")

    def _moves(self, key: str, state: dict[str, Any]) -> None:
        if state["watermark"] is None:
            return
        watermark = int(state["watermark"][0])
        if watermark < self.watermarks.get(key, watermark):
            self.accuse(f"the watermark of '{key}' moves back to {watermark}")
        if watermark == self.watermarks.get(key):
            return
        self.watermarks[key] = watermark
        for row_key, row in self.table.of(state["segment"]).items():
            is_below = row.at < watermark and not row.is_late and row_key not in self.table.bad
            if is_below and not self.has(row_key, row.at):
                self.accuse(f"watermark {watermark} of '{key}' is beyond row {row_key} of {row.at}")

    def deletes(self, key: str) -> None:
        self.watermarks.pop(key, None)

    def commits(self, last: int, sequence: int) -> None:
        if sequence != last + 1:
            self.accuse(f"commit {sequence} follows commit {last}")

    def shows(self, rows: Iterable[tuple[int, int]], shown: Counter[tuple[int, int]]) -> None:
        twice = [row for row in rows if shown[row] > 1]
        if twice:
            self.accuse(f"rows {twice} are in the sink twice")

    def ends(self, ledger: Ledger, state: RunState, owed: set[str]) -> None:
        """`owed`: the scopes of the run that its checkpoint does not call complete."""
        rows, slices = ledger.rows, ledger.slices
        if state is not RunState.SUCCEEDED:
            return
        if owed:
            self.accuse(f"a run that succeeded has not read all of {owed}")
        if rows.read != rows.committed + rows.deduplicated + rows.quarantined or rows.staged > rows.read:
            self.accuse(f"the ledger of a run that succeeded does not balance: {rows}")
        if slices.planned != slices.committed or ledger.staged_bytes:
            self.accuse(f"a run that succeeded left something: {slices}, {ledger.staged_bytes} bytes")

    def agrees(self, write: str, shown: Counter[tuple[int, int]], newest: dict[int, int]) -> None:
        """At the end: every row of the source is in the sink in its last version, and none twice."""
        expected = {key: row.at for key, row in self.table.rows.items() if key not in self.table.bad}
        if write == "upsert":
            wrong = {key: at for key, at in expected.items() if newest.get(key) != at}
        elif write == "append":
            wrong = {key: at for key, at in expected.items() if shown[key, at] != 1}
        else:
            wrong = dict((Counter(expected.items()) - shown) + (shown - Counter(expected.items())))  # type: ignore[arg-type]
        if wrong:
            self.accuse(f"source and sink differ at the end: {wrong}")
