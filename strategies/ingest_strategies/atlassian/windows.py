"""Cuts a gap of time into windows that hold at most a slice's worth of items, as search counts them.

Counted windows are cut into equal parts until they are small enough; small neighbours are joined again. All counts of one
round are asked for at once, and those of the next round of all its parts. A minute is never cut: search may know no finer time.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from ingest_ray.sdk.types import Interval, Position
from ingest_strategies.atlassian.segment_progress import MINUTE_MS, minute
from ingest_strategies.atlassian.site_client import SiteWeb

MOST_PARTS = 8  # of one round: items are unevenly spread, so more would be wasted on empty years


@dataclass(frozen=True)
class Window:
    lower_ms: int
    upper_ms: int
    items: int


@dataclass(frozen=True)
class Counted:
    """How a segment is counted. `first` and `last` give the instants of the ends of an open gap; None: nothing is there.

    `has_ends`: whether the ends are always looked for, or only where the gap is too large for one slice.
    """

    web: SiteWeb[Any]
    count: Callable[[Interval], int]
    first: Callable[[Interval], int | None]
    last: Callable[[Interval], int | None]
    most: int
    has_ends: bool = False

    def windows(self, gap: Interval) -> Iterator[tuple[Position | None, int]]:
        """Ends of windows and how many items are in each. The last one is the gap's own end, even where that is open."""
        whole = self._bounded(gap)
        if whole is None:
            yield gap.upper, 0
            return
        held: Window | None = None
        for found in self._parts(whole):
            if held is not None and held.items + found.items > self.most:
                yield (held.upper_ms,), held.items
                held = None
            held = Window(held.lower_ms, found.upper_ms, held.items + found.items) if held else found
        yield gap.upper, held.items if held else 0

    def _bounded(self, gap: Interval) -> Window | None:
        """A gap with two ends, and its count; None where nothing is in it."""
        items = self.count(gap)
        if items <= self.most and not self.has_ends:
            low = int(gap.lower[0]) if gap.lower else 0
            return Window(low, int(gap.upper[0]) if gap.upper else low + MINUTE_MS, items)
        first = int(gap.lower[0]) if gap.lower else self.first(gap)
        last = int(gap.upper[0]) if gap.upper else self.last(gap)
        if first is None or last is None:
            return None
        return Window(minute(first), max(minute(last - 1) + MINUTE_MS, minute(first) + MINUTE_MS), items)

    def _parts(self, whole: Window) -> Iterator[Window]:
        """The window itself where it is small enough, else its parts, in order."""
        if self._is_small(whole):
            yield whole
            return
        yield from self._cut(self._looked(whole))

    def _cut(self, counts: list[Future[Window]]) -> Iterator[Window]:
        """The counts inside of all parts that are too large are under way before the first of them is cut again."""
        deeper: list[list[Future[Window]]] = []
        try:
            parts = [count.result() for count in counts]
            deeper = [[] if self._is_small(part) else self._looked(part) for part in parts]
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

    def _looked(self, whole: Window) -> list[Future[Window]]:
        """Its equal parts, being counted."""
        minutes = (whole.upper_ms - whole.lower_ms) // MINUTE_MS
        parts = min(minutes, MOST_PARTS, 2 * (whole.items // self.most + 1))
        ends = [whole.lower_ms + MINUTE_MS * (minutes * number // parts) for number in range(parts)] + [whole.upper_ms]
        return [self.web.pool.submit(self._counted, low, high) for low, high in pairwise(ends)]

    def _counted(self, low: int, high: int) -> Window:
        return Window(low, high, self.count(Interval(lower=(low,), upper=(high,))))
