"""Cuts a gap of time into windows that hold at most one slice's worth of items, as search counts them.

A window that is too large is cut into equal parts until each is small enough; small neighbours are joined again. All counts of one
round run concurrently, and so do those of the next round over all parts. A minute is never cut: search may know no finer time.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from ingest_ray.sdk.types import Interval, Position
from ingest_strategies.atlassian.segment_progress import MINUTE_MS, whole_minute
from ingest_strategies.atlassian.site_client import SiteClient

MOST_PARTS = 8  # of one round: items are unevenly spread, so more would be wasted on empty years


@dataclass(frozen=True)
class Window:
    lower_ms: int
    upper_ms: int
    items: int


@dataclass(frozen=True)
class WindowCutter:
    """Cuts the gaps of one segment. `first` and `last` give the instants of the ends of an open gap; None: the gap is empty.

    `has_ends`: whether the ends are always looked up, or only where the gap is too large for one slice.
    """

    client: SiteClient[Any]
    count: Callable[[Interval], int]
    first: Callable[[Interval], int | None]
    last: Callable[[Interval], int | None]
    most: int
    has_ends: bool = False

    def windows(self, gap: Interval) -> Iterator[tuple[Position | None, int]]:
        """Ends of windows, each with its count of items. The last end is the gap's own, even where that is open."""
        whole = self._bound(gap)
        if whole is None:
            yield gap.upper, 0
            return
        joined: Window | None = None
        for part in self._parts(whole):
            if joined is not None and joined.items + part.items > self.most:
                yield (joined.upper_ms,), joined.items
                joined = None
            joined = Window(joined.lower_ms, part.upper_ms, joined.items + part.items) if joined else part
        yield gap.upper, joined.items if joined else 0

    def _bound(self, gap: Interval) -> Window | None:
        """The gap with two ends, and its count; None where it is empty."""
        items = self.count(gap)
        if items <= self.most and not self.has_ends:
            low = int(gap.lower[0]) if gap.lower else 0
            return Window(low, int(gap.upper[0]) if gap.upper else low + MINUTE_MS, items)
        first = int(gap.lower[0]) if gap.lower else self.first(gap)
        last = int(gap.upper[0]) if gap.upper else self.last(gap)
        if first is None or last is None:
            return None
        lower_ms = whole_minute(first)
        return Window(lower_ms, max(whole_minute(last - 1) + MINUTE_MS, lower_ms + MINUTE_MS), items)

    def _parts(self, whole: Window) -> Iterator[Window]:
        """The window itself where it is small enough, else its parts, in order."""
        if self._is_small(whole):
            yield whole
            return
        yield from self._cut(self._count_parts(whole))

    def _cut(self, counts: list[Future[Window]]) -> Iterator[Window]:
        """Starts the counts inside all parts that are too large before it cuts the first of them again."""
        deeper: list[list[Future[Window]]] = []
        try:
            parts = [count.result() for count in counts]
            deeper = [[] if self._is_small(part) else self._count_parts(part) for part in parts]
            for part, inner in zip(parts, deeper, strict=True):
                if inner:
                    yield from self._cut(inner)
                else:
                    yield part
        finally:
            for count in chain(counts, *deeper):
                count.cancel()

    def _is_small(self, window: Window) -> bool:
        return window.items <= self.most or (window.upper_ms - window.lower_ms) // MINUTE_MS <= 1

    def _count_parts(self, whole: Window) -> list[Future[Window]]:
        """Starts to count equal parts of a window."""
        minutes = (whole.upper_ms - whole.lower_ms) // MINUTE_MS
        parts = min(minutes, MOST_PARTS, 2 * (whole.items // self.most + 1))
        ends = [whole.lower_ms + MINUTE_MS * (minutes * number // parts) for number in range(parts)] + [whole.upper_ms]
        return [self.client.pool.submit(self._count_window, low, high) for low, high in pairwise(ends)]

    def _count_window(self, low: int, high: int) -> Window:
        return Window(low, high, self.count(Interval(lower=(low,), upper=(high,))))
