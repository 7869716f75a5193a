"""Runs units: `launch` over many, `run` for one, and one module for each way to execute an attempt."""

from ingest_ray.run.cluster_lease import ClusterLease
from ingest_ray.run.comparison import VerifyOptions, reconcile_unit, verify_unit
from ingest_ray.run.launch import launch, run_unit, run_units
from ingest_ray.run.preview import preview_plan
from ingest_ray.run.start_retry import RunStopped, retry_unavailable

__all__ = [
    "ClusterLease",
    "RunStopped",
    "VerifyOptions",
    "launch",
    "preview_plan",
    "reconcile_unit",
    "retry_unavailable",
    "run_unit",
    "run_units",
    "verify_unit",
]
