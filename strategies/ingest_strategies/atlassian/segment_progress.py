"""Which scopes to read of a segment that has a time of change, given what is committed. Pure.

The first run reads everything up to the horizon as one advance, so there is no separate load. A later run reads unfinished scopes,
the next advance, the look-back below it, and what lies above the horizon. All boundaries are epoch milliseconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState

MINUTE_MS = 60_000
SegmentWindow = tuple[str, Interval]
"""A segment's key, and an interval of its cursor."""


@dataclass(frozen=True)
class SegmentCounts:
    """Search's counts of one segment. They may be approximate: they decide where to cut, not what is read."""

    key: str
    state: SegmentState
    lower_ms: int | None = None
    """Where the next advance begins."""
    total: int = 0
    new: int = 0
    lookback: int = 0
    ahead: int = 0
    """Above the horizon."""

    @property
    def rows(self) -> int:
        return self.new + self.lookback + self.ahead


@dataclass(frozen=True)
class RunBounds:
    """How far a run reads: up to the horizon, and back by the look-back."""

    axis: Axis
    horizon_ms: int
    lookback_ms: int


def whole_minute(ms: int) -> int:
    """The minute that an instant is in. Search may truncate instants to minutes, so all boundaries are whole minutes."""
    return ms // MINUTE_MS * MINUTE_MS


def next_lower_ms(state: SegmentState) -> int | None:
    """The end of everything that was planned before."""
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    position = advances[-1].target.upper if advances else state.watermark
    return int(position[0]) if position is not None else None


def count_segment(
    key: str, state: SegmentState, bounds: RunBounds, start_ms: int | None, count: Callable[[Interval], int]
) -> SegmentCounts:
    """Counts once where nothing has changed, at most three times. A first run reads from `start_ms` on."""
    lower, horizon = next_lower_ms(state), (bounds.horizon_ms,)
    if lower is None:
        total = count(Interval(lower=(start_ms,) if start_ms is not None else None))
        if not total:
            return SegmentCounts(key, state)
        ahead = count(Interval(lower=horizon))
        return SegmentCounts(key, state, start_ms, total=total, new=total - min(total, ahead), ahead=ahead)
    window_start = (lower - bounds.lookback_ms,)
    total = count(Interval(lower=window_start))
    if not total:
        return SegmentCounts(key, state, lower)
    lookback = count(Interval(lower=window_start, upper=(lower,)))
    ahead = count(Interval(lower=horizon)) if total > lookback else 0
    return SegmentCounts(key, state, lower, total, max(0, total - lookback - ahead), lookback, ahead)


def find_unchanged(
    known: Mapping[str, SegmentState],
    bounds: RunBounds,
    group_size: int,
    count: Callable[[Sequence[SegmentWindow]], int],
) -> set[str]:
    """The segments whose window is empty, found by one count per group of `group_size`.

    A segment that is not returned may be unchanged, too: its group as a whole has changes, or it was never read and has no window.
    """
    windows = [
        (key, Interval(lower=(lower - bounds.lookback_ms,)))
        for key, state in known.items()
        if (lower := next_lower_ms(state)) is not None
    ]
    unchanged: set[str] = set()
    for start in range(0, len(windows), group_size):
        group = windows[start : start + group_size]
        if len(group) > 1 and not count(group):
            unchanged.update(key for key, _ in group)
    return unchanged


def incremental_scopes(bounds: RunBounds, counts: SegmentCounts) -> Iterator[Scope]:
    """Unfinished advances, the next advance, the look-back, and the interval above the horizon."""
    yield from (scope for scope in counts.state.scopes if scope.effect is Effect.ADVANCE)
    lower_ms = counts.lower_ms
    if counts.total and (lower_ms is None or lower_ms < bounds.horizon_ms):
        # Even where nothing is new: the watermark moves on, and the look-back of the next run moves with it.
        yield advance_scope(bounds, counts.key, lower_ms, counts.new)
    yield from lookback_scopes(bounds, counts)
    if counts.ahead:
        yield Scope(
            scope_id="ahead",
            segment=counts.key,
            axis=bounds.axis,
            target=Interval(lower=(bounds.horizon_ms,)),
            effect=Effect.AHEAD,
            estimated_rows=counts.ahead,
        )


def advance_scope(bounds: RunBounds, segment: str, lower_ms: int | None, rows: int | None) -> Scope:
    """Everything from the end of the last advance up to the horizon."""
    return Scope(
        scope_id=f"since-{'start' if lower_ms is None else lower_ms}",
        segment=segment,
        axis=bounds.axis,
        target=Interval(lower=None if lower_ms is None else (lower_ms,), upper=(bounds.horizon_ms,)),
        effect=Effect.ADVANCE,
        horizon=(bounds.horizon_ms,),
        estimated_rows=rows,
    )


def lookback_scopes(bounds: RunBounds, counts: SegmentCounts) -> Iterator[Scope]:
    """Unfinished look-backs, except those inside the new one; then the new one."""
    lower_ms = next_lower_ms(counts.state)
    new: Interval | None = None
    if counts.lookback and lower_ms is not None:
        new = Interval(lower=(lower_ms - bounds.lookback_ms,), upper=(lower_ms,))
    for scope in counts.state.scopes:
        if scope.effect is Effect.REPEAT and (new is None or not is_inside(scope.target, new)):
            yield scope
    if new is not None and new.lower is not None and new.upper is not None:
        yield Scope(
            scope_id=f"again-{new.lower[0]}-{new.upper[0]}",
            segment=counts.key,
            axis=bounds.axis,
            target=new,
            effect=Effect.REPEAT,
            estimated_rows=counts.lookback,
        )


def is_inside(small: Interval, large: Interval) -> bool:
    """For intervals of whole numbers; False where an end is open."""
    bounds = (small.lower, large.lower, small.upper, large.upper)
    if any(bound is None for bound in bounds):
        return False
    low, large_low, high, large_high = (int(bound[0]) for bound in bounds if bound is not None)
    return large_low <= low and high <= large_high


def load_scopes(segment: str, axis: Axis, rows: int) -> Iterator[Scope]:
    """The load of a segment in a FULL run; none of an empty one."""
    if rows:
        yield Scope(
            scope_id="load",
            segment=segment,
            axis=axis,
            effect=Effect.LOAD,
            is_resumable=False,
            estimated_rows=rows,
        )


def interval_scopes(
    name: str, axis: Axis, segments: list[str], lower: str | None, upper: str | None
) -> Iterator[Scope]:
    """Scopes of an interval that a person chose: read again, without effect on progress. Its ends are widened to whole minutes."""
    low, high = bound_ms(name, lower), bound_ms(name, upper)
    target = Interval(
        lower=(whole_minute(low),) if low is not None else None,
        upper=(-whole_minute(-high),) if high is not None else None,
    )
    for segment in segments:
        yield Scope(scope_id="between", segment=segment, axis=axis, target=target, effect=Effect.AHEAD)


def bound_ms(name: str, text: str | None) -> int | None:
    """ISO 8601, in UTC where it names no zone, or epoch milliseconds."""
    if text is None:
        return None
    if text.lstrip("-").isdecimal():
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name}: '{text}' is no time", hint="such as 2026-03-01T00:00:00Z") from None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
