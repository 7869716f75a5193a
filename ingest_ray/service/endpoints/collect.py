"""Collects the metadata of one endpoint into the catalog."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ingest_ray import logs
from ingest_ray.catalog import dataset_versions, endpoints, run_records, unit_configs
from ingest_ray.catalog.dataset_versions import Differences
from ingest_ray.catalog.run_records import Collection
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset, Endpoint, Model
from ingest_ray.sdk.types.dataset import CAUTION
from ingest_ray.service.endpoints.found_datasets import FoundDatasets, Undescribed, sort_found
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.runs.run_liveness import is_owner_alive, this_owner
from ingest_ray.service.units.cdm_expressions import mapping_faults
from ingest_ray.service.units.listing import configure_units, skip_note
from ingest_ray.service.units.policies.unfit_units import UnfitUnit, unfit_units
from ingest_ray.service.units.rules import RuleFault, is_match
from ingest_ray.state.sealed_secrets import open_source
from ingest_ray.state.shared_permits import sharing_permits


class CollectResult(Model):
    """`warnings`: objects that could not be described, and rules that could not be applied. `faults`: those of them that are mistakes of the
    configuration: rules, and schemas in which nothing was found."""

    collection_id: str
    endpoint_id: str
    differences: Differences
    configured: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    undescribed: tuple[Undescribed, ...] = ()
    unfit: tuple[UnfitUnit, ...] = ()
    """Enabled units of the endpoint that a run would refuse."""


class CollectRequest(Model):
    """`datasets`: patterns of names; empty: all. `schemas` replace the endpoint's own list, where it has one.

    A collection narrowed by either marks no dataset as gone.
    """

    endpoint_id: str
    datasets: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    requested_by: str | None = None

    @property
    def is_partial(self) -> bool:
        return bool(self.datasets or self.schemas)


def collect(installation: Installation, endpoint_id: str) -> CollectResult:
    """Reads the datasets of the source into the catalog. Where that fails half way, the catalog stays as it was.

    An object that the source cannot describe is named in the result; the catalog keeps what it had of it.

    Raises:
        EndpointNotFound, StrategyMissing: nothing was recorded.
        SourceError: recorded as a failed collection.
    """
    request = CollectRequest(endpoint_id=endpoint_id)
    return run_collection(installation, start_collection(installation, request), request)


def start_collection(installation: Installation, request: CollectRequest) -> str:
    """Writes the record of a collection that this process is about to run; returns its id.

    Raises:
        EndpointNotFound, StrategyMissing, ConfigError: nothing was recorded.
    """
    with installation.catalog.read() as connection:
        entry = endpoints.source(connection, request.endpoint_id)
    _with_schemas(entry.endpoint, request.schemas)
    collection_id = new_id()
    filters = {name: list(value) for name in ("datasets", "schemas") if (value := getattr(request, name))}
    with installation.catalog.begin() as connection:
        run_records.begin_collection(
            connection,
            collection_id,
            request.endpoint_id,
            owner=this_owner(),
            requested_by=request.requested_by,
            filters=json.dumps(filters) if filters else None,
        )
    return collection_id


def run_collection(installation: Installation, collection_id: str, request: CollectRequest) -> CollectResult:
    endpoint, everything = _read_source(installation, collection_id, request)
    found, undescribed = list(everything.datasets), list(everything.undescribed)
    if request.datasets:
        found = [dataset for dataset in found if _is_requested(request, dataset.name)]
        undescribed = [broken for broken in undescribed if _is_requested(request, broken.name)]
    warnings = [f"'{broken.name}' cannot be described: {logs.scrub(broken.reason)}" for broken in undescribed]
    warnings += [f"'{dataset.name}': {dataset.facts[CAUTION]}" for dataset in found if CAUTION in dataset.facts]
    keeps = {broken.name for broken in undescribed}
    with installation.catalog.begin(is_alone=True) as connection:
        differences = dataset_versions.record(
            connection, request.endpoint_id, found, is_partial=request.is_partial, keeps=keeps
        )
        run_records.end_collection(connection, collection_id, differences)
        units = _configure(connection, request.endpoint_id)
        unfit = unfit_units(connection, installation.settings, request.endpoint_id)
    mistakes = [*units.mistakes, *empty_schemas(endpoint, everything.datasets)]
    return CollectResult(
        collection_id=collection_id,
        endpoint_id=request.endpoint_id,
        differences=differences,
        configured=tuple(units.configured),
        warnings=(*warnings, *mistakes, *units.warnings),
        faults=tuple(mistakes),
        undescribed=tuple(undescribed),
        unfit=tuple(unfit),
    )


def _read_source(
    installation: Installation, collection_id: str, request: CollectRequest
) -> tuple[Endpoint, FoundDatasets]:
    """The endpoint, opened, and what its source has. A failure ends the record of the collection."""
    try:
        with installation.catalog.read() as connection:
            entry = endpoints.source(connection, request.endpoint_id)
        strategy = strategy_for(entry.endpoint.template)
        endpoint = _with_schemas(open_source(entry.endpoint, installation.settings), request.schemas)
        with installation.catalog.read() as connection:
            known = dataset_versions.known(connection, request.endpoint_id)
        with logs.context(endpoint=request.endpoint_id), sharing_permits(installation.settings):
            return endpoint, sort_found(request.endpoint_id, strategy.collect(endpoint), known)
    except BaseException as error:
        reason = f"{error} [{error.code}]" if isinstance(error, IngestError) else type(error).__name__
        with installation.catalog.begin() as connection:
            run_records.end_collection(connection, collection_id, logs.scrub(reason))
        raise


@dataclass(frozen=True)
class _ConfiguredUnits:
    """`configured`: `+ endpoint:unit` and the like. `mistakes`: of rules. `warnings`: units that were skipped, expressions that do not fit."""

    configured: list[str]
    mistakes: list[str]
    warnings: list[str]


def _configure(connection: Connection, endpoint_id: str) -> _ConfiguredUnits:
    """Applies the rules to what the catalog has now. A unit with a faulty expression stays as if its rule were not there yet."""
    faults: list[RuleFault] = []
    skipped: list[UnitRef] = []
    changes = {name: action for action, name, _ in configure_units(connection, faults, skipped)}
    warnings = [skip_note(unit) for unit in skipped if unit.endpoint_id == endpoint_id]
    for unit, texts in mapping_faults(connection, {}).items():
        warnings += texts
        if changes.get(str(unit)) == "+":
            unit_configs.remove(connection, unit)
            del changes[str(unit)]
    return _ConfiguredUnits(
        configured=[f"{action} {name}" for name, action in changes.items()],
        mistakes=[f"{fault.message}; {fault.hint}" if fault.hint else fault.message for fault in faults],
        warnings=warnings,
    )


def _is_requested(request: CollectRequest, name: str) -> bool:
    return any(is_match(pattern, name) for pattern in request.datasets)


def empty_schemas(endpoint: Endpoint, found: Sequence[Dataset]) -> list[str]:
    """Named schemas of the endpoint in which nothing was found: misspelled, or not readable for its login."""
    named = endpoint.config.get("schemas")
    texts = named.split(",") if isinstance(named, str) else named if isinstance(named, list | tuple) else ()
    has = {str(dataset.facts["schema"]) for dataset in found if "schema" in dataset.facts}
    if found and not has:  # this strategy does not say in which schema a dataset is
        return []
    return [
        f"schemas: nothing was found in schema '{name}' of endpoint '{endpoint.endpoint_id}': it is misspelled or empty, or its login may "
        f"not read it; there is: {', '.join(sorted(has)) or 'nothing'}"
        for name in map(str, texts)
        if name not in has
    ]


def _with_schemas(endpoint: Endpoint, schemas: tuple[str, ...]) -> Endpoint:
    if not schemas:
        return endpoint
    if "schemas" not in strategy_for(endpoint.template).descriptor.config_model.model_fields:
        raise ConfigError(f"schemaOverride: endpoint '{endpoint.endpoint_id}' has no schemas to choose from")
    return endpoint.model_copy(update={"config": {**endpoint.config, "schemas": list(schemas)}})


def current_collection(record: Collection) -> Collection:
    """The record of a collection; FAILED where it has no end and its process is gone."""
    if record.status != "RUNNING" or record.owner is None or is_owner_alive(record.owner, record.started_at):
        return record
    return record.model_copy(update={"status": "FAILED", "error": "interrupted: the process of the collection is gone"})
