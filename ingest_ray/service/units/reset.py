"""Forgets a unit's checkpoint: its next run starts from nothing. Rows in the sink stay where they are."""

from ingest_ray.catalog import accepted_schema, endpoints, unit_configs
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.errors import UnitNotFound
from ingest_ray.sdk.types import Model
from ingest_ray.service.installation import Installation
from ingest_ray.state import reset_state


class ResetDone(Model):
    endpoint_id: str
    unit_id: str
    sink_id: str
    segments: int


def sink_of(installation: Installation, endpoint_id: str, unit_id: str) -> str:
    """Raises `EndpointNotFound`, `UnitNotFound`."""
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        found = unit_configs.find(connection, endpoint_id, unit_id)
    if found is None:
        raise UnitNotFound(
            f"endpoint '{endpoint_id}' has no configured unit '{unit_id}'", hint=f"ingest-ray units {endpoint_id}"
        )
    return found.config.sink_id


def reset(installation: Installation, endpoint_id: str, unit_id: str, sink_id: str | None = None) -> ResetDone:
    """`sink_id` None: the configured sink. Raises `RunActive` while the unit runs."""
    sink_id = sink_id or sink_of(installation, endpoint_id, unit_id)
    with installation.catalog.read() as connection:
        vendor = endpoints.source(connection, endpoint_id).vendor
    forgotten = reset_state(installation.kv, unit_key(vendor, endpoint_id, unit_id, sink_id))
    with installation.catalog.begin() as connection:
        accepted_schema.forget(connection, endpoint_id, unit_id, sink_id)
    return ResetDone(endpoint_id=endpoint_id, unit_id=unit_id, sink_id=sink_id, segments=forgotten)
