"""Principals, their roles and the endpoints that they are for.

viewer < operator < admin       a role may do everything that those before it may
"""

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase

from ingest_ray.sdk.errors import RoleForbidden
from ingest_ray.sdk.types import Model


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"

    @property
    def rank(self) -> int:
        return (Role.VIEWER, Role.OPERATOR, Role.ADMIN).index(self)


class Principal(Model):
    """`token_id`: of a bearer token of this installation. `session_id`: of a login with a browser. `expires_at`: when the identity
    provider's token ends, in seconds since 1970. What ends with one of them: see `Authenticator.renew`.

    `endpoints`: ids and patterns (`team-*`) of the endpoints that it is for, sources and sinks; None: all, empty: none."""

    name: str
    role: Role
    token_id: str | None = None
    session_id: str | None = None
    expires_at: float | None = None
    endpoints: tuple[str, ...] | None = None

    def may(self, role: Role) -> bool:
        return self.role.rank >= role.rank

    def is_for(self, endpoint_id: str) -> bool:
        return self.endpoints is None or any(fnmatchcase(endpoint_id, pattern) for pattern in self.endpoints)


LOCAL = Principal(name="local", role=Role.ADMIN)  # a user of the command line owns the files anyway


def require_role(principal: Principal, role: Role, what: str) -> None:
    """Raises `RoleForbidden`."""
    if not principal.may(role):
        raise RoleForbidden(f"role '{principal.role}' may not {what}", hint=f"ask an {role}")


def require_endpoints(principal: Principal, endpoint_ids: Iterable[str]) -> None:
    """Raises `RoleForbidden`, with the same words whether an endpoint exists or not."""
    for endpoint_id in endpoint_ids:
        if not principal.is_for(endpoint_id):
            raise RoleForbidden(
                f"the access of '{principal.name}' is not for endpoint '{endpoint_id}'", hint="ask an admin"
            )
