"""Reads the configurations of units."""

from collections.abc import Collection

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.installation import Installation


def list_configs(installation: Installation, endpoint_id: str | None = None) -> list[Configured]:
    """Of one endpoint, or of all. Raises `EndpointNotFound`."""
    with installation.catalog.read() as connection:
        if endpoint_id is not None:
            endpoints.source(connection, endpoint_id)
        return unit_configs.listed(connection, endpoint_id)


def find_configs(installation: Installation, units: Collection[UnitRef]) -> dict[UnitRef, Configured]:
    """Of the units that are configured."""
    with installation.catalog.read() as connection:
        return {item.config.ref: item for item in unit_configs.find_many(connection, units)}
