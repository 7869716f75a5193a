"""Where the changes of a unit begin and go on by its checkpoint, whichever database it is."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Interval, LogHistory, Position, Scope, SegmentState, UnitSpec
from ingest_strategies.jdbc.planning.probe import SEGMENT
from ingest_strategies.jdbc.planning.scopes import unused_id

AXIS = Axis(kind="log")
T = TypeVar("T")


def begun_position(state: SegmentState | None, spec: UnitSpec, parse: Callable[[Position], T]) -> T | None:
    """The position from which on changes are needed; None where no load began. `parse` raises `ValueError` for a position of no log.

    Raises:
        ConfigError: the checkpoint was made in another run mode.
    """
    if state is None:
        return None
    loads = [scope for scope in state.scopes if scope.effect is Effect.LOAD]
    position = loads[0].horizon if loads else state.watermark
    if position is None and not state.is_loaded:
        return None
    try:
        return parse(position or ())
    except ValueError:
        raise ConfigError(
            f"{spec.unit_id}: the checkpoint was made in another run mode, and has no position in the log",
            hint="`ingest-ray reset` the unit, then run: it is loaded again",
        ) from None


def history_of(state: SegmentState | None) -> LogHistory | None:
    """Of the log that `begun_position` is of; None where it is not known."""
    loads = [scope for scope in state.scopes if scope.effect is Effect.LOAD] if state is not None else []
    return loads[0].history if loads else state.history if state is not None else None


def unfinished_advances(state: SegmentState) -> list[Scope]:
    """What an earlier run planned and did not end."""
    return [scope for scope in state.scopes if scope.effect is Effect.ADVANCE]


def log_scopes(
    state: SegmentState,
    lower: Position,
    upper: Position,
    *,
    has_changes: bool,
    is_kept: Callable[[Scope], bool] = lambda scope: True,
) -> Sequence[Scope]:
    """The next interval of the log, once what was planned before is done. `is_kept`: whether the log still has what was planned; else it
    is planned again, because none of it is done."""
    unfinished = [scope for scope in unfinished_advances(state) if scope.done or is_kept(scope)]
    if unfinished or not has_changes:
        return unfinished
    name = unused_id("log", state.sequence + 1, {scope.scope_id for scope in state.scopes})
    target = Interval(lower=lower, upper=upper)
    return [Scope(scope_id=name, segment=SEGMENT, axis=AXIS, effect=Effect.ADVANCE, target=target, horizon=upper)]
