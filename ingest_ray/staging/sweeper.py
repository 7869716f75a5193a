"""Sweeps the pages of dead runs from staging."""

from collections.abc import Collection

from ingest_ray.sdk.contracts import Staging


def sweep_stale(staging: Staging, live_runs: Collection[str]) -> dict[str, int]:
    """Sweeps every run that is not live; returns the bytes freed per run."""
    return {run_id: staging.sweep(run_id) for run_id in staging.runs() if run_id not in live_runs}
