"""Lists all sources with counts of their units."""

from collections import Counter

from ingest_ray.catalog import endpoints, run_records, unit_configs
from ingest_ray.sdk.types import Model, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.unit_status import statuses_of


class EndpointOverview(Model):
    """A source; counts are of its configured units."""

    endpoint_id: str
    template: str
    collected_at: str | None = None
    units: int = 0
    enabled: int = 0
    running: int = 0
    failed: int = 0


def list_endpoints(installation: Installation) -> list[EndpointOverview]:
    with installation.catalog.read() as connection:
        known = endpoints.listed(connection, "source")
        configured = unit_configs.listed(connection)
        collected = run_records.latest_collections(connection, [entry.endpoint.endpoint_id for entry in known])
        statuses = statuses_of(connection, installation, configured)
    total = Counter(item.config.endpoint_id for item in configured)
    enabled = Counter(item.config.endpoint_id for item in configured if item.config.enabled)
    states = Counter((status.endpoint_id, status.state) for status in statuses)
    return [
        EndpointOverview(
            endpoint_id=name,
            template=entry.endpoint.template,
            collected_at=collected[name].completed_at if name in collected else None,
            units=total[name],
            enabled=enabled[name],
            running=states[name, RunState.RUNNING],
            failed=states[name, RunState.FAILED],
        )
        for entry in known
        for name in [entry.endpoint.endpoint_id]
    ]
