"""Progress of a run on stderr: bars at a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ingest_ray.cli.format import amount, duration, size
from ingest_ray.engine.run_order import Progress as Moment

EVERY_S = 5.0  # plain lines: often enough to see that it moves, rare enough for a log file


@contextmanager
def watch() -> Iterator[Callable[[Moment], None]]:
    if sys.stderr.isatty():
        with _bars() as bars:
            yield Bars(bars).show
    else:
        yield Lines().show


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[said]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        expand=True,
    )


class Bars:
    """One bar for each unit."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, moment: Moment) -> None:
        task = self._tasks.get(moment.run_id)
        if task is None:
            task = self._tasks[moment.run_id] = self._progress.add_task(
                moment.unit_id[-30:], total=None, said="planning"
            )
        done = moment.phase == "done"
        total = max(moment.estimated_rows or 0, moment.rows.read) or None
        finished = moment.rows.committed if not done else total
        self._progress.update(
            task, total=total or (1 if done else None), completed=finished or (1 if done else 0), said=said(moment)
        )


class Lines:
    """A line when the phase of a unit changes, and every few seconds."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}

    def show(self, moment: Moment) -> None:
        phase, at = self._last.get(moment.run_id, ("", 0.0))
        if phase == moment.phase and time.monotonic() - at < EVERY_S:
            return
        self._last[moment.run_id] = (moment.phase, time.monotonic())
        what = "" if moment.phase == "planning" else f": {said(moment)}"
        print(f"{moment.ref} {moment.phase}{what}", file=sys.stderr, flush=True)


def said(moment: Moment) -> str:
    """`1.2 M rows  310 k/s  96 MiB  ETA 0:42`."""
    if moment.phase == "planning":
        return "planning"
    parts = [f"{amount(moment.rows.committed)} rows"]
    rate = moment.rows.committed / moment.seconds if moment.seconds > 0 else 0.0
    if rate:
        parts.append(f"{amount(rate)}/s")
    if moment.bytes_staged:
        parts.append(size(moment.bytes_staged))
    left = (moment.estimated_rows or 0) - moment.rows.committed
    if moment.phase != "done" and rate and left > 0:
        parts.append(f"ETA {duration(left / rate)}")
    return "  ".join(parts)
