"""Cuts a gap of time into windows that hold at most a slice's worth of items, as search counts them.

Counted windows are cut into equal parts until they are small enough; small neighbours are joined again. All counts of one
round are asked for at once. A minute is never cut: search may know no finer time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ingest_ray.models import Interval, Position
from strategies.atlassian.progress import MINUTE_MS, minute
from strategies.atlassian.web import SiteWeb

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
        minutes = (whole.upper_ms - whole.lower_ms) // MINUTE_MS
        if whole.items <= self.most or minutes <= 1:
            yield whole
            return
        parts = min(minutes, MOST_PARTS, 2 * (whole.items // self.most + 1))
        ends = [whole.lower_ms + MINUTE_MS * (minutes * number // parts) for number in range(parts)] + [whole.upper_ms]

        def looked(pair: tuple[int, int]) -> Window:
            low, high = pair
            return Window(low, high, self.count(Interval(lower=(low,), upper=(high,))))

        for part in list(self.web.spread(looked, pairwise(ends))):
            yield from self._parts(part)
