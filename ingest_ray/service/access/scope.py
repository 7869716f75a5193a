"""The endpoints that a principal may see, for lists."""

from ingest_ray.catalog import endpoints
from ingest_ray.service.access.roles import Principal
from ingest_ray.service.installation import Installation


def visible_endpoints(installation: Installation, principal: Principal) -> frozenset[str] | None:
    """The ids of those in the catalog, also of removed ones; None: all."""
    if principal.endpoints is None:
        return None
    with installation.catalog.read() as connection:
        return frozenset(name for name in endpoints.all_ids(connection) if principal.is_for(name))
