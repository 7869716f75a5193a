"""Who may read a space of Cloud, and who has which role there.

Principals are users, groups, roles and classes of accounts. Sites made since November 2025 have roles only.
https://developer.atlassian.com/cloud/confluence/rest/v2/api-group-space-roles/
"""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from msgspec import Raw, Struct

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceDenied
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.contract import ListedObject, Space, UnknownPrincipal
from ingest_strategies.confluence.api.pagination import by_cursor

MOST = 250  # of every v2 list


class Principal(Struct, gc=False):
    type: str | None = None
    id: str | None = None
    principalType: str | None = None
    principalId: str | None = None


class Operation(Struct, gc=False):
    key: str = ""
    targetType: str = ""


class Permission(Struct, gc=False):
    principal: Principal
    operation: Operation | None = None


class Assignment(Struct, gc=False):
    principal: Principal
    roleId: str | None = None


class Role(Struct, gc=False):
    id: str
    name: str | None = None
    type: str | None = None
    spacePermissions: list[str] | None = None


_permission, _assignment, _role = decoder(Permission), decoder(Assignment), decoder(Role)
ANONYMOUS_CLASS = "anonymous-users"


class SpaceRoles:
    """The roles of a site are requested once."""

    def __init__(self, client: ConfluenceClient) -> None:
        self.client = client

    def list_readers(self, space: Space) -> frozenset[str]:
        """Grants to people and groups, and assignments of roles that include reading. Sites made since November 2025 have roles only."""
        readers, reading_roles = set[str](), set[str]()
        for page in by_cursor(self.client, f"api/v2/spaces/{space.id}/permissions", {"limit": MOST}):
            for permission in map(_permission, page):
                operation, principal = permission.operation, permission.principal
                if operation is None or (operation.key, operation.targetType) != ("read", "space"):
                    continue
                if str(principal.type).upper() == "ROLE":
                    reading_roles.add(str(principal.id))
                else:
                    readers.add(reader_name(space, principal.type, principal.id))
        try:
            for page in by_cursor(self.client, f"api/v2/spaces/{space.id}/role-assignments", {"limit": MOST}):
                for assignment in map(_assignment, page):
                    principal = assignment.principal
                    if self._is_reading_role(assignment.roleId, reading_roles):
                        readers.add(reader_name(space, principal.principalType, principal.principalId))
        except NotThere:
            pass  # the site has no roles yet
        return frozenset(readers)

    def _is_reading_role(self, role: str | None, reading_roles: set[str]) -> bool:
        """By the space's own permissions; else by what the site says of the role. A custom role need not include reading."""
        if role is None or role in reading_roles:
            return role is not None
        permissions = self._permissions_of(role)
        if permissions is None and reading_roles:
            return False
        if permissions is None:
            raise UnknownPrincipal(f"what role '{role}' permits cannot be told")
        return any({"read", "space"} <= set(re.split(r"[^a-z]+", name.lower())) for name in permissions)

    def _permissions_of(self, role: str) -> list[str] | None:
        """None: what the role permits cannot be told."""
        found = self.roles.get(role)
        return found.spacePermissions if found is not None else None

    @cached_property
    def roles(self) -> dict[str, Role]:
        """The roles of the site; none where it does not tell them."""
        try:
            pages = by_cursor(self.client, "api/v2/space-roles", {"limit": MOST})
            return {role.id: role for page in pages for role in map(_role, page)}
        except (NotThere, SourceDenied):
            return {}

    def list_assignments(self, space: Space) -> Iterator[list[ListedObject]]:
        """Who has which role in a space, with what the role is."""
        for page in by_cursor(self.client, f"api/v2/spaces/{space.id}/role-assignments", {"limit": MOST}):
            yield [ListedObject(body, self._role_columns(body)) for body in page]

    def _role_columns(self, body: Raw) -> dict[str, Any]:
        assignment = attempted(_assignment, body)
        role = self.roles.get(assignment.roleId or "") if assignment is not None else None
        return {
            "role_name": role.name if role else None,
            "role_type": role.type if role else None,
            "permissions": role.spacePermissions if role else None,
        }


def reader_name(space: Space, kind: str | None, identity: str | None) -> str:
    """Raises `UnknownPrincipal` for a kind that may be anybody."""
    match str(kind).upper():
        case "USER" | "GROUP" if identity:
            return f"{str(kind).lower()}:{identity}"
        case "ACCESS_CLASS" if identity:
            return "anyone" if identity.lower() == ANONYMOUS_CLASS else f"class:{identity.lower()}"
        case _:
            raise UnknownPrincipal(f"space '{space.key}' grants reading to '{kind}' '{identity}', which is not known")
