"""Reads the records of metadata collections."""

from collections.abc import Collection as CollectionOf
from datetime import datetime

from ingest_ray.catalog import run_records
from ingest_ray.catalog.run_records import Collection
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.service.endpoints.collect import current_collection
from ingest_ray.service.installation import Installation


def list_collections(
    installation: Installation,
    *,
    endpoint_id: str | None = None,
    collection_id: str | None = None,
    status: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    within: CollectionOf[str] | None = None,
) -> list[Collection]:
    """The newest first. Times have a zone. `within`: of these endpoints only."""
    if endpoint_id is not None:
        within = [endpoint_id] if within is None or endpoint_id in within else []
    with installation.catalog.read() as connection:
        found = run_records.collections(
            connection,
            endpoint_ids=within,
            collection_id=collection_id,
            status=status,
            since=run_records.instant(since) if since is not None else None,
            until=run_records.instant(until) if until is not None else None,
            limit=limit,
        )
    return [current_collection(item) for item in found]


def find_collection(installation: Installation, collection_id: str) -> Collection:
    """Raises `ConfigError` for an id that no collection has."""
    found = list_collections(installation, collection_id=collection_id)
    if not found:
        raise ConfigError(f"there is no collection '{collection_id}'")
    return found[0]


def newest_collections(
    installation: Installation, endpoint_ids: CollectionOf[str], limit: int
) -> dict[str, list[Collection]]:
    """At most `limit` of each endpoint."""
    with installation.catalog.read() as connection:
        found = run_records.newest_collections(connection, endpoint_ids, limit)
    return {endpoint_id: [current_collection(item) for item in items] for endpoint_id, items in found.items()}


def latest_collections(installation: Installation, endpoint_ids: CollectionOf[str]) -> dict[str, Collection]:
    """The last one of each endpoint that has succeeded."""
    with installation.catalog.read() as connection:
        return run_records.latest_collections(connection, endpoint_ids)
