"""The audit log: one row for every attempt to change something. Rows are never changed after their outcome is known."""

from typing import Literal

import sqlalchemy as sa

from ingest_ray.catalog.tables import audit as t
from ingest_ray.sdk.types import Model

Outcome = Literal["begun", "done", "refused", "failed"]


class AuditEntry(Model):
    """`action`: the mutation or command. `source`: the caller's address, or user and host of a command line. `details`: JSON, without
    secrets. `outcome`: `begun` where the process died before the end, or could not write it."""

    entry_id: str
    at: str
    who: str
    role: str
    token_id: str | None = None
    source: str
    action: str
    endpoint_id: str | None = None
    details: str = "{}"
    outcome: Outcome = "begun"
    code: str | None = None
    """Of the error."""


def add(connection: sa.Connection, entry: AuditEntry) -> None:
    connection.execute(t.insert().values(**entry.model_dump()))


def end(connection: sa.Connection, entry_id: str, outcome: Outcome, code: str | None) -> None:
    change = t.update().where(t.c.entry_id == entry_id, t.c.outcome == "begun")
    connection.execute(change.values(outcome=outcome, code=code))


def drop_before(connection: sa.Connection, at: str) -> None:
    connection.execute(t.delete().where(t.c.at < at))


def page(
    connection: sa.Connection,
    *,
    endpoint_id: str | None = None,
    who: str | None = None,
    action: str | None = None,
    since: str | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> list[AuditEntry]:
    """The newest first; `before`: the last id of the page before (ids sort by time)."""
    query = sa.select(t).order_by(t.c.entry_id.desc())
    for column, value in ((t.c.endpoint_id, endpoint_id), (t.c.who, who), (t.c.action, action)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(t.c.at >= since)
    if before is not None:
        query = query.where(t.c.entry_id < before)
    if limit is not None:
        query = query.limit(limit)
    return [AuditEntry.model_validate(dict(row)) for row in connection.execute(query).mappings()]
