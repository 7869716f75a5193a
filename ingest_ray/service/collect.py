"""Metadata of one endpoint into the catalog."""

from ingest_ray import logs
from ingest_ray.catalog import datasets, endpoints, runs
from ingest_ray.catalog.datasets import Differences
from ingest_ray.errors import ConfigError, IngestError
from ingest_ray.models import Dataset, Model
from ingest_ray.registry import strategy_for
from ingest_ray.secrets import resolve
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.mappings import check_mappings
from ingest_ray.service.units import configure_units


class Collected(Model):
    """`warnings` are rules that fit no unit."""

    collection_id: str
    endpoint_id: str
    differences: Differences
    configured: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def collect(place: Installation, endpoint_id: str) -> Collected:
    """Asks the source for its datasets. Where that fails half way, the catalog keeps what it had.

    Raises:
        EndpointNotFound, StrategyMissing: nothing was recorded.
        SourceError: recorded as a failed collection.
    """
    with place.catalog.read() as connection:
        entry = endpoints.source(connection, endpoint_id)
    strategy = strategy_for(entry.endpoint.template)
    collection_id = new_id()
    with place.catalog.begin() as connection:
        runs.begin_collection(connection, collection_id, endpoint_id)
    try:
        with logs.context(endpoint=endpoint_id):
            found = checked(endpoint_id, list(strategy.collect(resolve(entry.endpoint, place.settings))))
    except BaseException as error:
        reason = f"{error} [{error.code}]" if isinstance(error, IngestError) else type(error).__name__
        with place.catalog.begin() as connection:
            runs.end_collection(connection, collection_id, logs.scrub(reason))
        raise
    warnings: list[str] = []
    configured: list[str] = []
    with place.catalog.begin(is_alone=True) as connection:
        differences = datasets.record(connection, endpoint_id, found)
        runs.end_collection(connection, collection_id, differences)
    try:
        with place.catalog.begin(is_alone=True) as connection:
            configured = [f"{action} {name}" for action, name, _ in configure_units(connection)]
            check_mappings(connection, {})
    except ConfigError as error:  # the datasets are right, a rule is not: say it, and keep them
        warnings.append(f"{error.message}; no unit was configured")
        configured = []
    return Collected(
        collection_id=collection_id,
        endpoint_id=endpoint_id,
        differences=differences,
        configured=tuple(configured),
        warnings=tuple(warnings),
    )


def checked(endpoint_id: str, found: list[Dataset]) -> list[Dataset]:
    """Raises `ConfigError` for a strategy that breaks its contract: names are unique, ids are the endpoint's."""
    names: set[str] = set()
    for dataset in found:
        if dataset.name in names or dataset.endpoint_id != endpoint_id:
            raise ConfigError(
                f"{endpoint_id}: the strategy gave dataset '{dataset.dataset_id}' twice or of another endpoint"
            )
        names.add(dataset.name)
    return found
