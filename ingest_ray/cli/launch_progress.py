"""Shows the progress of a launch on stderr: of one unit as `progress` does, of several the units that run and how many ended."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress as BarDisplay
from rich.progress import TaskID

from ingest_ray.cli.progress import FIRST_LINE_S, LINE_EVERY_S, ProgressBars, ProgressLines, bar_display, rows_text
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.types import RowCounts, RunSummary
from ingest_ray.service.runs.execution import LaunchWatch


@contextmanager
def show_launch() -> Iterator["LaunchLines | LaunchBars"]:
    """Yields what observes the launch, and watches its units."""
    if sys.stderr.isatty():
        with bar_display() as display:
            yield LaunchBars(display)
    else:
        yield LaunchLines()


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


class LaunchBars(LaunchCounts):
    """One bar for each unit that runs, and of several units one for all of them; a bar leaves when its unit has ended."""

    def __init__(self, display: BarDisplay) -> None:
        super().__init__()
        self._display = display
        self._bars = ProgressBars(display)
        self._all: TaskID | None = None

    def begin(self, units: int, parallel: int) -> None:
        super().begin(units, parallel)
        if units > 1:
            self._all = self._display.add_task("all units", total=units, summary=self.text)

    def show(self, progress: Progress) -> None:
        self.note(progress)
        self._bars.show(progress)

    def end(self, summary: RunSummary) -> None:
        super().end(summary)
        if self._all is not None:
            self._bars.remove(summary.run_id)
            self._display.update(self._all, completed=self.ended, summary=self.text)
