"""Counts over the whole catalog, for monitoring."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ingest_ray.catalog import run_records, unit_configs
from ingest_ray.service.installation import Installation


@dataclass(frozen=True)
class CatalogMetrics:
    """`runs`: by endpoint and state; `units`: by endpoint and whether they are enabled; `last_success`: seconds since
    1970, by endpoint."""

    runs: Mapping[tuple[str, str], int]
    units: Mapping[tuple[str, bool], int]
    last_success: Mapping[str, float]


def read_metrics(installation: Installation) -> CatalogMetrics:
    with installation.catalog.read() as connection:
        counted = run_records.counted(connection)
        succeeded = run_records.last_success(connection)
        configured = unit_configs.listed(connection)
    by_state = Counter((item.config.endpoint_id, item.config.enabled) for item in configured)
    return CatalogMetrics(
        runs=counted,
        units=by_state,
        last_success={name: datetime.fromisoformat(at).timestamp() for name, at in succeeded.items()},
    )


def check_readiness(installation: Installation) -> None:
    """Raises `StateUnavailable` where catalog or KV do not answer."""
    with installation.catalog.read() as connection:
        run_records.counted(connection)
    installation.kv.get("ingest::ready")
