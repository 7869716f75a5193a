"""Settling what the last run left, and writing down what this one is about to do, before the first slice."""

import logging
from collections.abc import Sequence

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_writer import UnitWriter
from ingest_ray.sdk.errors import Fenced
from ingest_ray.sdk.types import Effect, RunMode, Scope
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)


def open_sink_for(state: StateWriter, unit_writer: UnitWriter) -> int:
    """Opens the target under the run's epoch and settles an intent that an older run left.

    Where the state was lost (a new home, a restored backup), the sink may know a newer epoch than the state: the run
    then goes on above it. That is safe because a state that knows nothing has no owner that could still be at work.

    Raises:
        Fenced: the state is not new, and the sink has seen a newer epoch.
    """
    try:
        sequence = unit_writer.open(state.epoch)
    except Fenced as error:
        if not state.is_new or error.newer_epoch is None:
            raise
        state.lease.raise_epoch(error.newer_epoch)
        log.warning("state is new, sink has epoch %d: going on as epoch %d", error.newer_epoch, state.epoch)
        sequence = unit_writer.open(state.epoch)
    done = state.recover(sequence)
    if done is not None:
        log.warning("%s", done)
    return sequence


def open_scopes(
    order: RunOrder, state: StateWriter, unit_writer: UnitWriter, planned: Sequence[Scope]
) -> tuple[Scope, ...]:
    """Whether a load may insert without looking is decided here, once, when its generation begins.

    A backfill and a replay remember nothing, so nothing of theirs is written down, and what is stays as it is.
    """
    if order.task != "ingest":
        return tuple(planned)
    may_insert = any(scope.effect is Effect.LOAD and scope.is_insert_only for scope in planned)
    cursor = order.spec.policy.cursor if order.spec.config.run_mode is RunMode.INCREMENTAL else None
    return state.open_scopes(
        planned, is_target_empty=may_insert and _is_surely_empty(state, unit_writer), cursor=cursor
    )


def _is_surely_empty(state: StateWriter, unit_writer: UnitWriter) -> bool:
    """Opened first: a commit of an older run, still on its way, could otherwise land after the look."""
    open_sink_for(state, unit_writer)
    return unit_writer.is_empty()
