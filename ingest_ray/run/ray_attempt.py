"""One attempt of a run on Ray: the same ledger and coordinator as inline, with a `RayExecutor` and its actors."""

import logging
import time

import ray

from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import Fault, Finish
from ingest_ray.engine.coordinator import Coordinator
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.executors.ray.executor import RayExecutor
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.throttle import throttle_states
from ingest_ray.http.permits import REPORT_S, waiting_text
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.run.limits import limits_of
from ingest_ray.run.placement import readers_per_cpu
from ingest_ray.run.reporter import RunReporter
from ingest_ray.run.staging_area import begin_staging, end_staging
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import ClusterUnavailable, IngestError, Recovery
from ingest_ray.sdk.types import RunState

log = logging.getLogger(__name__)

SINK_ACTORS = 2  # preparing is encoding: two keep two cores busy; the readers take the others

MAPPER_ACTORS = 2  # mapping is Python: more of them than cores only wait for each other


def run_attempt_on_ray(context: RunContext, cluster: Cluster) -> AttemptResult:
    cluster.server_watch.check()
    executor = RayExecutor(
        context.order,
        context.unit_key,
        SINK_ACTORS,
        MAPPER_ACTORS,
        cluster.server_watch,
        readers_per_cpu(context.order),
    )
    try:
        context.retry(executor.begin)
        plan_summary = context.retry(executor.plan)
        context.reporter.note_plan(plan_summary)
        if not plan_summary.scopes:
            return AttemptResult(RunState.SUCCEEDED)
        context.retry(lambda: executor.open(plan_summary.scopes))
        finish = drive_ledger(context, cluster, executor, plan_summary)
        fault = executor.explained(finish.fault)
        return AttemptResult(finish.state, fault, executor.is_broken or finish.is_restartable)
    except ray.exceptions.RayActorError as error:
        fault = Fault("E_STATE_UNREADABLE", f"an actor of the run died: {type(error).__name__}", Recovery.FAIL)
        return AttemptResult(RunState.FAILED, fault, is_restartable=True)
    except ClusterUnavailable as error:
        return AttemptResult(RunState.FAILED, Fault.of(error), is_restartable=cluster.is_local)
    except IngestError as error:
        return AttemptResult(RunState.FAILED, Fault.of(error), executor.is_broken)
    finally:
        executor.close()


class QuotaWatch:
    """Reports progress, and with it that the readers of the cluster wait for the quota of a site."""

    def __init__(self, reporter: RunReporter) -> None:
        self._reporter = reporter
        self._asked_at = time.monotonic()

    def report(self) -> None:
        if time.monotonic() - self._asked_at > REPORT_S:
            self._asked_at = time.monotonic()
            for state in throttle_states():
                if state.quota_wait_s > REPORT_S:
                    self._reporter.note_wait(
                        state.quota_wait_s, waiting_text(state.host, state.quota_wait_s, is_quota=True)
                    )
                    return
        self._reporter.report()


def drive_ledger(context: RunContext, cluster: Cluster, executor: RayExecutor, plan_summary: PlanSummary) -> Finish:
    order, reporter = context.order, context.reporter
    staging = staging_on(order, executor.pages)
    begin_staging(order, staging)
    ledger = Ledger(
        limits_of(
            order,
            plan_summary.scopes,
            readers=order.settings.ray.readers or readers_per_cpu(order) * cluster.cpus,
            preparers=2 * SINK_ACTORS,
            mappers=2 * MAPPER_ACTORS,
        )
    )
    coordinator = Coordinator(ledger, executor)
    reporter.begin_attempt(ledger, plan_summary, executor)
    try:
        finish = coordinator.drive(QuotaWatch(reporter).report, context.is_stopping)
    finally:
        reporter.end_attempt(coordinator.seconds | executor.seconds, coordinator.points)
        if executor.pages is None or not cluster.server_watch.is_lost():  # the object store's pages died with it
            _try_end_staging(context, staging, is_complete=ledger.is_succeeded)
    if not executor.is_broken:
        executor.learn(reporter.learned(executor.learned))
    return finish


def _try_end_staging(context: RunContext, staging: Staging, *, is_complete: bool) -> None:
    """A later run sweeps what cannot be swept now; the failure must not hide how this run ended."""
    try:
        end_staging(context.order, staging, is_complete=is_complete)
    except IngestError as error:
        log.warning("staging could not be swept: %s", error)
