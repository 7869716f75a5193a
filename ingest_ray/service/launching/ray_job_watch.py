"""Watches a run on a cluster until its end, from a process that may die at any moment and be replaced by another.

`ensure_job` and `poll` are enough for that; any process may call both any number of times.
"""

import time
from dataclasses import dataclass

from ingest_ray.catalog import run_channel
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.errors import RunInterrupted
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import close_run, prepare_run, request_stop, vouch_for
from ingest_ray.service.launching.ray_job import attach_job, find_latest_job, read_run_record
from ingest_ray.service.launching.ray_jobs_api import RayJobsClient
from ingest_ray.service.runs.run_liveness import VOUCH_EVERY_S, VOUCH_S, owner_of
from ingest_ray.service.runs.run_observer import ProgressReport

# A run that failed with one of these may succeed when it is tried again, as the published list of errors says.
RETRYABLE_CODES = frozenset(
    {
        "E_CLUSTER_UNAVAILABLE",
        "E_CONN_TEST_FAILED",
        "E_RUN_INTERRUPTED",
        "E_SINK_WRITE_FAILED",
        "E_SOURCE_PAGE_FAILED",
        "E_STAGE_LOST",
        "E_STAGING_UNAVAILABLE",
    }
)


@dataclass(frozen=True)
class RayJobWatch:
    installation: Installation
    jobs: RayJobsClient
    run_id: str

    def ensure_job(self) -> tuple[RunSummary, str | None]:
        """The run's summary and the id of the job that executes it; None where the run has ended for good."""
        summary = read_run_record(self.installation, self.run_id).summary
        if summary.state is RunState.FAILED and summary.error is not None and summary.error.code not in RETRYABLE_CODES:
            return summary, None
        summary = prepare_run(self.installation, self.run_id)
        if summary.state is not RunState.RUNNING:
            return summary, None
        return summary, attach_job(self.installation, self.jobs, self.run_id)

    def poll(self, job_id: str) -> RunSummary | None:
        """The summary of the ended run; None while it goes on.

        Raises:
            RunInterrupted: its job is over, and the run is not.
        """
        job = self.jobs.find(job_id)
        # The record is read after the job: a run ends before its job does.
        record = read_run_record(self.installation, self.run_id)
        summary = record.summary
        if summary.state is not RunState.RUNNING:
            return summary
        if job is None:
            raise RunInterrupted(
                f"run '{self.run_id}': the cluster has forgotten job '{job_id}': its head was replaced"
            )
        if job.status.is_over:
            how = f"exit code {job.driver_exit_code}" if job.driver_exit_code is not None else "no exit code"
            raise RunInterrupted(
                f"run '{self.run_id}': job '{job_id}' is {job.status} ({how}) before the run has its end",
                hint=f"ray job logs {job_id}",
            )
        until = owner_of(record).vouched_until
        if until is not None and until - time.time() < VOUCH_S - VOUCH_EVERY_S:  # the job waits for a node
            vouch_for(self.installation, [self.run_id])
        return None

    def read_progress(self) -> Progress | None:
        with self.installation.catalog.read() as connection:
            line = run_channel.find(connection, self.run_id)
        return ProgressReport.model_validate_json(line.progress).moment if line is not None and line.progress else None

    def stop(self, job_id: str, requested_by: str | None) -> None:
        """The job finishes the commit under way and leaves the rest; a job that starts later stops at once."""
        request_stop(self.installation, self.run_id, requested_by)
        self.jobs.stop(job_id)

    def close_run(self) -> RunSummary:
        """Ends the record of a run whose job is over or was never submitted."""
        job = find_latest_job(self.jobs, self.run_id)
        if job is not None and not job.status.is_over:
            summary = read_run_record(self.installation, self.run_id).summary
            if summary.state is RunState.RUNNING:
                raise RunInterrupted(f"run '{self.run_id}' goes on in job '{job.submission_id}'")
        return close_run(self.installation, self.run_id)
