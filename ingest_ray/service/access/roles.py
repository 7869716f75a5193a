"""Principals and their roles, and what a role may do."""

from enum import StrEnum

from ingest_ray.sdk.errors import RoleForbidden
from ingest_ray.sdk.types import Model


class Role(StrEnum):
    ADMIN = "admin"
    VIEWER = "viewer"


class Principal(Model):
    """`token_id`: of a bearer token of this installation; revoking the token ends the subscriptions that began with it."""

    name: str
    role: Role
    token_id: str | None = None


LOCAL = Principal(name="local", role=Role.ADMIN)  # a user of the command line owns the files anyway


def require_role(principal: Principal, role: Role, what: str) -> None:
    """Raises `RoleForbidden`. An admin may do everything, a viewer may read."""
    if role is Role.ADMIN and principal.role is not Role.ADMIN:
        raise RoleForbidden(f"role '{principal.role}' may not {what}", hint="ask an admin")
