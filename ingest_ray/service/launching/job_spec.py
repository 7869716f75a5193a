"""What the process of a run is told, and how: on its standard input, or, where a cluster starts it, in its environment.

Never in its arguments, which everybody on the machine can read. Secrets in it are references or sealed.
"""

import os
import sys

from ingest_ray.sdk.types import Model
from ingest_ray.settings import Settings

VARIABLE = "INGEST_JOB"


class Job(Model):
    run_id: str
    settings: Settings


def told() -> Job:
    """On a cluster, the run uses the cluster that the job belongs to, whatever whoever submitted it would use."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return Job.model_validate_json(sys.stdin.buffer.read())
    job = Job.model_validate_json(text)
    ray = job.settings.ray.model_copy(update={"address": "job"})
    return job.model_copy(update={"settings": job.settings.model_copy(update={"ray": ray})})
