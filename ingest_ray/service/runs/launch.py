"""Runs the units of one launch, several side by side, and ends the record of each with its run."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue

from ingest_ray import logs, telemetry
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.run import ClusterLease, RunStopped, retry_unavailable, run_unit
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError, SourceLocked, SourceUnavailable
from ingest_ray.sdk.sessions import cached_sessions
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.lineage.emission import emit_end, emit_running, emit_start
from ingest_ray.service.runs.parallel import with_connection_share
from ingest_ray.service.runs.record_keeping import ended, failed, fault_of, finish_records
from ingest_ray.service.runs.run_observer import RunObserver, with_progress
from ingest_ray.service.runs.store_retry import END_PATIENCE_S, retry_store
from ingest_ray.service.units.schema_drift import SchemaCheck, accept_schema, check_schema

log = logging.getLogger(__name__)

TICK_S = 0.1


class Launch:
    """`summaries` holds the state of each run at every moment. `on_end` gets each run's summary; `observe` and `on_end` are
    called by one thread at a time.

    With `parallel` 1, units run one after the other in the calling thread. Else as many threads take one unit after the other;
    Ray is used by the calling thread only, so units that need it take turns.
    """

    def __init__(
        self,
        installation: Installation,
        orders: Sequence[RunOrder],
        summaries: Sequence[RunSummary],
        observe: Callable[[Progress], None],
        is_stopping: Callable[[], bool],
        parallel: int = 1,
        on_end: Callable[[RunSummary], None] = lambda _: None,
    ) -> None:
        self.orders = {order.run_id: order for order in orders}
        self.summaries = {summary.run_id: summary for summary in summaries}
        self._begun = dict(self.summaries)
        self._installation = installation
        self._observe, self._is_stopping_requested, self._on_end = observe, is_stopping, on_end
        self._parallel = parallel
        self._lock = threading.RLock()
        self._waiting = list(reversed(self.orders))
        self._is_source_away = False
        self._error: BaseException | None = None

    def run(self) -> None:
        with ClusterLease() as cluster:
            if self._parallel == 1:
                self._work(cluster)
            else:
                self._work_side_by_side(cluster)
        if isinstance(self._error, IngestError):
            fault = fault_of(self._error)
            self.end_all(lambda summary: failed(summary, fault))
        elif self._error is not None:
            raise self._error

    def end_all(self, how: Callable[[RunSummary], RunSummary]) -> None:
        """Ends the records that have no end yet."""
        for summary in list(self.summaries.values()):
            if summary.state is RunState.RUNNING:
                self._end(how(summary))

    def _work_side_by_side(self, cluster: ClusterLease) -> None:
        calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        cluster.take_turns(calls)
        # Daemons: after a second interrupt the process ends without them, as if it had been killed.
        threads = [
            threading.Thread(target=partial(copy_context().run, self._work, cluster), name=f"unit-{n}", daemon=True)
            for n in range(self._parallel)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            with suppress(Empty):
                calls.get(timeout=TICK_S)()

    def _work(self, cluster: ClusterLease) -> None:
        """Runs one unit after the other until none waits."""
        try:
            with cached_sessions():
                while (order := self._next_order()) is not None:
                    self._run_one(order, cluster)
        except Exception as error:
            log.exception("the launch failed")
            with self._lock:
                self._error = self._error or error

    def _next_order(self) -> RunOrder | None:
        with self._lock:
            if self._error is not None or self._is_stopping_requested() or not self._waiting:
                return None
            return self.orders[self._waiting.pop()]

    def _run_one(self, order: RunOrder, cluster: ClusterLease) -> None:
        spec = order.spec
        ids = {
            tracing.RUN: order.run_id,
            tracing.ENDPOINT: spec.endpoint.endpoint_id,
            tracing.UNIT: spec.unit_id,
            tracing.SINK: spec.config.sink_id,
        }
        with tracing.span("run", {**ids, "ingest.run.task": order.task}) as span:
            self._run_unit(order, cluster)
            note_end(span, self.summaries[order.run_id])

    def _run_unit(self, order: RunOrder, cluster: ClusterLease) -> None:
        run_id = order.run_id
        observer = RunObserver(
            self._installation, self._observe_alone, self._is_stopping_requested, self._begun[run_id]
        )
        if observer.is_stopping():
            return
        emit_start(order)
        try:
            with tracing.span("check schema"):
                checked = self._check_schema(order, observer)
        except RunStopped:
            return
        except IngestError as error:
            self._end(failed(self.summaries[run_id], fault_of(error)))
            return
        self.orders[run_id] = with_connection_share(checked.order, self._parallel)
        emit_running(self.orders[run_id])
        summary = run_unit(self.orders[run_id], observer.observe, observer.is_stopping, cluster)
        self._end(ended(self._begun[run_id], summary, checked.changes))

    def _check_schema(self, order: RunOrder, observer: RunObserver) -> SchemaCheck:
        """After one unit exhausted its retries, later units try the source only once, until it answers."""
        attempts = 1 if self._is_source_away else order.spec.policy.max_attempts
        try:
            checked = _check_schema(self._installation, order, attempts, observer.is_stopping)
        except SourceLocked:
            raise
        except SourceUnavailable:
            self._is_source_away = True
            raise
        self._is_source_away = False
        return checked

    def _observe_alone(self, moment: Progress) -> None:
        with self._lock:
            summary = self.summaries.get(moment.run_id)
            if summary is not None and summary.state is RunState.RUNNING:
                self.summaries[moment.run_id] = with_progress(summary, moment)
            self._observe(moment)

    def _end(self, summary: RunSummary) -> None:
        """The record gets its end also where the catalog is away for a while: its rows are committed, whatever the catalog knows."""
        self.summaries[summary.run_id] = summary
        retry_store(lambda: finish_records(self._installation, [summary]), limit_s=END_PATIENCE_S)
        emit_end(self.orders[summary.run_id], summary)
        telemetry.record_run(summary)
        with self._lock:
            self._on_end(summary)


def note_end(span: tracing.Span, summary: RunSummary) -> None:
    span.set(
        {
            "ingest.run.state": summary.state.value,
            "ingest.rows.read": summary.rows.read,
            "ingest.rows.committed": summary.rows.committed,
            "ingest.rows.quarantined": summary.rows.quarantined,
            "ingest.retries": summary.retries,
            "ingest.executor": summary.executor,
        }
    )
    if summary.error is not None:
        span.fail(summary.error.code)


def _check_schema(
    installation: Installation, order: RunOrder, attempts: int, is_stopping: Callable[[], bool]
) -> SchemaCheck:
    with logs.context(run=order.run_id, endpoint=order.spec.endpoint.endpoint_id, unit=order.spec.unit_id):
        checked = retry_unavailable(lambda: check_schema(installation, order), attempts, is_stopping)
        retry_store(lambda: accept_schema(installation, checked), is_stopping)
        if checked.changes:
            log.warning("the dataset changed at the source: %s", "; ".join(checked.changes))
    return checked
