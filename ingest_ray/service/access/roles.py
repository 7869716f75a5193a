"""Principals and their roles, and what a role may do."""

from enum import StrEnum

from ingest_ray.sdk.errors import RoleForbidden
from ingest_ray.sdk.types import Model


class Role(StrEnum):
    ADMIN = "admin"
    VIEWER = "viewer"


class Principal(Model):
    """`token_id`: of a bearer token of this installation. `session_id`: of a login with a browser. `expires_at`: when the identity
    provider's token ends, in seconds since 1970. What ends with one of them: see `Authenticator.renew`."""

    name: str
    role: Role
    token_id: str | None = None
    session_id: str | None = None
    expires_at: float | None = None


LOCAL = Principal(name="local", role=Role.ADMIN)  # a user of the command line owns the files anyway


def require_role(principal: Principal, role: Role, what: str) -> None:
    """Raises `RoleForbidden`. An admin may do everything, a viewer may read."""
    if role is Role.ADMIN and principal.role is not Role.ADMIN:
        raise RoleForbidden(f"role '{principal.role}' may not {what}", hint="ask an admin")
