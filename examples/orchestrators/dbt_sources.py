"""dbt: writes `sources.yml` from the catalog, with freshness of the column `_ingest_at` that every row has.

https://docs.getdbt.com/reference/source-properties, https://docs.getdbt.com/reference/resource-properties/freshness
"""

import re
from typing import Any

import yaml

import ingest_ray


def sources(project: ingest_ray.Project, endpoint: str, schema: str, *, warn_after_hours: int = 24) -> str:
    """`schema`: of the database in which the tables of the SQL sink are."""
    freshness = {"warn_after": {"count": warn_after_hours, "period": "hour"}}
    tables = [_table(unit.unit_id) for unit in project.units(endpoint).units if unit.enabled]
    source: dict[str, Any] = {
        "name": endpoint,
        "schema": schema,
        "loaded_at_field": "_ingest_at",
        "freshness": freshness,
        "tables": tables,
    }
    return yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False)


def _table(unit: str) -> dict[str, Any]:
    """The SQL sinks make `public_orders` of `public.orders`."""
    name = re.sub(r"\W", "_", unit)
    return {"name": name, "description": f"landed by ingest_ray from {unit}"}
