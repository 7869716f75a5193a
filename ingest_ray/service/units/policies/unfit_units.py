"""Finds the enabled units that a run would refuse, before there is a run. Reads the catalog, never the source."""

from collections.abc import Collection, Iterator

import sqlalchemy as sa

from ingest_ray import logs
from ingest_ray.catalog import accepted_schema, endpoints, run_records, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.engine.masking.layout import refuse_other_layout
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.errors import ConfigError, GateError, IngestError, SourceChanged, TargetChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitConfig, UnitSpec
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.policies.fit import Candidate, find_sink_of, fitted_order
from ingest_ray.settings import Settings
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.writer import refuse_other_location, refuse_other_table

UNFIT = (GateError, ConfigError, SourceChanged)


class UnfitUnit(Model):
    """A unit that cannot run as it is configured, and why."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    code: str
    message: str
    hint: str | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


def unfit_units(connection: sa.Connection, settings: Settings, endpoint_id: str | None = None) -> list[UnfitUnit]:
    """Of one endpoint, or of all that are collected. Units whose dataset has vanished are left out."""
    return [found for found in checked_units(connection, settings, endpoint_id) if isinstance(found, UnfitUnit)]


def checked_units(
    connection: sa.Connection, settings: Settings, endpoint_id: str | None = None
) -> Iterator[UnfitUnit | UnitSpec]:
    """Each enabled unit: as a run would carry it out, with the cursor, the run mode and the write mode that are chosen, or why not."""
    for entry in endpoints.listed(connection, "source"):
        source_id = entry.endpoint.endpoint_id
        if endpoint_id in (None, source_id) and run_records.is_collected(connection, source_id):
            yield from _checked_units_of(connection, settings, entry)


def _checked_units_of(
    connection: sa.Connection, settings: Settings, entry: Registration
) -> Iterator[UnfitUnit | UnitSpec]:
    configs = [item.config for item in unit_configs.listed(connection, entry.endpoint.endpoint_id)]
    enabled = [config for config in configs if config.enabled]
    launch_catalog = LaunchCatalog(len(enabled))
    launch_catalog.read_targets(connection)
    for config in enabled:
        try:
            spec = _fitted(connection, settings, entry, config, launch_catalog)
        except UNFIT as error:
            yield unfit_unit(config, error)
        else:
            if spec is not None:
                yield spec


def _fitted(
    connection: sa.Connection,
    settings: Settings,
    entry: Registration,
    config: UnitConfig,
    launch_catalog: LaunchCatalog,
) -> UnitSpec | None:
    """None where the dataset has vanished."""
    found = launch_catalog.find_unit(connection, entry, config.unit_id)
    if found is None:
        return None
    sink = find_sink_of(connection, entry, found[0], config, launch_catalog)
    return fitted_order(settings, Candidate(entry, *found, config, sink), launch_catalog, run_id="").spec


def moved_units(connection: sa.Connection, installation: Installation, names: Collection[str]) -> list[UnfitUnit]:
    """Those of `names` that were loaded into another table, or with other masks, than they are configured for. Reads their states."""
    found = []
    launch_catalog = LaunchCatalog()
    loaded = accepted_schema.listed(
        connection
    )  # only of these is there a state; asking makes its table, which the catalog's lock would block
    for item in unit_configs.listed(connection) if names else ():
        config = item.config
        if (config.endpoint_id, config.unit_id, config.sink_id) not in loaded:
            continue
        entry = endpoints.find(connection, config.endpoint_id, "source")
        if str(config.ref) not in names or entry is None or not config.enabled:
            continue
        try:
            state = read_states(installation.kv, unit_key(entry.vendor, config.ref, config.sink_id))
            sink = launch_catalog.find_sink(connection, config.sink_id)
            location = launch_catalog.sink_location(sink.endpoint, installation.settings) if sink is not None else None
            refuse_moved_unit(state, config, installation.settings, location)
        except UNFIT as error:
            found.append(unfit_unit(config, error))
    return found


def refuse_moved_unit(state: UnitState, config: UnitConfig, settings: Settings, location: str | None) -> None:
    """Raises `TargetChanged` where the unit was loaded into another table or sink, or with other masks, than it is configured for.
    `location`: of the sink now, as `sink_location` writes it."""
    if not state.segments and not state.sequence:
        return
    try:
        refuse_other_table(state.table, config.table)
        refuse_other_location(state.location, location)
        refuse_other_layout(state.layout, config, settings)
    except TargetChanged as error:
        raise TargetChanged(f"unit '{config.ref}': {error.message}", hint=error.hint) from None


def unfit_unit(config: UnitConfig, error: IngestError) -> UnfitUnit:
    return UnfitUnit(
        endpoint_id=config.endpoint_id,
        unit_id=config.unit_id,
        sink_id=config.sink_id,
        code=error.code,
        message=logs.scrub(error.message),
        hint=logs.scrub(error.hint) if error.hint else None,
    )
