"""Reads what metadata collection found: datasets in their current versions."""

from collections.abc import Collection

from ingest_ray.catalog import dataset_versions, endpoints
from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.sdk.types import Model
from ingest_ray.service.installation import Installation

MOST_LISTED = 100_000


class DatasetView(Model):
    """`version`: of the schema. `estimated_rows`: the source's own statistics."""

    name: str
    kind: str
    columns: int
    primary_key: tuple[str, ...] = ()
    estimated_rows: int | None = None
    version: int = 1
    first_seen_at: str | None = None


def list_datasets(installation: Installation, endpoint_id: str) -> list[DatasetView]:
    """By name; those that have vanished are left out. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        found = dataset_versions.search(connection, {endpoint_id}, None, MOST_LISTED)
    return [
        DatasetView(
            name=each.dataset.name,
            kind=each.dataset.kind,
            columns=len(each.dataset.columns),
            primary_key=each.dataset.primary_key,
            estimated_rows=each.dataset.estimated_rows,
            version=each.version,
            first_seen_at=each.first_seen_at,
        )
        for each in found
        if each.gone_at is None
    ]


def search_datasets(
    installation: Installation,
    *,
    project: str | None,
    endpoint_id: str | None,
    text: str | None,
    limit: int,
    within: Collection[str] | None = None,
) -> list[Version]:
    """By endpoint and name. `text` is a part of the name, in any case."""
    with installation.catalog.read() as connection:
        endpoint_ids = {
            entry.endpoint.endpoint_id
            for entry in endpoints.listed(connection)
            if (within is None or entry.endpoint.endpoint_id in within)
            and endpoint_id in (None, entry.endpoint.endpoint_id)
            and project in (None, entry.about.project)
        }
        return dataset_versions.search(connection, endpoint_ids, text, limit)


def find_datasets(
    installation: Installation, dataset_ids: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Version]:
    """By endpoint and name; those that have vanished at the source, too."""
    with installation.catalog.read() as connection:
        return dataset_versions.named(connection, dataset_ids)


def first_datasets(
    installation: Installation, endpoint_ids: Collection[str], text: str | None, limit: int
) -> dict[str, list[Version]]:
    """The first `limit` datasets of each endpoint, by name; `text` as in `search_datasets`."""
    with installation.catalog.read() as connection:
        return dataset_versions.first_of_each(connection, endpoint_ids, text, limit)
