"""The log of a unit in run mode CHANGES, around the attempts of its run.

open       before an attempt: the source keeps its log from here on; what the checkpoint has may go
advance    after a round: what is durably in the sink and folded may go, and nothing else
"""

import logging
import time
from collections.abc import Mapping

from ingest_ray.engine.steps.unit_layout import opened_spec
from ingest_ray.kv import open_state
from ingest_ray.kv.keys import unit_of
from ingest_ray.process.failpoints import reached
from ingest_ray.registry import strategy_for
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.sdk.contracts import KV, ChangeLog, LogReader, capability
from ingest_ray.sdk.errors import IngestError, LogGone
from ingest_ray.sdk.types import RunState, SegmentState
from ingest_ray.state import read_log_readers, read_states

log = logging.getLogger(__name__)

STOP_CHECK_S = 0.2  # how long a stop of a run that waits for changes takes


def open_log(context: RunContext, known: Mapping[str, SegmentState], *, is_dropped: bool = False) -> None:
    """Does nothing for units of other run modes. `is_dropped`: the log was given up. Raises what `ChangeLog.open_log` raises."""
    if not _reads_log(context):
        return
    if is_dropped:
        raise LogGone(
            f"{context.order.spec.unit_id}: the log is gone: `ingest-ray changes drop` gave it up for this unit",
            hint="`ingest-ray reset` the unit, then run: it is loaded again, and goes on from there",
        )
    source = _log_of(context)
    context.retry(lambda: source.open_log(opened_spec(context.order), known))
    reached("log:after-open")


def advance_log(context: RunContext, result: AttemptResult) -> AttemptResult:
    """The result of a round, after the log was moved on; where that fails, the next round does it."""
    if not _reads_log(context) or result.state is RunState.FAILED:
        return result
    reached("log:before-advance")
    try:
        kv = open_state(context.order.settings)
        known = read_states(kv, context.unit_key).segments
        _log_of(context).advance_log(opened_spec(context.order), known, lambda: readers_of(kv, context.unit_key))
    except IngestError as error:
        log.warning("the log could not be moved on to the checkpoint: %s", error)
    reached("log:after-advance")
    return result


def readers_of(kv: KV, unit_key: str) -> list[LogReader]:
    """All units of the endpoint that need its log, this one among them."""
    names = unit_of(unit_key)
    assert names is not None
    reached("log:before-move")
    return read_log_readers(kv, names[0], names[1])


class LogRounds:
    """The rounds of a run, which reads as far as the log reached when the first round after the load was planned. How much one round reads is
    not known before: it may end where a part ends that another unit has read."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._end: int | None = None
        self._upper: int | None = None

    def has_more(self, result: AttemptResult) -> bool:
        plan_summary = self._context.reporter.plan_summary
        if not _reads_log(self._context) or result.state is not RunState.SUCCEEDED or plan_summary is None:
            return False
        if self._context.is_stopping():
            return False
        if plan_summary.is_load:
            return True
        return self._goes_on(plan_summary.log_end, plan_summary.log_upper) or self._follows()

    def _goes_on(self, end: int | None, upper: int | None) -> bool:
        """Not where a round read nothing, or another server's log."""
        before, self._upper = self._upper, upper
        self._end = end if self._end is None else self._end
        if upper is None or self._end is None:
            return False
        return upper < self._end and (before is None or before < upper)

    def _follows(self) -> bool:
        """Waits for the next round of a run that follows the log; False where it ends."""
        pause_s = self._context.order.follow_s
        if pause_s is None:
            return False
        self._end = self._upper = None
        self._context.reporter.report("planning")
        deadline = time.monotonic() + pause_s
        while time.monotonic() < deadline and not self._context.is_stopping():
            time.sleep(min(STOP_CHECK_S, pause_s))
        return not self._context.is_stopping()


def _reads_log(context: RunContext) -> bool:
    return context.order.spec.reads_log and context.order.task == "ingest"


def _log_of(context: RunContext) -> ChangeLog:
    return capability(strategy_for(context.order.spec.endpoint.template), ChangeLog)


__all__ = ["LogRounds", "advance_log", "open_log", "readers_of"]
