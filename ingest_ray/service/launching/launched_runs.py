"""Starts runs of units by the installation's launcher, for a caller that waits for their ends, or does not."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ingest_ray import logs
from ingest_ray.catalog import run_channel, run_records
from ingest_ray.engine.reports import ReconcileReport
from ingest_ray.engine.run_order import Progress, RunOrder
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import Launcher, launcher_for
from ingest_ray.service.launching.detached_runs import start_detached
from ingest_ray.service.launching.lifecycle import fail_run, vouch_for
from ingest_ray.service.runs.admission import Refusal, RunOptions, RunRequest, admit_each, joined_refusal
from ingest_ray.service.runs.execution import LaunchWatch, RunReport, report_of
from ingest_ray.service.runs.record_keeping import refused_summary, started
from ingest_ray.service.runs.run_observer import ProgressReport

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
LIVENESS_EVERY_S = 5.0  # of runs whose record has no end: a request to the cluster each


class DetachedRuns(Model):
    """`units`: those that were started, as RUNNING, and those that were not, with their error and without a run id."""

    units: tuple[RunSummary, ...]

    @property
    def is_complete(self) -> bool:
        return all(summary.state is RunState.RUNNING for summary in self.units)


def start_in_background(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str],
    options: RunOptions,
    requested_by: str | None = None,
) -> DetachedRuns:
    """Returns when every run has its record and a process, a job or a workflow that carries it out, all at once.

    Raises:
        GateError, ConfigError, ClusterUnavailable: nothing was started, and there is no record.
    """
    launcher = launcher_for(installation)
    launcher.check(installation)
    admission = admit_each(installation, endpoint_id, unit_ids, options)
    requests = [_request_of(order, options, requested_by) for order in admission.orders]
    if installation.settings.launcher == "in-process":
        summaries, refused = start_detached(installation, requests)
    else:
        found = [_started(installation, launcher, request) for request in requests]
        summaries = [one for one in found if isinstance(one, RunSummary)]
        refused = [one for one in found if isinstance(one, Refusal)]
    refused = [*admission.refused, *refused]
    if not summaries:
        raise joined_refusal(refused)
    return DetachedRuns(units=(*summaries, *(refused_summary(one.unit, one.error) for one in refused)))


def run_by_launcher(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str] = (),
    *,
    options: RunOptions | None = None,
    requested_by: str | None = None,
    observe: Callable[[Progress], None] = lambda _: None,
    is_stopping: Callable[[], bool] = lambda: False,
    parallel: int | None = None,
    watch: LaunchWatch | None = None,
) -> RunReport:
    """As `execution.run`, with runs that the installation's launcher carries out. A caller that dies stops none of them.

    `parallel`: how many go on at once; None: as many as schedules may have. Units that a stop kept from beginning have no record.

    Raises:
        GateError, ConfigError, ClusterUnavailable: nothing was started, and there is no record.
    """
    options = options or RunOptions()
    launcher = launcher_for(installation)
    launcher.check(installation)
    admission = admit_each(installation, endpoint_id, unit_ids, options)
    parallel = max(1, min(parallel or installation.settings.serve.schedules.max_runs, len(admission.orders)))
    watch = watch or LaunchWatch()
    watch.begin(len(admission.orders), parallel)
    began = time.monotonic()
    requests = {order.ref: _request_of(order, options, requested_by) for order in admission.orders}
    followed = _FollowedRuns(installation, launcher, observe, watch)
    waiting = deque(requests.values())
    while waiting or followed.live:
        if is_stopping():
            followed.pause_all(requested_by)
            waiting.clear()
        while waiting and len(followed.live) < parallel:
            followed.start(waiting.popleft())
        time.sleep(LOOK_EVERY_S if followed.live else 0)
        followed.look()
    refused = [*admission.refused, *followed.refused]
    if len(followed.refused) == len(admission.orders):
        raise joined_refusal(refused)
    left_out = {found.unit for found in followed.refused}
    units = [
        followed.ended.get(order.ref) or _not_begun(order) for order in admission.orders if order.ref not in left_out
    ]
    reconciled = [found for one in units if one.run_id and (found := _reconciled(installation, one)) is not None]
    report = report_of(units, reconciled, [], time.monotonic() - began)
    return report.with_refused([refused_summary(found.unit, found.error) for found in refused])


class _FollowedRuns:
    def __init__(
        self, installation: Installation, launcher: Launcher, observe: Callable[[Progress], None], watch: LaunchWatch
    ) -> None:
        self._installation = installation
        self._launcher = launcher
        self._observe = observe
        self._watch = watch
        self.live: dict[str, RunSummary] = {}
        self.ended: dict[UnitRef, RunSummary] = {}
        self.refused: list[Refusal] = []
        self._is_pausing = False
        self._is_away = False
        self._checked_at = time.monotonic()

    def start(self, request: RunRequest) -> None:
        begun = _started(self._installation, self._launcher, request)
        if isinstance(begun, RunSummary):
            self.live[begun.run_id] = begun
        else:
            self.refused.append(begun)
            self._watch.end(refused_summary(begun.unit, begun.error))

    def look(self) -> None:
        """A catalog that is away ends nothing: the runs go on, and wait for it, too."""
        try:
            self._look()
            self._is_away = False
        except IngestError as error:
            if not self._is_away:
                log.warning("the runs go on, their state cannot be read: %s", logs.scrub(error.message))
            self._is_away = True

    def pause_all(self, requested_by: str | None) -> None:
        """Until every run has its request: the store may be away for a while."""
        if self._is_pausing:
            return
        try:
            for run_id in self.live:
                self._launcher.pause(self._installation, run_id, requested_by)
        except IngestError as error:
            log.warning("the runs could not be asked to stop yet: %s", logs.scrub(error.message))
            return
        self._is_pausing = True

    def _look(self) -> None:
        is_liveness_due = time.monotonic() - self._checked_at >= LIVENESS_EVERY_S
        for run_id in list(self.live):
            with self._installation.catalog.read() as connection:
                record, line = run_records.find(connection, run_id), run_channel.find(connection, run_id)
            assert record is not None
            if line is not None and line.progress:
                self._observe(ProgressReport.model_validate_json(line.progress).moment)
            if record.summary.state is not RunState.RUNNING:
                if record.summary.state is not RunState.FAILED or self._launcher.is_over(self._installation, run_id):
                    self._end(record.summary)
            elif is_liveness_due and line is not None and line.taken_at is None:
                if self._launcher.is_over(self._installation, run_id):
                    fail_run(self._installation, run_id)
                else:
                    vouch_for(self._installation, [run_id])  # it waits for a worker or a node
            elif is_liveness_due and self._launcher.state(self._installation, run_id) is RunState.FAILED:
                fail_run(self._installation, run_id)
        if is_liveness_due:
            self._checked_at = time.monotonic()

    def _end(self, summary: RunSummary) -> None:
        self.live.pop(summary.run_id, None)
        self.ended[summary.ref] = summary
        self._watch.end(summary)


def _request_of(order: RunOrder, options: RunOptions, requested_by: str | None) -> RunRequest:
    return RunRequest(
        endpoint_id=order.ref.endpoint_id, unit_id=order.ref.unit_id, options=options, requested_by=requested_by
    )


def _started(installation: Installation, launcher: Launcher, request: RunRequest) -> RunSummary | Refusal:
    try:
        run_id = launcher.start(installation, request)
    except IngestError as error:
        return Refusal(request.ref, error)
    with installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
    assert record is not None
    return record.summary.model_copy(update={"state": RunState.RUNNING, "error": None})


def _not_begun(order: RunOrder) -> RunSummary:
    begun = started(order, datetime.now(UTC))
    return begun.model_copy(update={"run_id": "", "state": RunState.PAUSED})


def _reconciled(installation: Installation, run: RunSummary) -> ReconcileReport | None:
    """The report of the reconciliation that followed a run, from its record."""
    with installation.catalog.read() as connection:
        record = run_records.find(connection, f"{run.run_id}-reconcile")
    if record is None:
        return None
    found = record.summary
    known = {name: value for name, value in found.facts.items() if name in ReconcileReport.model_fields}
    ids = {name: getattr(found, name) for name in ("run_id", "endpoint_id", "unit_id", "sink_id", "state", "error")}
    return ReconcileReport.model_validate({**known, **ids, "seconds": found.seconds})
