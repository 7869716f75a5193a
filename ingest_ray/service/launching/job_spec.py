"""What the process of a run is told, and how: on its standard input, or, where a cluster starts it, in its environment.

Never in its arguments, which everybody on the machine can read. Secrets in it are references or sealed.
"""

import os
import sys

from ingest_ray.sdk.types import Model
from ingest_ray.settings import Settings

JOB_SPEC_VARIABLE = "INGEST_JOB"


class JobSpec(Model):
    run_id: str
    settings: Settings


def read_job_spec() -> JobSpec:
    """On a cluster, the run uses the cluster that the job belongs to, whatever whoever submitted it would use."""
    text = os.environ.get(JOB_SPEC_VARIABLE)
    if text is None:
        return JobSpec.model_validate_json(sys.stdin.buffer.read())
    job = JobSpec.model_validate_json(text)
    ray = job.settings.ray.model_copy(update={"address": "job"})
    return job.model_copy(update={"settings": job.settings.model_copy(update={"ray": ray})})
