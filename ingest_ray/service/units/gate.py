"""The gate: admits units that may run, and raises a typed error for the others. It reads the catalog, never the source."""

import difflib

import sqlalchemy as sa

from ingest_ray.catalog import accepted_schema, dataset_versions, endpoints, run_records, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.kv.keys import unit_key
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import DatasetUnknown, UnitDisabled, UnitNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import DataMode, Dataset, Model, Unit, UnitConfig
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.policies.fit import Candidate, find_sink_of, fitted_order
from ingest_ray.service.units.policies.unfit_units import refuse_moved_unit
from ingest_ray.state import read_states


class SinkChoice(Model):
    """Overrides the configured sink for one run. In CDM mode the sink endpoint is the sink."""

    sink_id: str | None = None
    sink_endpoint_id: str | None = None

    def of(self, config: UnitConfig) -> UnitConfig:
        chosen = self.sink_endpoint_id if config.mode is DataMode.CDM and self.sink_endpoint_id else self.sink_id
        update = {
            "sink_id": chosen or config.sink_id,
            "sink_endpoint_id": self.sink_endpoint_id or config.sink_endpoint_id,
        }
        return config.model_copy(update=update)


def gate(
    installation: Installation,
    unit: UnitRef,
    run_id: str | None = None,
    sink: SinkChoice | None = None,
    launch_catalog: LaunchCatalog | None = None,
) -> RunOrder:
    """The order for a unit that may run now. Reads only catalog and state, and changes nothing. Units of one launch share a `LaunchCatalog`.

    The checks, in this order: endpoint, strategy, unit, dataset, enabled, CDM model and mapper, sink, then those of `fitted_order`.
    """
    launch_catalog = launch_catalog or LaunchCatalog()
    with installation.catalog.read() as connection:
        entry = endpoints.source(connection, unit.endpoint_id)
        strategy_for(entry.endpoint.template)
        dataset, offered = _find_dataset(connection, entry, unit.unit_id, launch_catalog)
        config = _enabled_config(connection, unit)
        config = sink.of(config) if sink is not None else config
        target = find_sink_of(connection, entry, offered, config, launch_catalog)
        before = accepted_schema.find(connection, unit, config.sink_id)
        launch_catalog.read_targets(connection)
    state = read_states(installation.kv, unit_key(entry.vendor, unit, config.sink_id))
    location = launch_catalog.sink_location(target.endpoint, installation.settings)
    refuse_moved_unit(state, config, installation.settings, location)
    candidate = Candidate(entry, offered, dataset, config, target, before)
    order = fitted_order(installation.settings, candidate, launch_catalog, run_id or new_id(), state.cursor)
    return order.model_copy(update={"spec": order.spec.model_copy(update={"learned": state.learned})})


def find_dataset(installation: Installation, unit: UnitRef) -> tuple[Registration, Dataset]:
    """The endpoint and dataset of a unit that need not be configured, for a preview."""
    with installation.catalog.read() as connection:
        entry = endpoints.source(connection, unit.endpoint_id)
        strategy_for(entry.endpoint.template)
        return entry, _find_dataset(connection, entry, unit.unit_id, LaunchCatalog())[0]


def _find_dataset(
    connection: sa.Connection, entry: Registration, unit_id: str, launch_catalog: LaunchCatalog
) -> tuple[Dataset, Unit]:
    endpoint_id = entry.endpoint.endpoint_id
    found = launch_catalog.find_unit(connection, entry, unit_id)
    if found is not None:
        return found[1], found[0]
    hint = f"ingest-ray collect {endpoint_id}"
    if not run_records.is_collected(connection, endpoint_id):
        raise DatasetUnknown(f"endpoint '{endpoint_id}' has no metadata in the catalog yet", hint=hint)
    version = dataset_versions.find(connection, endpoint_id, unit_id)
    if unit_configs.find(connection, UnitRef(endpoint_id, unit_id)) is not None or (version and version.gone_at):
        when = f", it is gone since {version.gone_at[:19]}" if version and version.gone_at else ""
        raise DatasetUnknown(
            f"the dataset of unit '{UnitRef(endpoint_id, unit_id)}' is not in the catalog{when}", hint=hint
        )
    known = launch_catalog.unit_ids(connection, entry)
    close = difflib.get_close_matches(unit_id, known, n=3, cutoff=0.5)
    says = (
        f"did you mean {', '.join(repr(name) for name in close)}?"
        if close
        else f"ingest-ray units {endpoint_id} shows them"
    )
    raise UnitNotFound(f"endpoint '{endpoint_id}' has no unit '{unit_id}'", hint=says)


def _enabled_config(connection: sa.Connection, unit: UnitRef) -> UnitConfig:
    found = unit_configs.find(connection, unit)
    if found is None:
        raise UnitDisabled(
            f"unit '{unit}' is not configured", hint="add a rule for it under units: in ingest.yaml, then apply"
        )
    if not found.config.enabled:
        raise UnitDisabled(
            f"unit '{unit}' is not enabled", hint="set enabled: true in its rule in ingest.yaml, then apply"
        )
    return found.config
