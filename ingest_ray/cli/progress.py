"""Shows the progress of a run on stderr in plain lines, where stderr is no terminal. Bars: `progress_bars`."""

import sys
import time
from collections.abc import Iterable
from functools import reduce

from ingest_ray.cli.format import format_bytes, format_count, format_duration
from ingest_ray.engine.reports import ComparisonProgress
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RowCounts

LINE_EVERY_S = 5.0  # plain lines: often enough to show that the run moves, rare enough for a log file
FIRST_LINE_S = 1.0  # the first line with rows follows soon


class ProgressLines:
    """A line when the phase of a unit changes, a second later, and every few seconds."""

    def __init__(self) -> None:
        self._last_line: dict[str, tuple[str, float, float]] = {}

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        phase, at, pause_s = self._last_line.get(progress.run_id, ("", 0.0, 0.0))
        if phase == progress.phase and now - at < pause_s:
            return
        pause_s = LINE_EVERY_S if phase == progress.phase else FIRST_LINE_S
        self._last_line[progress.run_id] = (progress.phase, now, pause_s)
        text = "" if progress.phase == "planning" and not progress.waiting else f": {progress_text(progress)}"
        print(f"{progress.ref} {progress.phase}{text}", file=sys.stderr, flush=True)


def progress_text(progress: Progress) -> str:
    """`1.4 M read, 1.2 M rows committed  310 k/s  96 MiB  ETA 0:42`; what was read and is not committed yet is named by itself."""
    if progress.phase == "planning":
        return progress.waiting or "planning"
    parts = [rows_text([progress.rows], is_done=progress.phase == "done")]
    rate = progress.rows.committed / progress.seconds if progress.seconds > 0 else 0.0
    if rate:
        parts.append(f"{format_count(rate)}/s")
    if progress.bytes_staged:
        parts.append(format_bytes(progress.bytes_staged))
    rows_left = (progress.estimated_rows or 0) - progress.rows.committed
    if progress.phase != "done" and rate and rows_left > 0:
        parts.append(f"ETA {format_duration(rows_left / rate)}")
    if progress.waiting:
        parts.append(progress.waiting)
    return "  ".join(parts)


def rows_text(counts: Iterable[RowCounts], *, is_done: bool = False) -> str:
    """`1.4 M read, 1.3 M staged, 1.2 M rows committed, 7 in quarantine`."""
    rows = reduce(RowCounts.plus, counts, RowCounts())
    is_ahead = rows.read > rows.committed and not is_done
    ahead = f"{format_count(rows.read)} read, {format_count(rows.staged)} staged, " if is_ahead else ""
    quarantined = f", {format_count(rows.quarantined)} in quarantine" if rows.quarantined else ""
    return f"{ahead}{format_count(rows.committed)} rows{' committed' if ahead else ''}{quarantined}"


class ComparisonLines:
    """A line at the end of each step of a comparison, and every few seconds."""

    def __init__(self) -> None:
        self._last: tuple[UnitRef | None, str, float] = (None, "", 0.0)

    def show(self, unit: UnitRef, progress: ComparisonProgress) -> None:
        known, step, at = self._last
        is_done = bool(progress.blocks) and progress.blocks_done == progress.blocks
        if (known, step) == (unit, progress.step) and time.monotonic() - at < LINE_EVERY_S and not is_done:
            return
        self._last = (unit, progress.step, time.monotonic())
        parts = [f"{format_count(progress.rows)} rows"]
        if progress.seconds > 0:
            parts.append(f"{format_count(progress.rows / progress.seconds)}/s")
        if progress.blocks > 1:
            parts.append(f"block {progress.blocks_done} of {progress.blocks}")
        print(f"{unit} {progress.step}: {'  '.join(parts)}", file=sys.stderr, flush=True)
