"""The input of a run's process: read from standard input, or from `$INGEST_JOB` where a cluster starts the process.

It is never passed as arguments, which every user of the machine can read. Secrets in it are references or sealed.
"""

import json
import os
import sys

from pydantic import Field

from ingest_ray.sdk.types import Model
from ingest_ray.settings import Settings

JOB_SPEC_VARIABLE = "INGEST_JOB"
STOP_WAIT_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"  # how long the process that starts the job waits for its end
RAY_JOB_CONFIG_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # what the entrypoint of a job passes to the workers of its run


class JobSpec(Model):
    run_id: str
    settings: Settings
    trace: dict[str, str] = Field(default_factory=dict)
    """The span that starts the process, as headers; empty: that of the request for the run."""


def read_job_spec() -> JobSpec:
    """`$INGEST_JOB` sets the Ray address to `job`: the run uses the cluster that started it, not the submitter's."""
    text = os.environ.get(JOB_SPEC_VARIABLE)
    if text is None:
        return JobSpec.model_validate_json(sys.stdin.buffer.read())
    keep_from_workers()
    job = JobSpec.model_validate_json(text)
    ray = job.settings.ray.model_copy(update={"address": "job"})
    return job.model_copy(update={"settings": job.settings.model_copy(update={"ray": ray})})


def keep_from_workers() -> None:
    """Takes the variables that are for the job's own process out of what Ray sets for the workers of its run.

    A worker with a runtime environment of its own is started for its job, which costs twice the CPU; without one it comes from the
    prestarted pool. https://docs.ray.io/en/latest/ray-core/handling-dependencies.html
    """
    text = os.environ.get(RAY_JOB_CONFIG_VARIABLE)
    if not text:
        return
    config = json.loads(text)
    environment = config.get("runtime_env") or {}
    given = environment.get("env_vars") or {}
    kept = {name: value for name, value in given.items() if name not in (JOB_SPEC_VARIABLE, STOP_WAIT_VARIABLE)}
    config["runtime_env"] = {name: value for name, value in environment.items() if name != "env_vars"}
    if kept:
        config["runtime_env"]["env_vars"] = kept
    os.environ[RAY_JOB_CONFIG_VARIABLE] = json.dumps(config)
