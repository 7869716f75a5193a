"""The GraphQL types of principals, and of what they did."""

import json
from datetime import datetime
from enum import Enum
from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.catalog.audit_entries import AuditEntry as StoredEntry
from ingest_ray.service.access.roles import Principal


@strawberry.enum
class AccessRole(Enum):
    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


@strawberry.type
class Viewer:
    name: str
    role: AccessRole
    endpoints: list[str] | None
    """Ids and patterns of the endpoints that the access is for; null: all."""

    @classmethod
    def of(cls, principal: Principal) -> Self:
        return cls(
            name=principal.name,
            role=AccessRole(principal.role.value),
            endpoints=list(principal.endpoints) if principal.endpoints is not None else None,
        )


@strawberry.enum
class AuditOutcome(Enum):
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@strawberry.type
class AuditEntry:
    """An attempt to change something. `outcome` is BEGUN while it goes on, and where its process died. `source`: the address of the
    caller."""

    id: ID
    at: datetime
    who: str
    role: str
    token_id: ID | None
    source: str
    action: str
    endpoint_id: ID | None
    details: JSON | None
    outcome: AuditOutcome
    code: str | None

    @classmethod
    def of(cls, entry: StoredEntry) -> Self:
        return cls(
            id=ID(entry.entry_id),
            at=datetime.fromisoformat(entry.at),
            who=entry.who,
            role=entry.role,
            token_id=ID(entry.token_id) if entry.token_id is not None else None,
            source=entry.source,
            action=entry.action,
            endpoint_id=ID(entry.endpoint_id) if entry.endpoint_id is not None else None,
            details=JSON(json.loads(entry.details)),
            outcome=AuditOutcome(entry.outcome),
            code=entry.code,
        )
