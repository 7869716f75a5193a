"""The part of the catalog that the gate needs for all units of a launch, read once instead of once for each unit.

A launch of a few units reads only their datasets, however many the endpoint has.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from ingest_ray.catalog import accepted_schema, dataset_versions, endpoints, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.unit_configs import RawConfig
from ingest_ray.registry import open_sink
from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import DataMode, Dataset, Endpoint, Target, Unit, UnitConfig, WriteMode
from ingest_ray.secrets import masked, resolve
from ingest_ray.secrets.locations import sink_location
from ingest_ray.service.units.listing import offered_units
from ingest_ray.settings import Settings

FEW_UNITS = 20  # up to here datasets are read one by one; an endpoint may have tens of thousands


class LaunchCatalog:
    """The catalog as one launch of `units` units reads it. Each part is read at first use."""

    def __init__(self, units: int = 1) -> None:
        self._is_few = units <= FEW_UNITS
        self._sources: dict[str, tuple[Mapping[str, Unit], Mapping[str, Dataset]]] = {}
        self._configs: list[RawConfig] | None = None
        self._accepted: frozenset[tuple[str, str, str]] = frozenset()
        self._sinks: Mapping[str, Endpoint] = {}
        self._registered: dict[str, Registration | None] = {}
        self._opened: dict[str, Sink | None] = {}
        self._hidden: dict[str, Endpoint] = {}
        self._locations: dict[str, str | None] = {}
        self._writers: dict[str, Mapping[str, list[RawConfig]]] = {}
        self._inner: dict[str, dict[str, list[RawConfig]]] = {}

    def find_unit(self, connection: sa.Connection, entry: Registration, unit_id: str) -> tuple[Unit, Dataset] | None:
        """A unit that the endpoint offers, with its dataset."""
        if self._is_few:
            version = dataset_versions.find(connection, entry.endpoint.endpoint_id, unit_id)
            if version is None or version.gone_at is not None:
                return None
            offered = offered_units(entry, [version.dataset])
            return next(((unit, version.dataset) for unit in offered if unit.unit_id == unit_id), None)
        known, found = self._source(connection, entry)
        unit = known.get(unit_id)
        return (unit, found[unit.dataset_id]) if unit is not None and unit.dataset_id in found else None

    def unit_ids(self, connection: sa.Connection, entry: Registration) -> list[str]:
        return list(self._source(connection, entry)[0])

    def _source(
        self, connection: sa.Connection, entry: Registration
    ) -> tuple[Mapping[str, Unit], Mapping[str, Dataset]]:
        """An endpoint's units by their id, and its datasets by theirs."""
        endpoint_id = entry.endpoint.endpoint_id
        if endpoint_id not in self._sources:
            found = {dataset.dataset_id: dataset for dataset in dataset_versions.current(connection, endpoint_id)}
            self._sources[endpoint_id] = (
                {unit.unit_id: unit for unit in offered_units(entry, list(found.values()))},
                found,
            )
        return self._sources[endpoint_id]

    def read_targets(self, connection: sa.Connection) -> None:
        """Reads what `other_writers` needs, so that it needs no connection."""
        if self._configs is None:
            self._configs = unit_configs.enabled_raw(connection)
            self._accepted = accepted_schema.listed(connection)
            self._sinks = {item.endpoint.endpoint_id: item.endpoint for item in endpoints.listed(connection, "sink")}

    def hidden(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint without its secrets, for checks that must not connect."""
        found = self._hidden.get(endpoint.endpoint_id)
        if found is None:
            found = self._hidden[endpoint.endpoint_id] = masked(endpoint)
        return found

    def find_sink(self, connection: sa.Connection, sink_id: str) -> Registration | None:
        if sink_id not in self._registered:
            self._registered[sink_id] = endpoints.find(connection, sink_id, "sink")
        return self._registered[sink_id]

    def sink(self, sink: Endpoint, settings: Settings) -> Sink:
        """The open sink, shared by the units of the launch. Raises `ConfigError` where a secret cannot be resolved here."""
        opened = self._opened.get(sink.endpoint_id)
        if opened is None:
            opened = self._opened[sink.endpoint_id] = open_sink(resolve(sink, settings))
        return opened

    def sink_location(self, sink: Endpoint, settings: Settings) -> str | None:
        if sink.endpoint_id not in self._locations:
            self._locations[sink.endpoint_id] = sink_location(sink, settings)
        return self._locations[sink.endpoint_id]

    def other_writers(self, unit: UnitRef, sink: Endpoint, where: str, settings: Settings) -> list[UnitRef]:
        """Other enabled units with the same location in a sink of the same template, or with one inside of the other, except where this unit was loaded and
        none of them was: the table is this unit's then. Units in CDM mode are left out, because the tables of CDM models are
        shared."""
        writers = self._writers_to(sink.template, settings)
        near = [*writers.get(where, ()), *self._nested(sink.template, where, writers)]
        found = [item for item in near if item.ref != unit]
        others = [config for config in (item.parsed() for item in found) if _writes_a_table(config)]
        if (unit.endpoint_id, unit.unit_id, sink.endpoint_id) in self._accepted and not any(
            (config.endpoint_id, config.unit_id, config.sink_id) in self._accepted for config in others
        ):
            return []
        return [config.ref for config in others]

    def _nested(self, template: str, where: str, writers: Mapping[str, list[RawConfig]]) -> Iterator[RawConfig]:
        """Writers to folders around or inside of `where`: maintenance of the outer table would remove files of the inner one."""
        if template not in self._inner:
            self._inner[template] = defaultdict(list)
            for location, found in writers.items():
                for folder in _folders_around(location):
                    self._inner[template][folder] += found
        yield from self._inner[template].get(where, ())
        for folder in _folders_around(where):
            yield from writers.get(folder, ())

    def _writers_to(self, template: str, settings: Settings) -> Mapping[str, list[RawConfig]]:
        if template not in self._writers:
            opened = {
                sink_id: real
                for sink_id, sink in self._sinks.items()
                if sink.template == template and (real := self._opened_or_none(sink, settings)) is not None
            }
            found: dict[str, list[RawConfig]] = defaultdict(list)
            for item in self._configs or ():
                if item.sink_id in opened:
                    found[opened[item.sink_id].location(_target(item))].append(item)
            self._writers[template] = found
        return self._writers[template]

    def _opened_or_none(self, sink: Endpoint, settings: Settings) -> Sink | None:
        """None where a secret of the sink cannot be resolved on this host: its units cannot run here either."""
        try:
            return self.sink(sink, settings)
        except IngestError:
            return None


def _folders_around(location: str) -> Iterator[str]:
    end = location.rfind("/")
    while end > 0:
        yield location[:end]
        end = location.rfind("/", 0, end)


def _writes_a_table(config: UnitConfig) -> bool:
    return config.enabled and config.mode is not DataMode.CDM


def _target(item: RawConfig) -> Target:
    return Target(
        sink_id=item.sink_id,
        endpoint_id=item.endpoint_id,
        unit_id=item.unit_id,
        table=item.table,
        app_id="",
        write=WriteMode.APPEND,
    )
