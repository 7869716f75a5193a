"""The launcher of a cluster: every run is a Ray job, and its submission id names the run and the number of the job.

    ingest-<run id>-1 is running    attach to it
    ... is over, the run is not     its driver died: submit ingest-<run id>-2, which continues from the checkpoint
    ... is over, and so is the run  nothing

A submitter may die at any moment, and two may submit at once: Ray accepts each id once.
"""

import shlex
from typing import Any

from ingest_ray.catalog import run_records
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import RunFault, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import JOB_SPEC_VARIABLE, STOP_WAIT_VARIABLE, JobSpec
from ingest_ray.service.launching.lifecycle import (
    WithinStart,
    fail_run,
    open_run,
    read_run_state,
    request_stop,
)
from ingest_ray.service.launching.ray_jobs_api import RayJob, RayJobsClient
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.record_keeping import fault_of

MOST_JOBS = 3  # of a run that none of them takes over: an image that does not start will not start the next time


class RayJobLauncher:
    def start(self, installation: Installation, request: RunRequest, within: WithinStart = lambda _: None) -> str:
        with RayJobsClient(installation.settings) as jobs:
            run_id = open_run(installation, request, within=within)
            try:
                attach_job(installation, jobs, run_id)
            except IngestError as error:
                fail_run(installation, run_id, fault_of(error))
                raise
        return run_id

    def restart(self, installation: Installation, run_id: str) -> None:
        with RayJobsClient(installation.settings) as jobs:
            last = find_latest_job(jobs, run_id)
            if last is not None and last.status.is_over and last.submission_id == submission_id(run_id, MOST_JOBS):
                reason = f"{MOST_JOBS} jobs ended before they took the run over; the last is {last.status}"
                fail_run(installation, run_id, RunFault(code="E_RUN_INTERRUPTED", message=reason))
                return
            attach_job(installation, jobs, run_id)

    def check(self, installation: Installation) -> None:
        with RayJobsClient(installation.settings) as jobs:
            jobs.find("ingest-check")

    def is_over(self, installation: Installation, run_id: str) -> bool:
        if read_run_record(installation, run_id).summary.state is not RunState.RUNNING:
            return True
        with RayJobsClient(installation.settings) as jobs:
            job = find_latest_job(jobs, run_id)
        return job is None or job.status.is_over

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        request_stop(installation, run_id, requested_by)

    def state(self, installation: Installation, run_id: str) -> RunState:
        """Before a job has taken the run over, the state of the job decides whether the run still goes on."""
        state = read_run_state(installation, run_id)
        if state is not RunState.FAILED or read_run_record(installation, run_id).summary.state is RunState.FAILED:
            return state
        with RayJobsClient(installation.settings) as jobs:
            job = find_latest_job(jobs, run_id)
        return RunState.RUNNING if job is not None and not job.status.is_over else state


def attach_job(installation: Installation, jobs: RayJobsClient, run_id: str) -> str:
    """The submission id of the job that executes the run: the job that is not over, or a new one."""
    number = 1
    while (job := jobs.find(submission_id(run_id, number))) is not None:
        if not job.status.is_over:
            return job.submission_id
        number += 1
    name = submission_id(run_id, number)
    entrypoint = f"exec {shlex.quote(installation.settings.ray.job_python)} -m ingest_ray.service.launching.run_process"  # exec: signals arrive there
    jobs.submit(name, entrypoint, runtime_env_of(installation, run_id), {"ingest_run": run_id})
    return name


def find_latest_job(jobs: RayJobsClient, run_id: str) -> RayJob | None:
    number, last = 1, None
    while (job := jobs.find(submission_id(run_id, number))) is not None:
        number, last = number + 1, job
    return last


def submission_id(run_id: str, number: int) -> str:
    return f"ingest-{run_id}-{number}"


def runtime_env_of(installation: Installation, run_id: str) -> dict[str, Any]:
    """The runtime environment of the settings, with the job spec and the time that Ray waits for a job that it stops."""
    environment = dict(installation.settings.ray.job_runtime_env)
    given = environment.get("env_vars", {})
    if not isinstance(given, dict):
        raise ConfigError("ray.job_runtime_env.env_vars: a mapping of names to texts is expected")
    added = {
        JOB_SPEC_VARIABLE: JobSpec(
            run_id=run_id, settings=installation.settings, trace=tracing.carrier()
        ).model_dump_json(),
        STOP_WAIT_VARIABLE: str(installation.settings.ray.stop_wait_s),
    }
    return {**environment, "env_vars": {**given, **added}}


def read_run_record(installation: Installation, run_id: str) -> RunRecord:
    with installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
    if record is None:
        raise ConfigError(f"there is no run '{run_id}'")
    return record


launcher = RayJobLauncher()
