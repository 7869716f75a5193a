"""What has to be read of a segment that has a time of change, given what is committed. Pure.

First run: everything up to the horizon is one advance, so there is no separate load. Then: what is unfinished, the next
advance, the look-back below it, and what lies above the horizon. All boundaries are epoch milliseconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState

MINUTE_MS = 60_000
Window = tuple[str, Interval]
"""A segment, and what of it."""


@dataclass(frozen=True)
class SegmentLook:
    """What search says about one segment. Counts may be approximate; they decide where to cut, not what is read."""

    key: str
    state: SegmentState
    lower_ms: int | None = None
    """Where the next advance begins."""
    total: int = 0
    new: int = 0
    again: int = 0
    ahead: int = 0

    @property
    def rows(self) -> int:
        return self.new + self.again + self.ahead


@dataclass(frozen=True)
class Course:
    """How far a run goes: up to the horizon, and back again by the look-back."""

    axis: Axis
    horizon_ms: int
    lookback_ms: int


def minute(ms: int) -> int:
    """The minute that an instant is in: search may cut instants to that, so all boundaries are whole minutes."""
    return ms // MINUTE_MS * MINUTE_MS


def next_lower(state: SegmentState) -> int | None:
    """The end of everything that was planned before."""
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    position = advances[-1].target.upper if advances else state.watermark
    return int(position[0]) if position is not None else None


def counted(
    key: str, state: SegmentState, course: Course, start_ms: int | None, count: Callable[[Interval], int]
) -> SegmentLook:
    """One count where nothing has changed, at most three. `start_ms`: nothing below it is wanted."""
    lower, horizon = next_lower(state), (course.horizon_ms,)
    if lower is None:
        total = count(Interval(lower=(start_ms,) if start_ms is not None else None))
        if not total:
            return SegmentLook(key, state)
        ahead = count(Interval(lower=horizon))
        return SegmentLook(key, state, start_ms, total=total, new=total - min(total, ahead), ahead=ahead)
    window_start = (lower - course.lookback_ms,)
    total = count(Interval(lower=window_start))
    if not total:
        return SegmentLook(key, state, lower)
    again = count(Interval(lower=window_start, upper=(lower,)))
    ahead = count(Interval(lower=horizon)) if total > again else 0
    return SegmentLook(key, state, lower, total, max(0, total - again - ahead), again, ahead)


def quiet(
    known: Mapping[str, SegmentState], course: Course, together: int, count: Callable[[Sequence[Window]], int]
) -> set[str]:
    """The segments in whose window there is nothing, by one count for `together` of them. Of the rest nothing is said: not all of
    those that are counted together have to have something, and one that was never read has no window."""
    windows = [
        (key, Interval(lower=(lower - course.lookback_ms,)))
        for key, state in known.items()
        if (lower := next_lower(state)) is not None
    ]
    found: set[str] = set()
    for start in range(0, len(windows), together):
        group = windows[start : start + together]
        if len(group) > 1 and not count(group):
            found.update(key for key, _ in group)
    return found


def since(course: Course, segment: SegmentLook) -> Iterator[Scope]:
    yield from (scope for scope in segment.state.scopes if scope.effect is Effect.ADVANCE)
    lower = (segment.lower_ms,) if segment.lower_ms is not None else None
    if segment.total and (segment.lower_ms is None or segment.lower_ms < course.horizon_ms):
        # Even where nothing is new: the watermark moves on, and the look-back of the next runs with it.
        yield Scope(
            scope_id=f"since-{'start' if lower is None else lower[0]}",
            segment=segment.key,
            axis=course.axis,
            target=Interval(lower=lower, upper=(course.horizon_ms,)),
            effect=Effect.ADVANCE,
            horizon=(course.horizon_ms,),
            estimated_rows=segment.new,
        )
    yield from again(course, segment)
    if segment.ahead:
        yield Scope(
            scope_id="ahead",
            segment=segment.key,
            axis=course.axis,
            target=Interval(lower=(course.horizon_ms,)),
            effect=Effect.AHEAD,
            estimated_rows=segment.ahead,
        )


def again(course: Course, segment: SegmentLook) -> Iterator[Scope]:
    """Look-backs that are owed, but for those inside of the new one; then the new one."""
    lower_ms = next_lower(segment.state)
    new: Interval | None = None
    if segment.again and lower_ms is not None:
        new = Interval(lower=(lower_ms - course.lookback_ms,), upper=(lower_ms,))
    for scope in segment.state.scopes:
        if scope.effect is Effect.REPEAT and (new is None or not is_inside(scope.target, new)):
            yield scope
    if new is not None and new.lower is not None and new.upper is not None:
        yield Scope(
            scope_id=f"again-{new.lower[0]}-{new.upper[0]}",
            segment=segment.key,
            axis=course.axis,
            target=new,
            effect=Effect.REPEAT,
            estimated_rows=segment.again,
        )


def is_inside(small: Interval, large: Interval) -> bool:
    """Whole numbers; both ends are given."""
    bounds = (small.lower, large.lower, small.upper, large.upper)
    if any(bound is None for bound in bounds):
        return False
    low, large_low, high, large_high = (int(bound[0]) for bound in bounds if bound is not None)
    return large_low <= low and high <= large_high


def between(name: str, axis: Axis, segments: list[str], lower: str | None, upper: str | None) -> Iterator[Scope]:
    """A person's own interval: read again, and nothing is remembered. Its ends are widened to whole minutes."""
    low, high = moment_ms(name, lower), moment_ms(name, upper)
    ends = (minute(low),) if low is not None else None, (-minute(-high),) if high is not None else None
    for segment in segments:
        yield Scope(
            scope_id="between",
            segment=segment,
            axis=axis,
            target=Interval(lower=ends[0], upper=ends[1]),
            effect=Effect.AHEAD,
        )


def moment_ms(name: str, text: str | None) -> int | None:
    """ISO 8601, in UTC where it names no zone, or epoch milliseconds."""
    if text is None:
        return None
    if text.lstrip("-").isdecimal():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name}: '{text}' is no time", hint="such as 2026-03-01T00:00:00Z") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
