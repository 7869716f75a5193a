"""Before the first slice: settles the intent of the last run, and records the scopes that this run will read."""

import logging
from collections.abc import Sequence

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_writer import UnitWriter
from ingest_ray.sdk.errors import Fenced
from ingest_ray.sdk.types import Effect, RunMode, Scope
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)


def open_sink_for(state: StateWriter, unit_writer: UnitWriter) -> int:
    """Opens the target under the run's epoch and settles an intent that an older run left; returns the sink's last number.

    After the state was lost (a new home, a restored backup), the sink may have a newer epoch than the state. The run then
    takes an epoch above it. That is safe because an empty state has no owner that could still be running.

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
    """Records the planned scopes, and decides once, when a generation begins, whether a load may insert without a merge.

    The scopes of a backfill and of a replay are not recorded, so the recorded ones stay as they are.
    """
    if order.task != "ingest":
        return tuple(planned)
    may_insert = any(scope.effect is Effect.LOAD and scope.is_insert_only for scope in planned)
    cursor = order.spec.policy.cursor if order.spec.config.run_mode is RunMode.INCREMENTAL else None
    return state.open_scopes(
        planned, is_target_empty=may_insert and _is_target_empty(state, unit_writer), cursor=cursor
    )


def _is_target_empty(state: StateWriter, unit_writer: UnitWriter) -> bool:
    """Opens the sink first, which fences older epochs: otherwise a late commit of an older run could land after the check."""
    open_sink_for(state, unit_writer)
    return unit_writer.is_empty()
