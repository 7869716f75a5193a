"""The activities: each calls one use case, takes ids and returns counts. None has code for a particular source."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from temporalio import activity

from ingest_ray.payloads.documents import (
    COLUMNS_SHOWN,
    Beat,
    CatalogCommand,
    CatalogOutcome,
    ComparisonCommand,
    ComparisonOutcome,
    PreviewCommand,
    PreviewOutcome,
    ProvisionCommand,
    ProvisionOutcome,
    RunCommand,
    RunEnd,
    RunFailure,
    RunOnly,
    RunRef,
    UnitOutcome,
    UnitsCommand,
    UnitsPage,
)
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError, RunActive, RunInterrupted, StateConflict
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunFault, RunState, RunSummary
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import provision
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import fail_run, open_run
from ingest_ray.service.launching.ray_job import read_run_record
from ingest_ray.service.launching.ray_job_watch import RayJobWatch
from ingest_ray.service.launching.ray_jobs_api import RayJobsClient
from ingest_ray.service.runs.admission import RunOptions, RunRequest
from ingest_ray.service.runs.history import find_run
from ingest_ray.service.runs.verification import compare_in_turn
from ingest_ray.service.units.listing import list_units
from ingest_ray.service.units.preview import preview
from ingest_ray.settings import Settings
from ingest_ray.state.documents import Owner
from ingest_ray.temporal.failures import failure, failure_of_run
from ingest_ray.temporal.results import catalog_outcome, comparison_outcome, outcome_of, truncated, write_document

T = TypeVar("T")
POLL_S = 1.0  # one row of the catalog and one small answer of the head
MAX_POLL_S = 5.0  # for runs of many minutes: a hundred of them send a head 20 requests a second
HEARTBEAT_S = 5.0

# A run whose workflow ended right after it was opened must not block its unit: it counts as alive for as long as a lease.
UNOWNED = Owner(host="temporal", pid=0, started="").model_dump_json()


class Activities:
    def __init__(self, settings: Settings) -> None:
        self._installation = Installation(settings)

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [
            self.start_run,
            self.run_unit,
            self.complete_run,
            self.fail_run,
            self.list_units,
            self.collect_catalog,
            self.compare_unit,
            self.preview_dataset,
            self.provision_cdm_sink,
        ]

    @activity.defn(name="startIngestionRun")
    def start_run(self, command: RunCommand) -> RunRef:
        """Idempotent: the run's id comes from the command, or from the ids of workflow run and activity.

        A scheduled run waits for the unit's live run: several tasks may be due at the same time, and a full run may take hours.
        """
        info = activity.info()
        run_id = command.run_id or f"{info.workflow_run_id}-{info.activity_id}"
        summary = find_run(self._installation, run_id)
        if summary is None:
            request = RunRequest(
                endpoint_id=command.endpoint_id,
                unit_id=command.unit_id,
                sink_id=command.sink_id,
                sink_endpoint_id=command.sink_endpoint_id,
                options=RunOptions(**command.model_dump(include=set(RunOptions.model_fields), by_alias=False)),
                requested_by=command.requested_by,
            )
            try:
                open_run(self._installation, request, UNOWNED, run_id)
            except (StateConflict, RunActive) as error:
                if (
                    find_run(self._installation, run_id) is None
                ):  # else an earlier attempt of this activity, at the same moment
                    if isinstance(error, RunActive) and command.requested_by == "schedule":
                        raise failure(error.code, error.message, error.hint, is_passing=True) from None
                    raise
            summary = read_run_record(self._installation, run_id).summary
        if summary.ref != command.ref:
            raise ConfigError(f"run '{run_id}' is of unit '{summary.ref}'")
        return RunRef(run_id=run_id, endpoint_id=summary.endpoint_id, unit_id=summary.unit_id, sink_id=summary.sink_id)

    @activity.defn(name="runIngestionUnit")
    async def run_unit(self, command: RunOnly) -> UnitOutcome:
        """Submits the run's job or attaches to it, and waits for the end of the run. A cancellation stops the job and waits.

        A cluster that does not answer is waited for, however long it takes: its nodes may be on their way. Heartbeats say so.
        A worker that is shut down leaves the job alone: the next attempt attaches to it.
        """
        with RayJobsClient(self._installation.settings) as jobs:
            watch = RayJobWatch(self._installation, jobs, command.run_id)
            summary, job_id = await _with_cluster(watch.ensure_job, Beat(run_id=command.run_id))
            try:
                end = summary if job_id is None else await self._wait_for_end(watch, job_id)
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if job_id is not None and details is not None and details.cancel_requested:
                    await self._stop(watch, job_id)
                raise
        if end.state is RunState.FAILED:
            raise failure_of_run(end.error or RunFault(code="E_RUN_INTERRUPTED", message="the run failed"))
        return await asyncio.to_thread(outcome_of, self._installation.settings, end, job_id)

    @activity.defn(name="completeIngestionRun")
    def complete_run(self, command: RunOnly) -> RunEnd:
        """Writes the end of a run to its record, however its job ended."""
        summary = find_run(self._installation, command.run_id)
        if summary is None or summary.state is RunState.RUNNING:
            with RayJobsClient(self._installation.settings) as jobs:
                summary = RayJobWatch(self._installation, jobs, command.run_id).close_run()
        return _run_end(summary)

    @activity.defn(name="failIngestionRun")
    def fail_run(self, command: RunFailure) -> RunEnd:
        """If the job still runs out of reach, it writes its own end later, and that end counts."""
        fail_run(
            self._installation, command.run_id, RunFault(code=command.code, message=command.message, hint=command.hint)
        )
        return _run_end(read_run_record(self._installation, command.run_id).summary)

    @activity.defn(name="listEnabledUnits")
    def list_units(self, command: UnitsCommand) -> UnitsPage:
        units = list_units(self._installation, command.endpoint_id).units
        ids = sorted(unit.unit_id for unit in units if unit.enabled)
        rest = [unit_id for unit_id in ids if command.after is None or unit_id > command.after]
        return UnitsPage(unit_ids=tuple(rest[: command.limit]), is_last=len(rest) <= command.limit)

    @activity.defn(name="collectCatalogSnapshots")
    async def collect_catalog(self, command: CatalogCommand) -> CatalogOutcome:
        return catalog_outcome(await _with_heartbeats(lambda: collect(self._installation, command.endpoint_id)))

    @activity.defn(name="compareUnit")
    async def compare_unit(self, command: ComparisonCommand) -> ComparisonOutcome:
        """In the worker's own process. An earlier attempt whose worker died is gone on with after its last block."""
        unit, is_cancelled = UnitRef(command.endpoint_id, command.unit_id), threading.Event()
        work = asyncio.create_task(
            asyncio.to_thread(
                compare_in_turn, self._installation, unit, command.requested_by, is_stopping=is_cancelled.is_set
            )
        )
        try:
            while not (await asyncio.wait([work], timeout=HEARTBEAT_S))[0]:
                activity.heartbeat()
        except asyncio.CancelledError:
            is_cancelled.set()
            await asyncio.wait([work])  # the block under way is finished
            raise
        return comparison_outcome(work.result())

    @activity.defn(name="previewDataset")
    async def preview_dataset(self, command: PreviewCommand) -> PreviewOutcome:
        info = activity.info()
        name = f"preview-{info.workflow_run_id}-{info.activity_id}.json"
        sample = await _with_heartbeats(
            lambda: preview(self._installation, UnitRef(command.endpoint_id, command.unit_id), command.rows)
        )
        text = json.dumps(sample.model_dump(mode="json"), ensure_ascii=False)
        return PreviewOutcome(
            endpoint_id=sample.endpoint_id,
            unit_id=sample.unit_id,
            uri=await asyncio.to_thread(write_document, self._installation.settings, name, text),
            rows=len(sample.rows),
            columns=tuple(truncated(column) for column in sample.columns[:COLUMNS_SHOWN]),
            column_count=len(sample.columns),
        )

    @activity.defn(name="provisionCdmSink")
    def provision_cdm_sink(self, command: ProvisionCommand) -> ProvisionOutcome:
        """Doing it again changes nothing."""
        done = provision(self._installation, command.sink_endpoint_id, command.cdm_model_id)
        return ProvisionOutcome(dataset_id=done.dataset_id, schema_name=done.schema_name, table_name=done.table_name)

    async def _wait_for_end(self, watch: RayJobWatch, job_id: str) -> RunSummary:
        began = time.monotonic()
        while True:
            beat = Beat(run_id=watch.run_id, job_id=job_id)
            end, progress = await _with_cluster(lambda: (watch.poll(job_id), watch.read_progress()), beat)
            if end is not None:
                return end
            if progress is not None:
                counts = {"rows_committed": progress.rows.committed, "slices_committed": progress.slices.committed}
                beat = beat.model_copy(update={"phase": progress.phase, **counts})
            activity.heartbeat(beat)
            await asyncio.sleep(min(MAX_POLL_S, POLL_S + (time.monotonic() - began) / 30))

    async def _stop(self, watch: RayJobWatch, job_id: str) -> None:
        """Stops the job and waits for its end; Ray kills a job that does not stop."""
        await asyncio.to_thread(watch.stop, job_id, "workflow")
        try:
            await self._wait_for_end(watch, job_id)
        except RunInterrupted:  # stopped before it began, or killed: its record has no end yet
            await asyncio.to_thread(watch.close_run)


async def _with_cluster(request: Callable[[], T], beat: Beat) -> T:
    """Repeats the request until the cluster answers. Waiting for it is not an attempt of the run."""
    while True:
        try:
            return await asyncio.to_thread(request)
        except ClusterUnavailable as error:
            activity.heartbeat(beat.model_copy(update={"waiting": truncated(error.message)}))
        await asyncio.sleep(MAX_POLL_S)


async def _with_heartbeats(work: Callable[[], T]) -> T:
    """Calls in a thread, and sends heartbeats until it returns."""
    task = asyncio.create_task(asyncio.to_thread(work))
    while not (await asyncio.wait([task], timeout=HEARTBEAT_S))[0]:
        activity.heartbeat()
    return task.result()


def _run_end(summary: RunSummary) -> RunEnd:
    return RunEnd(run_id=summary.run_id, state=summary.state, code=summary.error.code if summary.error else None)
