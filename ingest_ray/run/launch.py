"""Runs units, one after the other: probe, decide where to run, drive, sum up.

A run that loses its planner, its state process or the source while it plans is begun again from its checkpoint, as after a
crash, a few times.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import Fault, Stage
from ingest_ray.engine.coordinator import Coordinator
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.engine.steps.failures import fault_of
from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.engine.steps.recovery import open_scopes, open_sink_for
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.executors.inline import InlineExecutor
from ingest_ray.executors.threads import ThreadedExecutor
from ingest_ray.kv import open_state
from ingest_ray.kv.keys import connections_key
from ingest_ray.logs import context
from ingest_ray.quarantine.rejected_rows import discard
from ingest_ray.registry import strategy_for
from ingest_ray.run.cluster_lease import ClusterLease, run_on_ray
from ingest_ray.run.limits import limits_of
from ingest_ray.run.placement import inline_readers, is_inline, needs_no_look
from ingest_ray.run.reporter import RunReporter
from ingest_ray.run.source_retry import Stopped, patiently
from ingest_ray.run.staging_area import begin_staging, end_staging, staging_for
from ingest_ray.run.unchanged import unchanged
from ingest_ray.sdk.errors import IngestError, SourceError
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.state import read_states
from ingest_ray.state.connection_share import ConnectionShare
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)

RESTARTS = 3  # of one run, after losing what it cannot do without


@dataclass(frozen=True)
class AttemptResult:
    state: RunState
    fault: Fault | None = None
    is_broken: bool = False
    """The run lost what it cannot do without, and may begin again."""


def launch(
    orders: Iterable[RunOrder], observe: Callable[[Progress], None], stopping: Callable[[], bool]
) -> list[RunSummary]:
    return list(each(orders, observe, stopping))


def each(
    orders: Iterable[RunOrder], observe: Callable[[Progress], None], stopping: Callable[[], bool]
) -> Iterator[RunSummary]:
    """Runs each unit to its end; a unit that fails, or cannot begin, does not keep the others from running.

    The next order is asked for when the summary of the one before was taken.
    """
    with ClusterLease() as cluster:
        for order in orders:
            if not stopping():
                yield run_unit(order, cluster, observe, stopping)


def run_unit(
    order: RunOrder, cluster: ClusterLease, observe: Callable[[Progress], None], stopping: Callable[[], bool]
) -> RunSummary:
    with context(run=order.run_id, endpoint=order.spec.endpoint.endpoint_id, unit=order.spec.unit_id):
        try:
            return run_attempts(order, cluster, observe, stopping)
        except Exception as error:
            return RunReporter(order, observe).summary(RunState.FAILED, fault_of(Stage.PLAN, error), {}, None)


def run_attempts(
    order: RunOrder, cluster: ClusterLease, observe: Callable[[Progress], None], stopping: Callable[[], bool]
) -> RunSummary:
    with connections_of(order) as order:
        return run_with(order, cluster, observe, stopping)


@contextmanager
def connections_of(order: RunOrder) -> Iterator[RunOrder]:
    """The order with as many connections as other runs leave it, where there is a cap."""
    policy = order.spec.policy
    if policy.max_connections is None:
        yield order
        return
    endpoint = order.spec.endpoint
    key = connections_key(strategy_for(endpoint.template).descriptor.vendor, endpoint.endpoint_id)
    wanted = policy.max_connections if policy.max_parallel is None else policy.max_parallel + 1
    share = ConnectionShare.take(
        open_state(order.settings), key, order.run_id, this_process(), policy.max_connections, wanted
    )
    try:
        config = order.spec.config.model_copy(
            update={"policy": policy.model_copy(update={"max_connections": share.count})}
        )
        yield order.model_copy(update={"spec": order.spec.model_copy(update={"config": config})})
    finally:
        share.close()


def run_with(
    order: RunOrder, cluster: ClusterLease, observe: Callable[[Progress], None], stopping: Callable[[], bool]
) -> RunSummary:
    reporter = RunReporter(order, observe)
    key = unit_key_of(order)
    ending = AttemptResult(RunState.FAILED)
    for restart in range(RESTARTS + 1):
        if restart:
            log.warning("run %s lost what it needs: beginning again from its checkpoint", order.run_id)
        ending = attempt(order, key, cluster, reporter, stopping)
        if not ending.is_broken or stopping():
            break
    if order.task == "replay" and ending.state is RunState.SUCCEEDED:
        for uri in reporter.replayed:
            discard(uri)
    segments = read_states(open_state(order.settings), key).segments
    summary = reporter.summary(ending.state, ending.fault, segments, writer_for(order, staging_for(order)).location)
    reporter.tell("done")
    return summary


def attempt(
    order: RunOrder, key: str, cluster: ClusterLease, reporter: RunReporter, stopping: Callable[[], bool]
) -> AttemptResult:
    """One try. `RunActive` and an unreadable state are raised: the try never began."""
    try:
        return attempt_to_end(order, key, cluster, reporter, stopping)
    except Stopped:
        return AttemptResult(RunState.PAUSED)


def attempt_to_end(
    order: RunOrder, key: str, cluster: ClusterLease, reporter: RunReporter, stopping: Callable[[], bool]
) -> AttemptResult:
    """From the first look to the end."""
    attempts = order.spec.policy.max_attempts

    def tell() -> None:
        reporter.tell("planning")

    tell()
    try:
        if (at_rest := patiently(lambda: unchanged(order, key), attempts, stopping, tell)) is not None:
            reporter.saw(at_rest)
            return AttemptResult(RunState.SUCCEEDED)
    except SourceError as error:
        return AttemptResult(RunState.FAILED, Fault.of(error))
    state = StateWriter.begin(open_state(order.settings), key, order.run_id, this_process())
    with ExitStack() as stack:
        stack.callback(state.end)
        try:
            state.refuse_other_cursor(order.spec.policy.cursor)
            if state.has_intent:
                open_sink_for(state, writer_for(order, staging_for(order)))
            if not needs_no_look(order, cluster, is_first=not state.segments):
                planner = Planner(order)
                stack.callback(planner.close)
                plan_summary = patiently(lambda: planner.begin(state.segments, state.learned), attempts, stopping, tell)
                reporter.saw(plan_summary)
                if not plan_summary.scopes:
                    return AttemptResult(RunState.SUCCEEDED)
                if is_inline(order, plan_summary, cluster):
                    return run_inline(order, state, planner, plan_summary, reporter, stopping)
        except IngestError as error:
            return AttemptResult(RunState.FAILED, Fault.of(error))
    return AttemptResult(*run_on_ray(order, key, cluster, reporter, stopping))


def run_inline(
    order: RunOrder,
    state: StateWriter,
    planner: Planner,
    plan_summary: PlanSummary,
    reporter: RunReporter,
    stopping: Callable[[], bool],
) -> AttemptResult:
    staging = staging_for(order)
    begin_staging(order, staging)
    unit_writer = writer_for(order, staging)
    planner.open(open_scopes(order, state, unit_writer, plan_summary.scopes))
    readers = inline_readers(order, plan_summary)
    preparers = max(1, readers // 2)
    ledger = Ledger(limits_of(order, plan_summary.scopes, readers=readers, preparers=preparers, mappers=1))
    inline = InlineExecutor(order, planner, unit_writer, state, staging)
    executor = ThreadedExecutor(inline, readers + preparers + 1) if readers > 1 else inline
    coordinator = Coordinator(ledger, executor)
    reporter.begin_attempt(ledger, plan_summary, executor.name)
    try:
        finish = coordinator.drive(reporter.tell, stopping)
    finally:
        executor.close()
        reporter.end_attempt(coordinator.seconds | executor.seconds)
        end_staging(order, staging, is_complete=ledger.is_succeeded)
    state.learn(reporter.learned(state.learned))
    return AttemptResult(finish.state, finish.fault, finish.begins_again)
