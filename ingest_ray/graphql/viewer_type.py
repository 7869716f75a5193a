"""The GraphQL type of the principal of a request."""

from enum import Enum
from typing import Self

import strawberry

from ingest_ray.service.access.roles import Principal


@strawberry.enum
class AccessRole(Enum):
    ADMIN = "admin"
    VIEWER = "viewer"


@strawberry.type
class Viewer:
    name: str
    role: AccessRole

    @classmethod
    def of(cls, principal: Principal) -> Self:
        return cls(name=principal.name, role=AccessRole(principal.role.value))
