"""Prefect: a flow that lands the units of an endpoint, each in a task that is tried again.

https://docs.prefect.io/v3/develop/write-tasks
"""

from prefect import flow, task

import ingest_ray


@task(retries=2, retry_delay_seconds=30)
async def land(file: str, endpoint: str, unit: str) -> int:
    """Returns the rows that were committed. Cancelling the flow stops the run after the commit under way; a retry goes on there."""
    with ingest_ray.open(file) as project:
        report = await project.run_async(endpoint, unit)
    (summary,) = report.units
    if summary.error is not None:
        raise RuntimeError(f"{summary.error.message} [{summary.error.code}]")
    return summary.rows.committed


@flow
async def land_all(file: str, endpoint: str) -> int:
    with ingest_ray.open(file) as project:
        units = [unit.unit_id for unit in project.units(endpoint).units if unit.enabled]
    return sum([await land(file, endpoint, unit) for unit in units])
