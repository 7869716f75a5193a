"""Collects the metadata of one endpoint into the catalog."""

import json

from ingest_ray import logs
from ingest_ray.catalog import dataset_versions, endpoints, run_records
from ingest_ray.catalog.dataset_versions import Differences
from ingest_ray.catalog.run_records import Collection
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.dataset_schema import check_column_types
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import Dataset, Endpoint, Model
from ingest_ray.secrets import resolve
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.runs.run_liveness import is_owner_alive, this_owner
from ingest_ray.service.units.cdm_expressions import check_mappings
from ingest_ray.service.units.listing import configure_units
from ingest_ray.service.units.rules import is_match


class CollectResult(Model):
    """`warnings`: rules that could not be applied."""

    collection_id: str
    endpoint_id: str
    differences: Differences
    configured: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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
    endpoint_id = request.endpoint_id
    try:
        with installation.catalog.read() as connection:
            entry = endpoints.source(connection, endpoint_id)
        strategy = strategy_for(entry.endpoint.template)
        endpoint = _with_schemas(resolve(entry.endpoint, installation.settings), request.schemas)
        with logs.context(endpoint=endpoint_id):
            found = checked_datasets(endpoint_id, list(strategy.collect(endpoint)))
    except BaseException as error:
        reason = f"{error} [{error.code}]" if isinstance(error, IngestError) else type(error).__name__
        with installation.catalog.begin() as connection:
            run_records.end_collection(connection, collection_id, logs.scrub(reason))
        raise
    if request.datasets:
        found = [dataset for dataset in found if any(is_match(name, dataset.name) for name in request.datasets)]
    warnings: list[str] = []
    configured: list[str] = []
    with installation.catalog.begin(is_alone=True) as connection:
        differences = dataset_versions.record(connection, endpoint_id, found, is_partial=request.is_partial)
        run_records.end_collection(connection, collection_id, differences)
        try:
            with connection.begin_nested():
                configured = [f"{action} {name}" for action, name, _ in configure_units(connection)]
                check_mappings(connection, {})
        except ConfigError as error:  # the datasets are right, a rule is not: warn, and keep the datasets
            warnings.append(f"{error.message}; no unit was configured")
            configured = []
    return CollectResult(
        collection_id=collection_id,
        endpoint_id=endpoint_id,
        differences=differences,
        configured=tuple(configured),
        warnings=tuple(warnings),
    )


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


def checked_datasets(endpoint_id: str, found: list[Dataset]) -> list[Dataset]:
    """Raises `ConfigError` for a strategy that breaks its contract: unique names, ids of the endpoint, types that can be read."""
    names: set[str] = set()
    for dataset in found:
        if dataset.name in names or dataset.endpoint_id != endpoint_id:
            raise ConfigError(
                f"{endpoint_id}: the strategy gave dataset '{dataset.dataset_id}' twice or of another endpoint"
            )
        names.add(dataset.name)
        check_column_types(dataset)
    return found
