"""Fits a unit to its dataset and its sink, or says why it cannot run. Reads the catalog, never the source."""

from dataclasses import dataclass

import sqlalchemy as sa

from ingest_ray.catalog.endpoints import Registration
from ingest_ray.engine.masking.masked_dataset import check_masks, masked_dataset
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.registry import sink_family, strategy_for
from ingest_ray.sdk.contracts import RowLookup, find_capability
from ingest_ray.sdk.errors import ModeUnsupported, SinkMissing
from ingest_ray.sdk.types import DataMode, Dataset, Unit, UnitConfig, UnitSpec
from ingest_ray.service.units.cdm_expressions import check_mapping
from ingest_ray.service.units.cdm_rules import check_cdm_policy, check_sink, check_unit
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.policies.cursor_choice import as_replaced, with_chosen_cursor
from ingest_ray.service.units.policies.excluded_columns import without_excluded
from ingest_ray.service.units.policies.layout_fit import check_layout, check_upkeep
from ingest_ray.service.units.validation import (
    check_changes,
    check_history,
    check_policy,
    check_target,
    check_types,
    check_write_mode,
    with_explicit_policy,
)
from ingest_ray.settings import Settings


@dataclass(frozen=True)
class Candidate:
    """A configured unit, its dataset, and its sink. `before`: its accepted schema, where it has run."""

    source: Registration
    unit: Unit
    dataset: Dataset
    config: UnitConfig
    sink: Registration
    before: Dataset | None = None


def find_sink_of(
    connection: sa.Connection, source: Registration, unit: Unit, config: UnitConfig, launch_catalog: LaunchCatalog
) -> Registration:
    """The unit's sink; in CDM mode one that takes the unit's models.

    Raises:
        GateError: the sink is not registered or not installed, or does not take the models.
    """
    is_cdm = config.mode is DataMode.CDM
    models = check_unit(source.endpoint.template, unit, config) if is_cdm else ()
    found = launch_catalog.find_sink(connection, config.sink_id)
    if found is None:
        raise SinkMissing(
            f"sink '{config.sink_id}' of unit '{config.ref}' is not registered",
            hint="add it under sinks: in ingest.yaml, then apply",
        )
    sink_family(found.endpoint.template)
    if is_cdm:
        check_sink(connection, unit, found, models)
    return found


def fitted_order(
    settings: Settings, candidate: Candidate, launch_catalog: LaunchCatalog, run_id: str, followed: str | None = None
) -> RunOrder:
    """The order of a unit that can run, with cursor, key and write mode written into its policy. `followed`: the cursor of its
    checkpoint.

    The checks, in this order: replacement, cursor, mode, policy, strategy's own check, types, target.

    Raises:
        GateError, ConfigError, SourceChanged: names the unit, and what does not fit.
    """
    endpoint = candidate.source.endpoint
    strategy = strategy_for(endpoint.template)
    spec = UnitSpec(endpoint=endpoint, dataset=candidate.dataset, config=candidate.config)
    spec = as_replaced(spec, candidate.unit)
    spec = without_excluded(with_chosen_cursor(spec, strategy, followed))
    check_mode(spec, candidate.unit)
    check_policy(spec, candidate.before)
    if spec.is_cdm:
        check_cdm_policy(spec, settings)
        check_mapping(spec.config, masked_dataset(spec))
    spec = with_explicit_policy(spec)
    hidden = spec.model_copy(update={"endpoint": launch_catalog.hidden(endpoint)})
    strategy.check(hidden)
    lookup = find_capability(strategy, RowLookup)
    if lookup is not None and spec.policy.masks and spec.key:
        check_masks(spec, dict.fromkeys(lookup.lookup_columns(hidden), "needed to find its rows again"))
    order = RunOrder(run_id=run_id, settings=settings, spec=spec, sink=candidate.sink.endpoint)
    check_types(order, None if spec.is_cdm else launch_catalog.sink(order.sink, settings))
    check_write_mode(order, launch_catalog)
    check_changes(order, launch_catalog)
    check_history(order, launch_catalog)
    check_layout(order, launch_catalog)
    check_upkeep(order, launch_catalog)
    check_target(order, launch_catalog)
    return order


def check_mode(spec: UnitSpec, unit: Unit) -> None:
    if spec.config.run_mode not in unit.supported_modes:
        raise ModeUnsupported(
            f"unit '{spec.ref}' does not support run mode {spec.config.run_mode}",
            hint=f"it supports: {', '.join(unit.supported_modes)}; or policy.fallback: full",
        )
