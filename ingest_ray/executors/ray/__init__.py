"""The only users of Ray. Each actor is a thin shell around a plain object of `engine.steps` or `state`."""

import sys

from ingest_ray.process.tuning import tune_process
from ingest_ray.process.unused_pandas import leave_out_pandas

# This is the first module of ours that a worker process of Ray imports. Other processes are not only ours: a notebook, a service.
if sys.argv[0].endswith("default_worker.py"):
    tune_process()
    leave_out_pandas()
