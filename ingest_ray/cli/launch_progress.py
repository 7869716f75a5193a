"""Shows the progress of a launch on stderr: of one unit as `progress` does, of several the units that run and how many ended."""

import sys
import time

from ingest_ray.cli.progress import FIRST_LINE_S, LINE_EVERY_S, ProgressLines, rows_text
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.types import RowCounts, RunSummary
from ingest_ray.service.runs.execution import LaunchWatch


class LaunchCounts(LaunchWatch):
    """Counts the units that ended, and the rows of all."""

    def __init__(self) -> None:
        self.units = self.ended = self.failed = 0
        self._rows: dict[str, RowCounts] = {}

    def begin(self, units: int, parallel: int) -> None:
        self.units = units

    def end(self, summary: RunSummary) -> None:
        self.ended += 1
        self.failed += summary.state == "FAILED"
        self._rows[summary.run_id] = summary.rows

    def show(self, progress: Progress) -> None:
        raise NotImplementedError

    def note(self, progress: Progress) -> None:
        self._rows[progress.run_id] = progress.rows

    @property
    def text(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.ended} of {self.units} units ended{failed}: {rows_text(self._rows.values())}"


class LaunchLines(LaunchCounts):
    """Of several units, one line every few seconds for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = ProgressLines()
        self._due_at = time.monotonic() + FIRST_LINE_S

    def show(self, progress: Progress) -> None:
        if self.units == 1:
            self._lines.show(progress)
            return
        self.note(progress)
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + LINE_EVERY_S
            print(self.text, file=sys.stderr, flush=True)
