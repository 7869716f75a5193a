"""The invariants of the protocol: checked after every step, and at the end of every history."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.core.ledger import Ledger
from ingest_ray.sdk.types import RunState
from ingest_ray.state.lease import TTL_S
from tests.simulation.source_table import Row, SourceTable, position_value


class Violation(Exception):
    """An invariant does not hold. Not an `IngestError`, so no code treats it as a fault; see `InvariantChecker.violations`."""


@dataclass
class InvariantChecker:
    table: SourceTable
    has_row: Callable[[int, int], bool] = lambda _key, _at: False
    watermarks: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    """Every violation, because production code turns exceptions into events."""

    def report_violation(self, message: str) -> None:
        self.violations.append(message)
        raise Violation(message)

    def check_write(self, key: str, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        if old is not None and new.get("epoch", 0) < old.get("epoch", 0):
            self.report_violation(f"'{key}' of epoch {old['epoch']} is overwritten by epoch {new['epoch']}")
        if key.endswith("::lease"):
            self._check_lease(old, new)
        elif new.get("returning") or new.get("is_resetting"):  # segments go back, or are deleted, one by one
            self.watermarks.clear()
        elif "::segment::" in key:
            self._check_watermark(key, new["state"])

    def _check_lease(self, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """Uses the clock of the new owner; damage by a wrong clock shows in the rows."""
        if old is None or new["run_id"] == old["run_id"] or old["is_released"]:
            return
        if old["expires_at"] <= new["expires_at"] - TTL_S:
            return
        self.report_violation(f"run {new['run_id']} took the lease of {old['run_id']}, which lives: two owners")

    def _check_watermark(self, key: str, state: dict[str, Any]) -> None:
        if state["watermark"] is None:
            return
        watermark = position_value(state["watermark"])
        if watermark < self.watermarks.get(key, watermark):
            self.report_violation(f"the watermark of '{key}' moves back to {watermark}")
        if watermark == self.watermarks.get(key):
            return
        self.watermarks[key] = watermark
        for row_key, row in self.table.truth(state["segment"]).items():
            is_below = row.at < watermark and not row.is_late and row_key not in self.table.bad
            if is_below and not self.has_row(row_key, row.at):
                self.report_violation(f"watermark {watermark} of '{key}' is beyond row {row_key} of {row.at}")

    def check_source_commit(self, key: int, row: Row) -> None:
        """A row that is committed below a watermark is never read, unless a look-back reads it."""
        if row.is_late or key in self.table.bad:
            return
        for document, watermark in self.watermarks.items():
            if document.endswith(f"::segment::{self.table.segment_of(key)}") and row.at < watermark:
                self.report_violation(f"row {key} of {row.at} is committed below watermark {watermark} of '{document}'")

    def restore_watermarks(self, documents: dict[str, dict[str, Any]]) -> None:
        self.watermarks.clear()
        for key, document in documents.items():
            if "::segment::" in key and document["state"]["watermark"] is not None:
                self.watermarks[key] = position_value(document["state"]["watermark"])

    def forget_watermark(self, key: str) -> None:
        self.watermarks.pop(key, None)

    def check_commit(self, last: int, sequence: int) -> None:
        """The number of a group whose rows were lost before its commit is left out."""
        if sequence <= last:
            self.report_violation(f"commit {sequence} follows commit {last}")

    def check_duplicates(self, rows: Iterable[tuple[int, int]], shown: Counter[tuple[int, int]]) -> None:
        twice = [row for row in rows if shown[row] > 1]
        if twice:
            self.report_violation(f"rows {twice} are in the sink twice")

    def check_run_end(self, ledger: Ledger, state: RunState, incomplete: set[str]) -> None:
        """`incomplete` has the scopes of the run that are not complete in its checkpoint."""
        rows, slices = ledger.rows, ledger.slices
        if state is not RunState.SUCCEEDED:
            return
        if incomplete:
            self.report_violation(f"a run that succeeded has not read all of {incomplete}")
        if rows.read != rows.committed + rows.deduplicated + rows.quarantined or rows.staged > rows.read:
            self.report_violation(f"the ledger of a run that succeeded does not balance: {rows}")
        if slices.planned != slices.committed or ledger.staged_bytes:
            self.report_violation(f"a run that succeeded left something: {slices}, {ledger.staged_bytes} bytes")

    def check_final_rows(self, write: str, shown: Counter[tuple[int, int]], newest: dict[int, int]) -> None:
        """Checks at the end of a history that every row of the source is in the sink in its last version, and none twice."""
        expected = {
            key: row.at
            for key, row in self.table.rows.items()
            if key not in self.table.bad and self.table.is_due(row, write)
        }
        if write == "upsert":
            wrong = {key: at for key, at in expected.items() if newest.get(key) != at}
        elif write == "append":
            wrong = {key: at for key, at in expected.items() if shown[key, at] != 1}
        else:
            wrong = dict((Counter(expected.items()) - shown) + (shown - Counter(expected.items())))  # type: ignore[arg-type]
        if wrong:
            self.report_violation(f"source and sink differ at the end: {wrong}")
