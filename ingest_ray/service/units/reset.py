"""Forgets a unit's checkpoint: its next run starts from nothing. Rows in the sink stay where they are."""

from ingest_ray.catalog import accepted_schema, endpoints
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.errors import GateError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, WriteMode
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.gate import gate
from ingest_ray.service.units.listing import configured_unit
from ingest_ray.state import reset_state


class ResetResult(Model):
    endpoint_id: str
    unit_id: str
    sink_id: str
    segments: int


def configured_sink_id(installation: Installation, unit: UnitRef) -> str:
    """Raises `EndpointNotFound`, `UnitNotFound`."""
    with installation.catalog.read() as connection:
        return configured_unit(connection, unit).config.sink_id


def append_warning(installation: Installation, unit: UnitRef) -> str | None:
    """What a person must know before the reset of a unit that appends; None for others."""
    try:
        spec = gate(installation, unit).spec
    except GateError:  # it cannot run at all
        return None
    if spec.write_mode is not WriteMode.APPEND:
        return None
    return f"unit '{unit}' appends: its next run is refused until its table in sink '{spec.config.sink_id}' is empty"


def reset(installation: Installation, unit: UnitRef, sink_id: str | None = None) -> ResetResult:
    """`sink_id` None: the configured sink. Raises `RunActive` while the unit runs."""
    sink_id = sink_id or configured_sink_id(installation, unit)
    with installation.catalog.read() as connection:
        vendor = endpoints.source(connection, unit.endpoint_id).vendor
    forgotten = reset_state(installation.kv, unit_key(vendor, unit, sink_id))
    with installation.catalog.begin() as connection:
        accepted_schema.forget(connection, unit, sink_id)
    return ResetResult(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, sink_id=sink_id, segments=forgotten)
