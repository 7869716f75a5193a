"""Units that were loaded into a sink at another place than a file says: their checkpoint would claim rows that the new place does not have."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from ingest_ray.catalog import accepted_schema, endpoints
from ingest_ray.config import Config
from ingest_ray.kv.engine import parse
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import TargetChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, Model
from ingest_ray.secrets import open_url
from ingest_ray.secrets.locations import sink_location
from ingest_ray.service.installation import Installation
from ingest_ray.settings import Settings
from ingest_ray.state import read_states, reset_state
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter

Displacement = Literal["move", "reload"]
"""`move`: the tables were moved to the new place, and the checkpoints go along. `reload`: everything is loaded again there."""
NAMED = 5  # units that an error names


class DisplacedUnit(Model):
    """`loaded`, `location`: where its sink was when it was loaded, and where it is now."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    loaded: str
    location: str
    state_key: str

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


def has_catalog(settings: Settings) -> bool:
    """False where the embedded catalog does not exist yet; a dry run must not create it."""
    url = parse(open_url(settings.state_url, settings))
    return not url.drivername.startswith("sqlite") or Path(url.database or "").is_file()


def find_displaced_units(config: Config, *, is_asked: bool) -> list[DisplacedUnit]:
    """Reads the checkpoints of the units of those sinks only whose location the file changes; where `is_asked`, of all sinks.

    Raises:
        StateError: they cannot be read.
    """
    if not has_catalog(config.settings):
        return []
    installation = Installation(config.settings)
    try:
        with installation.catalog.read() as connection:
            old, new = _locations(connection, config)
            wanted = {
                sink_id for sink_id, location in new.items() if is_asked or old.get(sink_id) not in (None, location)
            }
            loaded = [item for item in sorted(accepted_schema.listed(connection)) if item[2] in wanted]
            vendors = {entry.endpoint.endpoint_id: entry.vendor for entry in endpoints.listed(connection, "source")}
        return list(_displaced(installation.kv, loaded, vendors, old, new)) if loaded else []
    finally:
        installation.catalog.close()


def _locations(connection: sa.Connection, config: Config) -> tuple[dict[str, str], dict[str, str]]:
    """Of each sink: where it is in the catalog, and where it will be. Without those of which this process cannot tell."""
    stored = {entry.endpoint.endpoint_id: entry.endpoint for entry in endpoints.listed(connection, "sink")}
    coming = {**stored, **{sink.endpoint_id: sink for sink in config.sinks}}

    def located(sinks: Mapping[str, Endpoint]) -> dict[str, str]:
        found = {name: sink_location(sink, config.settings) for name, sink in sinks.items()}
        return {name: location for name, location in found.items() if location is not None}

    return located(stored), located(coming)


def _displaced(
    kv: KV,
    loaded: Sequence[tuple[str, str, str]],
    vendors: Mapping[str, str],
    old: Mapping[str, str],
    new: Mapping[str, str],
) -> Iterator[DisplacedUnit]:
    for endpoint_id, unit_id, sink_id in loaded:
        vendor = vendors.get(endpoint_id)
        if vendor is None:  # its source is not registered any more
            continue
        key = unit_key(vendor, UnitRef(endpoint_id, unit_id), sink_id)
        state = read_states(kv, key)
        location = state.location or old.get(sink_id, "")  # states of older versions have no location
        if (state.segments or state.sequence) and location and location != new[sink_id]:
            yield DisplacedUnit(
                endpoint_id=endpoint_id,
                unit_id=unit_id,
                sink_id=sink_id,
                loaded=location,
                location=new[sink_id],
                state_key=key,
            )


def displaced_error(units: Sequence[DisplacedUnit]) -> TargetChanged:
    lines = []
    for sink_id in dict.fromkeys(unit.sink_id for unit in units):
        mine = [unit for unit in units if unit.sink_id == sink_id]
        names = ", ".join(str(unit.ref) for unit in mine[:NAMED]) + (" and others" if len(mine) > NAMED else "")
        count = "1 unit was" if len(mine) == 1 else f"{len(mine)} units were"
        lines.append(
            f"sink '{sink_id}': {count} loaded at '{mine[0].loaded}', and the file says '{mine[0].location}': {names}"
        )
    return TargetChanged(
        "\n".join(lines),
        hint="where their tables were moved there: `ingest-ray apply --move`, and the checkpoints go along; to load everything again "
        "there: `ingest-ray apply --reload`",
    )


def record_old_locations(settings: Settings, units: Sequence[DisplacedUnit]) -> None:
    """Before the catalog changes: an apply that dies afterwards leaves units that a run refuses, and that the next apply settles.

    Raises:
        RunActive: a unit has a live run; no checkpoint of it was changed.
    """
    kv = Installation(settings).kv
    for unit in units:
        _note_location(kv, unit.state_key, unit.loaded)


def settle_displaced_units(settings: Settings, units: Sequence[DisplacedUnit], how: Displacement) -> None:
    """Repeating it changes nothing. Raises `RunActive` for a run that began since."""
    installation = Installation(settings)
    for unit in units:
        if how == "move":
            _note_location(installation.kv, unit.state_key, unit.location)
            continue
        reset_state(installation.kv, unit.state_key)
        with installation.catalog.begin() as connection:
            accepted_schema.forget(connection, unit.ref, unit.sink_id)


def _note_location(kv: KV, key: str, location: str) -> None:
    state = StateWriter.begin(kv, key, "move", this_process())
    try:
        state.note_location(location)
    finally:
        state.end()
