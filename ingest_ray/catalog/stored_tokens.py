"""Bearer tokens: name, role and digest of each. The token itself is not stored."""

import json
from typing import Literal

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import tokens as t
from ingest_ray.sdk.types import Model


class StoredToken(Model):
    token_id: str
    name: str
    role: Literal["admin", "operator", "viewer"]
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    endpoints: tuple[str, ...] | None = None
    """Ids and patterns; None: all."""


def add(connection: sa.Connection, token: StoredToken, digest: str) -> None:
    values = token.model_dump(exclude={"endpoints"})
    endpoints = None if token.endpoints is None else json.dumps(token.endpoints)
    connection.execute(t.insert().values(digest=digest, endpoints=endpoints, **values))


def by_digest(connection: sa.Connection, digest: str) -> StoredToken | None:
    return _one(connection, t.c.digest == digest)


def find(connection: sa.Connection, token_id: str) -> StoredToken | None:
    return _one(connection, t.c.token_id == token_id)


def listed(connection: sa.Connection) -> list[StoredToken]:
    return [_read(row) for row in connection.execute(sa.select(t).order_by(t.c.created_at)).mappings()]


def revoke(connection: sa.Connection, token_id: str) -> bool:
    """False where there is no such token. Revoking a revoked token changes nothing."""
    change = t.update().where(t.c.token_id == token_id, t.c.revoked_at.is_(None)).values(revoked_at=now())
    connection.execute(change)
    return find(connection, token_id) is not None


def _one(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> StoredToken | None:
    row = connection.execute(sa.select(t).where(condition)).mappings().first()
    return None if row is None else _read(row)


def _read(row: sa.RowMapping) -> StoredToken:
    values = {name: value for name, value in row.items() if name not in ("digest", "endpoints")}
    endpoints = None if row["endpoints"] is None else tuple(json.loads(row["endpoints"]))
    return StoredToken.model_validate({**values, "endpoints": endpoints})
