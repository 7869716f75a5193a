"""Counts over the whole catalog, for monitoring."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest_ray.catalog import run_records, schedule_slots, unit_configs
from ingest_ray.catalog.schedule_slots import ScheduleRow
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.schedule_views import schedule_view


@dataclass(frozen=True)
class CatalogMetrics:
    """`runs`: by endpoint and state; `units`: by endpoint and whether they are enabled; `last_success`: seconds since
    1970, by endpoint; `overdue`: scheduled units whose slot has had no run, by endpoint, and `overdue_s`: for how long the oldest."""

    runs: Mapping[tuple[str, str], int]
    units: Mapping[tuple[str, bool], int]
    last_success: Mapping[str, float]
    overdue: Mapping[str, int]
    overdue_s: Mapping[str, float]


def read_metrics(installation: Installation) -> CatalogMetrics:
    with installation.catalog.read() as connection:
        counted = run_records.counted(connection)
        succeeded = run_records.last_success(connection)
        configured = unit_configs.listed(connection)
        slots = schedule_slots.listed(connection)
    overdue, overdue_s = _overdue(installation, [item.config for item in configured], slots)
    by_state = Counter((item.config.endpoint_id, item.config.enabled) for item in configured)
    return CatalogMetrics(
        runs=counted,
        units=by_state,
        last_success={name: datetime.fromisoformat(at).timestamp() for name, at in succeeded.items()},
        overdue=overdue,
        overdue_s=overdue_s,
    )


def _overdue(
    installation: Installation, configs: Sequence[UnitConfig], slots: Mapping[UnitRef, ScheduleRow]
) -> tuple[Mapping[str, int], Mapping[str, float]]:
    moment, count, longest = time.time(), Counter[str](), dict[str, float]()
    for config in configs:
        if config.schedule_kind == "MANUAL":
            continue
        count[config.endpoint_id] += 0
        since = schedule_view(installation, config, slots.get(config.ref), moment).overdue_since
        if since is not None:
            count[config.endpoint_id] += 1
            longest[config.endpoint_id] = max(longest.get(config.endpoint_id, 0.0), moment - since)
    return count, {name: longest.get(name, 0.0) for name in count}


def check_readiness(installation: Installation) -> None:
    """Raises `StateUnavailable` where catalog or KV do not answer."""
    with installation.catalog.read() as connection:
        run_records.counted(connection)
    installation.kv.get("ingest::ready")
