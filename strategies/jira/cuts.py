"""Cuts one gap into windows that hold at most a slice's worth of issues.

`updated`: counted windows, cut into equal parts until they are small enough; small neighbours are joined again. All counts
of one round are asked for at once. A minute is never cut: search may know no finer time.
`id`: every so many numbers of the list that Jira gives in order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ingest_ray.models import Effect, Interval, Piece, Position, Scope, UnitSpec
from strategies.jira.filters import filter_of
from strategies.jira.jql import BY_UPDATED, window
from strategies.jira.look import MINUTE_MS, Look, minute, row_bytes, slice_issues
from strategies.jira.scopes import CURSOR, KEY

MOST_PARTS = 8  # of one round: issues are unevenly spread, so more would be wasted on empty years


@dataclass(frozen=True)
class Window:
    lower_ms: int
    upper_ms: int
    issues: int


def pieces(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[Piece]:
    match scope.axis:
        case axis if axis == KEY:
            cuts = by_numbers(look, spec, scope, gap)
        case axis if axis == CURSOR:
            cuts = by_counts(look, spec, scope, gap)
        case _:
            yield Piece(interval=gap, estimated_rows=scope.estimated_rows)
            return
    lower = gap.lower
    for upper, issues in cuts:
        yield piece(spec, Interval(lower=lower, upper=upper), issues)
        lower = upper


def piece(spec: UnitSpec, interval: Interval, issues: int) -> Piece:
    return Piece(
        interval=interval,
        estimated_rows=issues,
        estimated_bytes=int(issues * row_bytes(spec)),
        hints={"issues": issues},
    )


def by_numbers(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[tuple[Position | None, int]]:
    most = slice_issues(spec, look)
    held: list[int] = []
    conditions = [*look.conditions, *started_from(spec)]
    for page in look.api.ids(window(scope.segment, "id", gap, conditions)):
        held += page
        while len(held) > most:
            yield (held[most],), most
            held = held[most:]
    yield gap.upper, len(held)


def started_from(spec: UnitSpec) -> list[str]:
    start = filter_of(spec).updated_from_ms
    return [f"{BY_UPDATED} >= {minute(start)}"] if start is not None else []


def by_counts(look: Look, spec: UnitSpec, scope: Scope, gap: Interval) -> Iterator[tuple[Position | None, int]]:
    """Ends of windows and how many issues are in each. The last one is the gap's own end, even where that is open."""
    most = slice_issues(spec, look)
    whole = bounded(look, scope, gap)
    if whole is None:
        yield gap.upper, 0
        return
    held: Window | None = None
    for found in halved(look, scope, whole, most):
        if held is not None and held.issues + found.issues > most:
            yield (held.upper_ms,), held.issues
            held = None
        held = Window(held.lower_ms, found.upper_ms, held.issues + found.issues) if held else found
    yield gap.upper, held.issues if held else 0


def bounded(look: Look, scope: Scope, gap: Interval) -> Window | None:
    """A gap with two ends, and its count; None where nothing is in it."""
    where = window(scope.segment, BY_UPDATED, gap, look.conditions)
    issues = look.api.count(where)
    if issues <= slice_issues(look.spec, look) and scope.effect is not Effect.LOAD:
        low = int(gap.lower[0]) if gap.lower else 0
        return Window(low, int(gap.upper[0]) if gap.upper else low + MINUTE_MS, issues)
    first = int(gap.lower[0]) if gap.lower else look.api.edge(where, BY_UPDATED)
    last = int(gap.upper[0]) if gap.upper else look.api.edge(where, BY_UPDATED, last=True)
    if first is None or last is None:
        return None
    return Window(minute(first), max(minute(last - 1) + MINUTE_MS, minute(first) + MINUTE_MS), issues)


def halved(look: Look, scope: Scope, whole: Window, most: int) -> Iterator[Window]:
    """The window itself where it is small enough, else its parts, in order."""
    minutes = (whole.upper_ms - whole.lower_ms) // MINUTE_MS
    if whole.issues <= most or minutes <= 1:
        yield whole
        return
    parts = min(minutes, MOST_PARTS, 2 * (whole.issues // most + 1))
    ends = [whole.lower_ms + MINUTE_MS * (minutes * number // parts) for number in range(parts)] + [whole.upper_ms]
    yield from _rounds(look, scope, ends, most)


def _rounds(look: Look, scope: Scope, ends: list[int], most: int) -> Iterator[Window]:
    def counted(pair: tuple[int, int]) -> Window:
        low, high = pair
        inside = Interval(lower=(low,), upper=(high,))
        return Window(low, high, look.api.count(window(scope.segment, BY_UPDATED, inside, look.conditions)))

    for part in list(look.api.web.spread(counted, pairwise(ends))):
        yield from halved(look, scope, part, most)
