"""Dagster: an asset for each enabled unit, and a check of each that compares it with its source.

https://docs.dagster.io/guides/build/assets, https://docs.dagster.io/guides/test/asset-checks
"""

import re
from typing import Any

import dagster as dg

import ingest_ray
from ingest_ray.service.runs.execution import RunReport


def definitions(project: ingest_ray.Project, endpoint: str) -> dg.Definitions:
    """The assets of one endpoint. Dagster may start several at once: the lease of a unit keeps two runs of it apart."""
    units = [unit.unit_id for unit in project.units(endpoint).units if unit.enabled]
    return dg.Definitions(
        assets=[asset_of(project, endpoint, unit) for unit in units],
        asset_checks=[check_of(project, endpoint, unit) for unit in units],
    )


def key_of(endpoint: str, unit: str) -> dg.AssetKey:
    return dg.AssetKey([re.sub(r"\W", "_", endpoint), *(re.sub(r"\W", "_", part) for part in unit.split("."))])


def asset_of(project: ingest_ray.Project, endpoint: str, unit: str) -> dg.AssetsDefinition:
    @dg.asset(key=key_of(endpoint, unit), compute_kind="ingest_ray", description=f"{endpoint}:{unit}")
    def land() -> Any:
        return result_of(project.run(endpoint, unit), {})

    return land


def result_of(report: RunReport, more: dict[str, Any]) -> Any:
    """Raises `dagster.Failure` where the unit failed."""
    (summary,) = report.units
    if summary.error is not None:
        raise dg.Failure(description=summary.error.message, metadata={"code": summary.error.code})
    return dg.MaterializeResult(
        metadata={
            "rows read": summary.rows.read,
            "rows committed": summary.rows.committed,
            "rows in quarantine": summary.rows.quarantined,
            "run": summary.run_id,
            **more,
        }
    )


def check_of(project: ingest_ray.Project, endpoint: str, unit: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key_of(endpoint, unit), name="equals_source")
    def equals_source() -> Any:
        found = project.verify(endpoint, unit)
        return dg.AssetCheckResult(passed=found.state == "SUCCEEDED", metadata={"seconds": found.seconds})

    return equals_source
