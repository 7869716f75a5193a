"""The look-back: the part below the planned advances that is read again, because a row can appear there late.

An application may take the time of a row up to the look-back before its transaction begins (`SET @n = NOW(6)`, a clock of its own). Once
a run has seen every transaction that began until `v` (`SourceClock.settled_s`), later rows are not older than `v` minus the look-back. So
the window ends where that is above the watermark: a table at rest is not read again for ever.

A clock that was set back gives later rows older times: as far as it went back, the window begins earlier.
"""

import math
import time
from datetime import UTC, datetime

from ingest_ray.sdk.types import Effect, Interval, Position, SegmentState, SourceClock
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Session
from ingest_strategies.jdbc.planning.wall_times import WESTERNMOST, most_set_forward
from ingest_strategies.jdbc.table_view import TableView
from ingest_strategies.jdbc.values.text_times import moment_of

DEFAULT_LOOKBACK_S = 300  # longer than an application usually takes from its `NOW()` to its first statement
STEP_S = 1.0  # clocks are adjusted in steps of less than this all the time


def read_source_clock(settled_s: float | None, clock_s: float, *, is_own: bool = True) -> SourceClock:
    """`is_own`: the clock is that of the server which is read, and was read just now."""
    return SourceClock(clock_s=clock_s, settled_s=settled_s, ahead_s=clock_s - time.time() if is_own else None)


def since_last_look(clock: SourceClock | None, state: SegmentState) -> SourceClock | None:
    """The clock, with how far it is below the latest that it has shown."""
    if clock is None:
        return None
    known = [look for look in (state.verified, state.advanced, reached_clock(state)) if look is not None]
    latest_s = max((look.clock_s + look.behind_s for look in known), default=0.0)
    return clock.model_copy(update={"behind_s": max(0.0, latest_s - clock.clock_s, set_back_s(state, clock))})


def next_lower(state: SegmentState | None) -> Position | None:
    """Where the next advance begins: the end of the newest planned one, else the watermark."""
    if state is None:
        return None
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    return advances[-1].target.upper if advances else state.watermark


def lookback_window(
    session: Session, view: TableView, state: SegmentState, clock: SourceClock | None
) -> Interval | None:
    """The part below the planned advances that this run reads again; None where there is none."""
    upper = next_lower(state)
    if upper is None:
        return None
    span = remaining_span(view, state, clock)
    if span <= 0:
        return None
    column = view.cursor.columns[0]
    expression = view.dialect.earlier(column, upper[0], span)
    value = session.rows(view.dialect.select_value(view.dialect.position(column, expression)))[0][0]
    return Interval(lower=(view.dialect.decode(column, value),), upper=upper)


def declared_span(view: TableView, state: SegmentState) -> int:
    """The policy's look-back; else the default, where the cursor is a time whose clock the source shows, and rows have a key."""
    lookback = view.spec.policy.lookback
    if lookback is not None:
        return lookback
    has_clock = reached_clock(state) is not None and is_time(view.cursor.columns[0], next_lower(state))
    return DEFAULT_LOOKBACK_S if has_clock and not view.is_append else 0


def remaining_span(view: TableView, state: SegmentState, clock: SourceClock | None) -> int:
    """How far below the planned advances the window reaches, in seconds or units of the counter; 0: not at all."""
    span, upper, column = declared_span(view, state), next_lower(state), view.cursor.columns[0]
    reached = reached_clock(state)
    if not span or upper is None or reached is None or not is_time(column, upper):
        return span
    look = last_look(state) or reached
    # Rows of before the clock was set back can be above its present time, and the watermark with them.
    end = min((reached.settled_s or reached.clock_s) + reached.behind_s, latest_moment(column, upper))
    begin = min(look.settled_s or end, look.clock_s - set_back_s(state, clock))
    rest = span + end - begin
    if column.kind != "timestamptz":
        rest += most_set_forward(moment(begin - span), moment(end)).total_seconds() if rest > 0 else 0
    return max(0, math.ceil(rest))


def set_back_s(state: SegmentState, clock: SourceClock | None) -> float:
    """How far the source's clock was set back since the checkpoint's last look at it: against itself, and against the reader's."""
    look = last_look(state)
    if look is None or clock is None:
        return 0.0
    step = look.clock_s - clock.clock_s
    if look.ahead_s is not None and clock.ahead_s is not None:
        step = max(step, look.ahead_s - clock.ahead_s)
    return step if step > STEP_S else 0.0


def set_back_note(view: TableView, state: SegmentState, clock: SourceClock | None) -> str | None:
    """A warning for a person, where the clock was set back: to before the last look, or by more than readers' clocks differ."""
    step_s, look = set_back_s(state, clock), last_look(state)
    is_behind = look is not None and clock is not None and clock.clock_s < look.clock_s - STEP_S
    if not (is_behind or step_s > DEFAULT_LOOKBACK_S) or not is_time(view.cursor.columns[0], next_lower(state)):
        return None
    covered = (
        "rows are read again from there on"
        if declared_span(view, state)
        else "without a look-back, rows with times that were used before are not read; `ingest-ray verify --repair` finds them"
    )
    return f"the clock of the source was set back by {step_s:.0f} s since the last run: {covered}"


def last_look(state: SegmentState) -> SourceClock | None:
    return state.verified or reached_clock(state)


def reached_clock(state: SegmentState) -> SourceClock | None:
    """The clock that the end of the planned advances was taken from."""
    advances = [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]
    return advances[-1].clock if advances else state.advanced


def is_time(column: AxisColumn, position: Position | None) -> bool:
    """Whether a cursor counts seconds: by its type, or as a text that is a time."""
    is_text_time = column.kind == "text" and position is not None and moment_of(str(position[0])) is not None
    return column.kind in TIME_KINDS or is_text_time


def latest_moment(column: AxisColumn, position: Position) -> float:
    """The latest moment, in seconds since 1970, that a position of time can stand for; infinite where it cannot be read."""
    try:
        value = datetime.fromisoformat(str(position[0]))
    except ValueError:
        return math.inf  # not a date of the calendar: infinity, MySQL's zero
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
        return value.timestamp() + (0.0 if column.kind == "timestamptz" else WESTERNMOST.total_seconds())
    return value.timestamp()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
