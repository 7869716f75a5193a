"""One try of a run on Ray: the same ledger and coordinator as inline, with a crew of actors as executor."""

import logging
from collections.abc import Callable

import ray

from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import Fault, Finish
from ingest_ray.engine.coordinator import Coordinator
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.executors.ray.executor import RayExecutor
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.run.limits import limits_of
from ingest_ray.run.placement import readers_per_cpu
from ingest_ray.run.reporter import RunReporter
from ingest_ray.run.source_retry import patiently
from ingest_ray.run.staging_area import begin_staging, end_staging
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import ClusterUnavailable, IngestError, Recovery
from ingest_ray.sdk.types import RunState

log = logging.getLogger(__name__)

SINK_ACTORS = 2  # preparing is encoding: two keep two cores busy; the readers take the others

MAPPER_ACTORS = 2  # mapping is Python: more than there are cores would only wait for each other


def run_unit_on_ray(
    order: RunOrder, key: str, cluster: Cluster, reporter: RunReporter, stopping: Callable[[], bool]
) -> tuple[RunState, Fault | None, bool]:
    cluster.server_watch.check()
    executor = RayExecutor(order, key, SINK_ACTORS, MAPPER_ACTORS, cluster.server_watch, readers_per_cpu(order))
    try:
        executor.begin()
        attempts = order.spec.policy.max_attempts
        plan_summary = patiently(executor.look, attempts, stopping, lambda: reporter.tell("planning"))
        reporter.saw(plan_summary)
        if not plan_summary.scopes:
            return RunState.SUCCEEDED, None, False
        executor.open(plan_summary.scopes)
        finish = drive(order, cluster, executor, plan_summary, reporter, stopping)
        return finish.state, finish.fault, executor.is_broken or finish.begins_again
    except ray.exceptions.RayActorError as error:
        fault = Fault("E_STATE_UNREADABLE", f"an actor of the run died: {type(error).__name__}", Recovery.FAIL)
        return RunState.FAILED, fault, True
    except ClusterUnavailable as error:
        return RunState.FAILED, Fault.of(error), cluster.is_local
    except IngestError as error:
        return RunState.FAILED, Fault.of(error), executor.is_broken
    finally:
        executor.end()


def drive(
    order: RunOrder,
    cluster: Cluster,
    executor: RayExecutor,
    plan_summary: PlanSummary,
    reporter: RunReporter,
    stopping: Callable[[], bool],
) -> Finish:
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
    reporter.begin_attempt(ledger, plan_summary, executor.name)
    try:
        finish = coordinator.drive(reporter.tell, stopping)
    finally:
        reporter.end_attempt(coordinator.seconds | executor.seconds)
        if executor.pages is None or not cluster.server_watch.is_lost():  # the object store's pages went with it
            end(order, staging, is_complete=ledger.is_succeeded)
    if not executor.is_broken:
        executor.learn(reporter.learned(executor.learned))
    return finish


def end(order: RunOrder, staging: Staging, *, is_complete: bool) -> None:
    """What cannot be swept now is swept by a later run, and must not hide how this one ended."""
    try:
        end_staging(order, staging, is_complete=is_complete)
    except IngestError as error:
        log.warning("staging could not be swept: %s", error)
