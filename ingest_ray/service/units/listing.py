"""Lists the units of endpoints with their configuration, and derives configurations from rules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import sqlalchemy as sa
from pydantic import Field, JsonValue

from ingest_ray.catalog import dataset_versions, endpoints, run_records, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.cdm import find_mapper
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import StrategyMissing, UnitNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset, Model, RunFault, RunMode, Unit, UnitConfig, WriteMode
from ingest_ray.secrets import masked
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.rules import RuleFault, expand_rules


class UnitView(Model):
    """A unit and its configuration; without one, it is not enabled and has no sink."""

    endpoint_id: str
    unit_id: str
    dataset_id: str
    kind: str
    display_name: str = ""
    driver_id: str = ""
    default_mode: RunMode = RunMode.FULL
    cdm_model_ids: tuple[str, ...] = ()
    filter_kind: str | None = None
    """The vendor, where its strategy can filter."""
    stats: dict[str, JsonValue] = Field(default_factory=dict)
    default_policy: dict[str, JsonValue] = Field(default_factory=dict)
    enabled: bool = False
    run_mode: RunMode
    supported_modes: tuple[RunMode, ...]
    sink_id: str | None = None
    data_mode: str = "raw"
    schedule_minutes: int | None = None
    schedule: str | None = None
    """In words, of all tasks; None: it runs when it is started."""
    cursor: str | None = None
    primary_key: tuple[str, ...] = ()
    estimated_rows: int | None = None
    columns: int = 0
    origin: Literal["rule", "set"] | None = None
    """`rule`: a rule of ingest.yaml configures it; `set`: a person did, and rules do not apply; None: it is not configured."""
    fault: RunFault | None = None
    """Why a run would refuse the unit; only an enabled unit of `list_checked_units` has it, and the three below."""
    effective_run_mode: RunMode | None = None
    """What a run would do: FULL where an INCREMENTAL unit has no cursor and falls back."""
    write: WriteMode | None = None
    choice: str | None = None
    """What was chosen for the unit, and why, for a person."""

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class EndpointUnits(Model):
    endpoint_id: str
    is_collected: bool
    collected_at: str | None = None
    units: tuple[UnitView, ...] = ()


def list_units(installation: Installation, endpoint_id: str) -> EndpointUnits:
    """Raises `EndpointNotFound`, `StrategyMissing`. Makes no request to the source."""
    with installation.catalog.read() as connection:
        entry = endpoints.source(connection, endpoint_id)
        found = {dataset.dataset_id: dataset for dataset in dataset_versions.current(connection, endpoint_id)}
        stored = {item.config.unit_id: item for item in unit_configs.listed(connection, endpoint_id)}
        done = [run for run in run_records.collection_runs(connection, endpoint_id) if run.status == "SUCCEEDED"]
        views = []
        descriptor = strategy_for(entry.endpoint.template).descriptor
        for unit in units_of(connection, entry):
            dataset, item = found[unit.dataset_id], stored.get(unit.unit_id)
            config = item.config if item is not None else None
            views.append(
                UnitView(
                    endpoint_id=endpoint_id,
                    unit_id=unit.unit_id,
                    dataset_id=unit.dataset_id,
                    kind=unit.kind,
                    display_name=unit.display_name,
                    driver_id=unit.driver_id,
                    default_mode=unit.default_mode,
                    cdm_model_ids=unit.cdm_model_ids,
                    filter_kind=entry.vendor if "filters" in descriptor.capabilities else None,
                    stats=unit.stats,
                    default_policy={"cursor": own} if isinstance(own := dataset.facts.get("cursor"), str) else {},
                    enabled=config.enabled if config else False,
                    run_mode=config.run_mode if config else unit.default_mode,
                    supported_modes=unit.supported_modes,
                    sink_id=config.sink_id if config else None,
                    data_mode=config.mode.value if config else "raw",
                    schedule_minutes=config.schedule_interval_minutes if config else None,
                    schedule=config.schedule_text if config else None,
                    cursor=config.policy.cursor if config else None,
                    primary_key=(config.policy.primary_key if config else ()) or dataset.primary_key,
                    estimated_rows=dataset.estimated_rows,
                    columns=len(dataset.columns),
                    origin=item.origin if item is not None else None,
                )
            )
    return EndpointUnits(
        endpoint_id=endpoint_id,
        is_collected=bool(done),
        collected_at=done[0].completed_at if done else None,
        units=tuple(views),
    )


def find_unit(installation: Installation, endpoint_id: str, unit_id: str) -> UnitView:
    """Raises `EndpointNotFound`, `StrategyMissing`, `UnitNotFound`."""
    for view in list_units(installation, endpoint_id).units:
        if view.unit_id == unit_id:
            return view
    raise UnitNotFound(f"endpoint '{endpoint_id}' has no unit '{unit_id}'", hint=f"ingest-ray units {endpoint_id}")


def units_of(connection: sa.Connection, entry: Registration) -> list[Unit]:
    """The units of an endpoint, from catalog datasets only."""
    return offered_units(entry, dataset_versions.current(connection, entry.endpoint.endpoint_id))


def offered_units(entry: Registration, found: Sequence[Dataset]) -> list[Unit]:
    """The units of these datasets of the endpoint. Makes no request to the source."""
    endpoint = entry.endpoint
    return list(strategy_for(endpoint.template).list_units(masked(endpoint), found)) if found else []


def configured_unit(connection: sa.Connection, unit: UnitRef) -> Configured:
    """Raises `EndpointNotFound`, `UnitNotFound`."""
    endpoints.source(connection, unit.endpoint_id)
    stored = unit_configs.find(connection, unit)
    if stored is None:
        raise UnitNotFound(
            f"endpoint '{unit.endpoint_id}' has no configured unit '{unit.unit_id}'",
            hint=f"ingest-ray units {unit.endpoint_id}",
        )
    return stored


UnitChanged = tuple[Literal["+", "~", "-"], str, tuple[str, ...]]


def configure_units(
    connection: sa.Connection, faults: list[RuleFault], skipped: list[UnitRef]
) -> Iterator[UnitChanged]:
    """Applies the rules to the units that the catalog has now; yields the changes, adds the rules that cannot be applied to
    `faults`, and to `skipped` the units in CDM mode that have no mapper and that only patterns select.

    Configurations that were set by hand stay as they are. Configurations of a vanished dataset stay, too: the gate refuses
    them, and they apply again when the dataset comes back.
    """
    collected: dict[str, list[Unit]] = {}
    names: dict[UnitRef, Mapping[str, str]] = {}
    templates: dict[str, str] = {}
    for entry in endpoints.listed(connection, "source"):
        endpoint_id = entry.endpoint.endpoint_id
        templates[endpoint_id] = entry.endpoint.template
        if run_records.is_collected(connection, endpoint_id):
            datasets = dataset_versions.current(connection, endpoint_id)
            collected[endpoint_id] = _units_if_installed(entry, datasets)
            names |= {UnitRef(endpoint_id, dataset.name): _names_of(dataset) for dataset in datasets}
    rules = unit_configs.rules(connection)
    expanded = expand_rules(rules, collected, names, lambda unit: _has_mapper(templates[unit.endpoint_id], unit))
    wanted = expanded.configs
    faults += expanded.faults
    skipped += expanded.skipped
    faulty = {fault.unit for fault in expanded.faults}
    known = {item.config.ref: item for item in unit_configs.listed(connection)}
    ruled = {str(rule.document["endpoint"]) for rule in rules}
    added: list[UnitConfig] = []
    for unit, config in wanted.items():
        old = known.get(unit)
        if old is None:
            added.append(config)
            yield "+", str(unit), ()
        elif old.origin == "rule" and old.config != config:
            unit_configs.put(connection, config, "rule", old.version)
            fields = [name for name in type(config).model_fields if getattr(config, name) != getattr(old.config, name)]
            yield "~", str(unit), tuple(fields)
    unit_configs.add_many(connection, added, "rule")
    offered = {unit.ref for units in collected.values() for unit in units}
    for unit, item in known.items():
        is_vanished = unit.endpoint_id in ruled and unit not in offered
        if item.origin == "rule" and unit not in wanted and unit not in faulty and not is_vanished:
            unit_configs.remove(connection, unit)
            yield "-", str(unit), ()


def _has_mapper(template: str, unit: Unit) -> bool:
    return bool(unit.cdm_model_ids) and find_mapper(template, unit.unit_id) is not None


def skip_note(unit: UnitRef) -> str:
    return f"unit '{unit}' has no CDM mapper: the pattern that selects it in CDM mode leaves it out"


def _names_of(dataset: Dataset) -> Mapping[str, str]:
    """Schema and table, where the dataset has them."""
    return {part: str(dataset.facts[part]) for part in ("schema", "table") if dataset.facts.get(part)}


def _units_if_installed(entry: Registration, datasets: Sequence[Dataset]) -> list[Unit]:
    try:
        return offered_units(entry, datasets)
    except StrategyMissing:  # of another installation that shares the catalog; the gate refuses its units
        return []
