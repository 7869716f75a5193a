"""One run of one unit: attempts from the checkpoint until one of them is final.

    quick check    an unchanged unit ends here: one request, no lease, no snapshot
    lease, state   the unit gets an owner; what the last run left is settled
    plan           probe the source, then decide where to run
    attempt        inline or on Ray: the coordinator drives the ledger

An inline attempt whose plan of unknown size is larger than `ray.inline_below` goes on on Ray, from its checkpoint.
A run that lost its planner, its state process, or the source while it planned begins again from its checkpoint, as after a
crash, at most `RESTARTS` times; one whose snapshot was lost, at most `LOST_SNAPSHOTS` times.
"""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from ingest_ray.core.messages import Fault
from ingest_ray.engine.masking.layout import layout_of, refuse_other_layout
from ingest_ray.engine.steps.recovery import check_sink, open_sink_for
from ingest_ray.engine.steps.unit_layout import followed_cursor
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.quarantine.rejected_rows import delete_rejected_rows
from ingest_ray.run.change_log import LogRounds, advance_log, open_log
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.run.inline_attempt import run_inline
from ingest_ray.run.placed_plan import in_driver, on_cluster, plan_unit
from ingest_ray.run.placement import skips_local_probe
from ingest_ray.run.staging_area import staging_for
from ingest_ray.run.start_retry import RunStopped, retry_unavailable
from ingest_ray.run.unchanged import summarize_unchanged
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import Fenced, IngestError, Recovery, SinkError, SourceError, StateUnavailable
from ingest_ray.sdk.types import RunState, RunSummary, SegmentState
from ingest_ray.secrets.locations import sink_location
from ingest_ray.state import read_states
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)

RESTARTS = 3  # of one run, after it lost a process or its plan
LOST_SNAPSHOTS = 10  # of one run: each may be one more ALTER TABLE of a migration


class Run:
    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._order = context.order
        self._reporter = context.reporter
        self._is_outgrown = False

    def execute(self) -> RunSummary:
        """Runs the unit to its end and returns what it did.

        Raises:
            RunActive: the unit has a live run.
            StateUnreadable: the unit's checkpoint cannot be read.
        """
        result = self._run_until_final()
        if self._order.task == "replay" and result.state is RunState.SUCCEEDED:
            for uri in self._reporter.replayed_files:
                delete_rejected_rows(uri)
        segments = self._read_segments()
        location = writer_for(self._order, staging_for(self._order)).location
        summary = self._reporter.summary(result.state, result.fault, segments, location)
        self._reporter.report("done")
        return summary

    def _read_segments(self) -> Mapping[str, SegmentState]:
        """Without what the store has, where it is away: the run has ended as it has ended."""
        kv, key = open_state(self._order.settings), self._context.unit_key
        try:
            return self._context.retry(lambda: read_states(kv, key).segments)
        except (StateUnavailable, RunStopped) as error:
            log.warning("run %s: its watermarks are not in its summary: %s", self._order.run_id, error)
            return {}

    def _run_until_final(self) -> AttemptResult:
        """A unit whose changes are read from a log has several rounds, of which each is a run from the checkpoint to its end."""
        rounds = LogRounds(self._context)
        while True:
            result = self._run_round()
            if not rounds.has_more(result):
                return result

    def _run_round(self) -> AttemptResult:
        self._is_outgrown = False
        result = self._execute_attempt()
        restarts = lost_snapshots = 0
        while (result.is_restartable or result.is_outgrown) and not self._context.is_stopping():
            if result.is_outgrown:
                log.info("run %s is larger than ray.inline_below: it goes on on ray", self._order.run_id)
                self._is_outgrown = True
                result = self._execute_attempt()
                continue
            if result.fault is not None and result.fault.recovery is Recovery.REPLAN:
                lost_snapshots += 1
            else:
                restarts += 1
            if restarts > RESTARTS or lost_snapshots > LOST_SNAPSHOTS:
                break
            reason = f": {result.fault.message}" if result.fault is not None else ""
            log.warning(
                "run %s lost a process or its plan: beginning again from its checkpoint%s", self._order.run_id, reason
            )
            result = self._execute_attempt()
        return advance_log(self._context, result)

    def _execute_attempt(self) -> AttemptResult:
        self._reporter.report("planning")
        with tracing.span("attempt") as span:
            try:
                result = self._check_unchanged() or self._plan_and_run()
            except RunStopped:
                result = AttemptResult(RunState.PAUSED)
            span.set({"ingest.run.state": result.state.value, "ingest.attempt.is_outgrown": result.is_outgrown})
            if result.fault is not None and result.state is RunState.FAILED:
                span.fail(result.fault.code)
        return result

    def _check_unchanged(self) -> AttemptResult | None:
        """The result where the source has nothing new; None where only a probe can tell."""
        context = self._context
        try:
            with tracing.span("quick check"):
                summary = context.retry(lambda: summarize_unchanged(self._order, context.unit_key))
        except (SourceError, SinkError, StateUnavailable) as error:
            return AttemptResult(RunState.FAILED, Fault.of(error))
        if summary is None:
            return None
        self._reporter.note_plan(summary)
        return AttemptResult(RunState.SUCCEEDED)

    def _plan_and_run(self) -> AttemptResult:
        result = None if self._is_outgrown else self._plan_and_run_here(goes_to_ray=False)
        if result is None:
            result = self._context.cluster.in_turn(lambda: self._plan_and_run_here(goes_to_ray=True))
        assert result is not None
        return result

    def _plan_and_run_here(self, *, goes_to_ray: bool) -> AttemptResult | None:
        """Inline, and on a Ray of one machine, under the lease of this process; the control actor of a cluster takes its own lease
        after this one is released. None where the run is for Ray, and another thread uses it."""
        order, context = self._order, self._context
        kv = open_state(order.settings)
        state = context.retry(
            lambda: StateWriter.begin(kv, context.unit_key, order.run_id, this_process(), settings=order.settings)
        )
        state.task = order.task
        with ExitStack() as stack:
            stack.callback(release_lease, state)
            try:
                if order.spec.is_cdm:
                    read_at = context.retry(lambda: state.next_read_at(order.read_at))
                    order = order.model_copy(update={"read_at": read_at})
                    context = replace(context, order=order)
                settle(context, state)
                is_for_ray = goes_to_ray or skips_local_probe(order, is_first=not state.segments)
                if is_for_ray and not context.cluster.is_owner:
                    return None
                placed = plan_unit(context, state, stack, goes_to_ray=is_for_ray)
                if placed.plan_summary is not None and not placed.plan_summary.scopes:
                    state.skip_unchanged(placed.plan_summary.unchanged_until, placed.plan_summary.history)
                    return AttemptResult(RunState.SUCCEEDED)
                if placed.planner is not None and placed.plan_summary is not None:
                    if placed.is_inline:
                        return run_inline(context, state, placed.planner, placed.plan_summary)
                    if placed.cluster is None:
                        return None
                    return in_driver(context, placed.cluster, state, placed.planner, placed.plan_summary)
            except IngestError as error:
                return AttemptResult(RunState.FAILED, Fault.of(error))
        return on_cluster(context, placed.cluster)


def settle(context: RunContext, state: StateWriter) -> None:
    """Before anything is planned: refuses what does not fit the state, and settles what the last run left."""
    order = context.order
    state.refuse_other_cursor(followed_cursor(order.spec))
    state.refuse_other_table(order.spec.config.table)
    location = sink_location(order.sink, order.settings)
    state.refuse_other_location(location)
    if state.segments or state.sequence:
        refuse_other_layout(state.unit.layout, order.spec.config, order.settings)
    else:
        layout_of(order.spec.config, order.settings, creates=True)  # makes the key of masks
    unit_writer = writer_for(order, staging_for(order))
    if state.has_intent:
        context.retry(lambda: open_sink_for(state, unit_writer))
    elif state.sequence:  # also where nothing is planned
        context.retry(lambda: check_sink(state, unit_writer))
    state.note_location(location)
    open_log(context, state.segments, is_dropped=state.unit.is_log_dropped)


def release_lease(state: StateWriter) -> None:
    """A lease that cannot be released expires by itself; the failure must not hide how the run ended."""
    try:
        retry_unavailable(state.end, 1, lambda: False)
    except (StateUnavailable, Fenced) as error:
        log.warning("the lease could not be released, and expires: %s", error.message)
