"""The part of the catalog that the gate needs for all units of a launch, read once instead of once for each unit."""

from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa

from ingest_ray.catalog import dataset_versions, endpoints, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.registry import open_sink
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import DataMode, Dataset, Endpoint, Target, Unit, UnitConfig, WriteMode
from ingest_ray.secrets import resolve
from ingest_ray.service.units.listing import units_of
from ingest_ray.settings import Settings


class LaunchCatalog:
    """The catalog as one launch reads it. Each part is read at first use."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Mapping[str, Unit], Mapping[str, Dataset]]] = {}
        self._enabled: list[UnitConfig] | None = None
        self._sinks: Mapping[str, Endpoint] = {}
        self._writers: dict[str, Mapping[str, list[UnitRef]]] = {}

    def source(
        self, connection: sa.Connection, entry: Registration
    ) -> tuple[Mapping[str, Unit], Mapping[str, Dataset]]:
        """An endpoint's units by their id, and its datasets by theirs."""
        endpoint_id = entry.endpoint.endpoint_id
        if endpoint_id not in self._sources:
            found = {dataset.dataset_id: dataset for dataset in dataset_versions.current(connection, endpoint_id)}
            self._sources[endpoint_id] = {unit.unit_id: unit for unit in units_of(connection, entry)}, found
        return self._sources[endpoint_id]

    def read_targets(self, connection: sa.Connection) -> None:
        """Reads what `writers` needs, so that it needs no connection."""
        if self._enabled is None:
            self._enabled = [item.config for item in unit_configs.listed(connection) if item.config.enabled]
            self._sinks = {item.endpoint.endpoint_id: item.endpoint for item in endpoints.listed(connection, "sink")}

    def writers(self, template: str, settings: Settings) -> Mapping[str, list[UnitRef]]:
        """The enabled units that write to sinks of a template, by the location that they write to. Units in CDM mode are left
        out, because the tables of CDM models are shared."""
        if template not in self._writers:
            opened = {
                sink_id: open_sink(real)
                for sink_id, sink in self._sinks.items()
                if sink.template == template and (real := _resolved_or_none(sink, settings)) is not None
            }
            found: dict[str, list[UnitRef]] = defaultdict(list)
            for config in self._enabled or ():
                if config.sink_id in opened and config.mode is not DataMode.CDM:
                    found[opened[config.sink_id].location(_target(config))].append(config.ref)
            self._writers[template] = found
        return self._writers[template]


def _target(config: UnitConfig) -> Target:
    return Target(
        sink_id=config.sink_id,
        endpoint_id=config.endpoint_id,
        unit_id=config.unit_id,
        app_id="",
        write=WriteMode.APPEND,
    )


def _resolved_or_none(sink: Endpoint, settings: Settings) -> Endpoint | None:
    """None where a secret of the sink cannot be resolved on this host: its units cannot run here either."""
    try:
        return resolve(sink, settings)
    except IngestError:
        return None
