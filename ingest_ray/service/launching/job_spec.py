"""The input of a run's process: read from standard input, or from `$INGEST_JOB` where a cluster starts the process.

It is never passed as arguments, which every user of the machine can read. Secrets in it are references or sealed.
"""

import os
import sys

from pydantic import Field

from ingest_ray.sdk.types import Model
from ingest_ray.settings import Settings

JOB_SPEC_VARIABLE = "INGEST_JOB"


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
    job = JobSpec.model_validate_json(text)
    ray = job.settings.ray.model_copy(update={"address": "job"})
    return job.model_copy(update={"settings": job.settings.model_copy(update={"ray": ray})})
