"""One attempt of a run on Ray: the same ledger and coordinator as inline, with a `RayExecutor`.

one machine     planner, state and sink stay in this process, under its lease; readers and mappers are processes of Ray
a cluster       planner, state and sink are in an actor, which takes the lease
"""

import logging
import time
from collections.abc import Callable
from math import ceil

import ray

from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import Fault, Finish
from ingest_ray.engine.coordinator import Coordinator
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.adoption import FileAdopter, adopter_of
from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.engine.steps.recovery import open_scopes
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.executors.inline import InlineExecutor
from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.executors.ray.control import ActorControl, Control, DriverControl
from ingest_ray.executors.ray.executor import RayExecutor
from ingest_ray.executors.ray.page_store import staging_on, start_pages
from ingest_ray.executors.ray.reader import ACTOR_THREADS
from ingest_ray.executors.ray.readers import ReaderActors, Readers, ReaderTasks
from ingest_ray.executors.ray.throttle import throttle_states
from ingest_ray.http.permits import REPORT_S, waiting_text
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.run.limits import limits_of
from ingest_ray.run.placement import fits_one_slice, is_http, readers_per_cpu
from ingest_ray.run.reporter import RunReporter
from ingest_ray.run.staging_area import begin_staging, end_staging
from ingest_ray.sdk import tracing
from ingest_ray.sdk.contracts import LocalFileStager, Staging
from ingest_ray.sdk.errors import ClusterUnavailable, IngestError, Recovery, StagingUnavailable
from ingest_ray.sdk.types import RunState
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)

SINK_ACTORS = 2  # preparing is encoding: two keep two cores busy; the readers take the others
MAPPER_ACTORS = 2  # mapping is Python: more of them than cores only wait for each other


class Attempt:
    """What both ways share. The trace of the run travels with its order."""

    def __init__(self, context: RunContext, cluster: Cluster) -> None:
        cluster.server_watch.check()
        self.context = context
        self.cluster = cluster
        order = context.order.model_copy(update={"trace": tracing.carrier()})
        self.adopter = adopter_of(order)
        if self.adopter is not None and not may_reach(self.adopter, cluster):
            self.adopter, order = None, with_pages(order)
        self.order: RunOrder = order
        self.order_ref = ray.put(self.order)
        self.pages = start_pages(self.order)
        self.staging: Staging = staging_on(self.order, self.pages)
        self.at_once = self.order.settings.ray.readers or readers_per_cpu(self.order) * cluster.cpus

    def executor(self, control: Control, sinks: int, *, warms_up: bool = True) -> RayExecutor:
        mappers = MAPPER_ACTORS if self.order.spec.is_cdm else 0
        watch = self.cluster.server_watch
        try:
            readers = self._readers(control, warms_up=warms_up)
        except BaseException:
            control.close()
            raise
        return RayExecutor(self.order, control, readers, self.pages, sinks, mappers, watch)

    def _readers(self, control: Control, *, warms_up: bool) -> Readers:
        pool, rows = self.cluster.reader_pool, control.inbox.channel
        if not is_http(self.order):
            pool.close()
            return ReaderTasks(self.order, self.order_ref, self.pages, rows, warms_up=warms_up)
        wanted = ceil((self.order.settings.ray.readers or 1) / ACTOR_THREADS)  # Ray starts nodes for actors that wait
        actors = pool.of_run(self.order.settings.ray, max(wanted, self.cluster.reader_nodes(self.order.settings.ray)))
        return ReaderActors(self.order, self.order_ref, self.pages, rows, actors, self.at_once)

    def drive(self, executor: RayExecutor, plan_summary: PlanSummary) -> tuple[Ledger, Finish]:
        order, reporter = self.order, self.context.reporter
        begin_staging(order, self.staging)
        scopes, adopter = plan_summary.scopes, self.adopter
        if adopter is not None and adopter.adopts_all(scopes):
            executor.leave_out_sinks()
        ledger = Ledger(
            limits_of(
                order,
                scopes,
                readers=self.at_once,
                preparers=2 * SINK_ACTORS,
                mappers=2 * MAPPER_ACTORS,
                adopts_files=adopter is not None and adopter.may_adopt(scopes),
            )
        )
        coordinator = Coordinator(ledger, executor)
        reporter.begin_attempt(ledger, plan_summary, executor)
        try:
            finish = coordinator.drive(QuotaWatch(reporter).report, self.context.is_stopping)
        finally:
            reporter.end_attempt(coordinator.seconds | executor.seconds, coordinator.points)
            if self.pages is None or not self.cluster.server_watch.is_lost():  # the object store's pages died with it
                self._try_end_staging(is_complete=ledger.is_succeeded)
        return ledger, finish

    def _try_end_staging(self, *, is_complete: bool) -> None:
        """A later run sweeps what cannot be swept now; the failure must not hide how this run ended."""
        try:
            end_staging(self.order, self.staging, is_complete=is_complete)
        except IngestError as error:
            log.warning("staging could not be swept: %s", error)

    def close(self) -> None:
        if self.pages is not None and not self.cluster.server_watch.is_lost():
            ray.kill(self.pages)


def may_reach(adopter: FileAdopter, cluster: Cluster) -> bool:
    """Whether readers write where the control commits: on one machine, or in a store whose keys no label confines to some nodes."""
    settings = adopter.order.settings.ray
    is_store = "://" in adopter.sink.location(adopter.target) and not isinstance(adopter.sink, LocalFileStager)
    return cluster.holds_control(settings) or (is_store and not settings.actor_labels)


def with_pages(order: RunOrder) -> RunOrder:
    staging = order.settings.staging.model_copy(update={"provider": "files"})
    return order.model_copy(update={"settings": order.settings.model_copy(update={"staging": staging})})


def run_attempt_in_driver(
    context: RunContext, cluster: Cluster, state: StateWriter, planner: Planner, plan_summary: PlanSummary
) -> AttemptResult:
    """On one machine. `state` and `planner` stay the caller's."""

    def run(attempt: Attempt) -> AttemptResult:
        order = attempt.order
        unit_writer = writer_for(order, attempt.staging)
        planner.open(context.retry(lambda: open_scopes(order, state, unit_writer, plan_summary.scopes)))
        inline = InlineExecutor(order, planner, unit_writer, state, attempt.staging, attempt.adopter)
        executor = attempt.executor(
            DriverControl(order, inline), sinks=0, warms_up=not fits_one_slice(order, plan_summary)
        )
        try:
            _, finish = attempt.drive(executor, plan_summary)
        finally:
            executor.close()
        state.learn(context.reporter.learned(state.learned))
        fault = planner.explained(finish.fault)
        return AttemptResult(finish.state, fault, executor.is_broken or finish.is_restartable)

    return _attempted(context, cluster, run)


def run_attempt_on_cluster(context: RunContext, cluster: Cluster) -> AttemptResult:
    """The control actor takes the lease and plans."""

    def run(attempt: Attempt) -> AttemptResult:
        control = ActorControl(attempt.order, context.unit_key, attempt.pages, cluster.server_watch)
        executor = attempt.executor(control, 0 if is_http(attempt.order) else SINK_ACTORS)
        try:
            learned = context.retry(control.begin)
            plan_summary = context.retry(control.plan)
            context.reporter.note_plan(plan_summary)
            if not plan_summary.scopes:
                return AttemptResult(RunState.SUCCEEDED)
            context.retry(lambda: control.open(plan_summary.scopes))
            _, finish = attempt.drive(executor, plan_summary)
            if not executor.is_broken:
                control.learn(context.reporter.learned(learned))
            fault = finish.fault if executor.is_broken else control.explained(finish.fault)
            return AttemptResult(finish.state, fault, executor.is_broken or finish.is_restartable)
        finally:
            executor.close()

    return _attempted(context, cluster, run)


def _attempted(context: RunContext, cluster: Cluster, run: Callable[[Attempt], AttemptResult]) -> AttemptResult:
    attempt: Attempt | None = None
    try:
        attempt = Attempt(context, cluster)
        return run(attempt)
    except ray.exceptions.RayActorError as error:
        fault = Fault("E_STATE_UNREADABLE", f"an actor of the run died: {type(error).__name__}", Recovery.FAIL)
        return AttemptResult(RunState.FAILED, fault, is_restartable=True)
    except ClusterUnavailable as error:
        return AttemptResult(RunState.FAILED, Fault.of(error), is_restartable=cluster.is_local)
    except StagingUnavailable as error:  # the owner of its pages may have been started on a node that is lost
        return AttemptResult(RunState.FAILED, Fault.of(error), attempt is not None and attempt.pages is not None)
    except IngestError as error:
        return AttemptResult(RunState.FAILED, Fault.of(error))
    finally:
        if attempt is not None:
            attempt.close()


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
