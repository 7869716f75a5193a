"""Progress as bars, for a terminal. Imported only there: what draws them takes 30 ms to import."""

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as BarDisplay

from ingest_ray.cli.launch_progress import LaunchCounts
from ingest_ray.cli.progress import progress_text
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.types import RunSummary


def bar_display() -> BarDisplay:
    return BarDisplay(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[summary]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        expand=True,
    )


class ProgressBars:
    """One bar for each unit."""

    def __init__(self, display: BarDisplay) -> None:
        self._display = display
        self._tasks: dict[str, TaskID] = {}

    def show(self, progress: Progress) -> None:
        task = self._tasks.get(progress.run_id)
        if task is None:
            task = self._tasks[progress.run_id] = self._display.add_task(
                progress.unit_id[-30:], total=None, summary="planning"
            )
        is_done = progress.phase == "done"
        total = max(progress.estimated_rows or 0, progress.rows.read) or None
        way = (progress.rows.read + progress.rows.committed) // 2  # a row that is read has half of its way before it
        completed = total if is_done else way
        self._display.update(
            task,
            total=total or (1 if is_done else None),
            completed=completed or (1 if is_done else 0),
            summary=progress_text(progress),
        )

    def remove(self, run_id: str) -> None:
        task = self._tasks.pop(run_id, None)
        if task is not None:
            self._display.remove_task(task)


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
