"""Registered sources and sinks. A removed endpoint keeps its row, because runs and datasets refer to it."""

import json
from collections.abc import Collection
from typing import Literal

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import endpoints as t
from ingest_ray.sdk.errors import DuplicateEndpoint, EndpointNotFound
from ingest_ray.sdk.types import Endpoint, Model

Role = Literal["source", "sink"]
Origin = Literal["file", "api"]


class EndpointDescription(Model):
    """Descriptive fields of an endpoint, and what the last connection reported. No decision depends on them."""

    name: str | None = None
    description: str | None = None
    verb: str | None = None
    auth_policy: str | None = None
    domain: str | None = None
    project: str | None = None
    labels: tuple[str, ...] = ()
    capabilities: tuple[str, ...] | None = None
    """None: the capabilities of the template."""
    version: str | None = None
    """The version of the server at the last connection."""
    deletion_reason: str | None = None


class Registration(Model):
    endpoint: Endpoint
    role: Role
    vendor: str
    origin: Origin = "file"
    about: EndpointDescription = EndpointDescription()
    created_at: str = ""
    updated_at: str = ""
    deleted_at: str | None = None


def find(connection: sa.Connection, endpoint_id: str, role: Role) -> Registration | None:
    row = (
        connection.execute(sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.deleted_at.is_(None)))
        .mappings()
        .first()
    )
    return _read(row) if row is not None and row["role"] == role else None


def known(connection: sa.Connection, endpoint_ids: Collection[str]) -> dict[str, Registration]:
    """Finds an endpoint of either role, also a removed one."""
    rows = connection.execute(sa.select(t).where(t.c.endpoint_id.in_(endpoint_ids))).mappings()
    return {row["endpoint_id"]: _read(row) for row in rows}


def listed(connection: sa.Connection, role: Role | None = None) -> list[Registration]:
    query = sa.select(t).where(t.c.deleted_at.is_(None)).order_by(t.c.endpoint_id)
    if role is not None:
        query = query.where(t.c.role == role)
    return [_read(row) for row in connection.execute(query).mappings()]


def all_ids(connection: sa.Connection) -> list[str]:
    """Of sources and sinks, also of removed ones."""
    return [str(name) for name in connection.execute(sa.select(t.c.endpoint_id)).scalars()]


def source(connection: sa.Connection, endpoint_id: str) -> Registration:
    """Raises `EndpointNotFound`, with the ids that exist."""
    found = find(connection, endpoint_id, "source")
    if found is None:
        known = ", ".join(entry.endpoint.endpoint_id for entry in listed(connection, "source")) or "none"
        raise EndpointNotFound(
            f"endpoint '{endpoint_id}' is not registered", hint=f"registered: {known}; or apply your ingest.yaml"
        )
    return found


def vendor_of(connection: sa.Connection, endpoint_id: str) -> str | None:
    """The vendor of an endpoint, also of a removed one, whose checkpoints still exist."""
    vendor = connection.execute(sa.select(t.c.vendor).where(t.c.endpoint_id == endpoint_id)).scalar_one_or_none()
    return None if vendor is None else str(vendor)


def save(connection: sa.Connection, entry: Registration) -> None:
    """Registers an endpoint, or changes one of the same role.

    Raises:
        DuplicateEndpoint: the id belongs to an endpoint of the other role.
    """
    endpoint = entry.endpoint
    values = {
        "role": entry.role,
        "template": endpoint.template,
        "vendor": entry.vendor,
        "config": json.dumps(endpoint.config, sort_keys=True),
        "origin": entry.origin,
        "about": entry.about.model_dump_json(exclude_defaults=True),
        "updated_at": now(),
        "deleted_at": None,
    }
    old = connection.execute(sa.select(t.c.role, t.c.deleted_at).where(t.c.endpoint_id == endpoint.endpoint_id)).first()
    if old is None:
        connection.execute(
            t.insert().values(endpoint_id=endpoint.endpoint_id, created_at=values["updated_at"], **values)
        )
        return
    if old.role != entry.role and old.deleted_at is None:
        raise DuplicateEndpoint(
            f"endpoint '{endpoint.endpoint_id}' is registered as a {old.role}", hint="choose another id"
        )
    connection.execute(t.update().where(t.c.endpoint_id == endpoint.endpoint_id).values(**values))


def remove(connection: sa.Connection, endpoint_id: str) -> None:
    """Keeps the row for the history of its runs, without its config, which may hold secrets."""
    connection.execute(t.update().where(t.c.endpoint_id == endpoint_id).values(deleted_at=now(), config="{}"))


def erase_deleted_configs(connection: sa.Connection) -> None:
    """Those that were kept by earlier versions."""
    connection.execute(t.update().where(t.c.deleted_at.is_not(None)).values(config="{}"))


def describe(connection: sa.Connection, endpoint_id: str, about: EndpointDescription) -> None:
    text = about.model_dump_json(exclude_defaults=True)
    connection.execute(t.update().where(t.c.endpoint_id == endpoint_id).values(about=text, updated_at=now()))


def _read(row: sa.RowMapping) -> Registration:
    return Registration(
        endpoint=Endpoint(endpoint_id=row["endpoint_id"], template=row["template"], config=json.loads(row["config"])),
        role=row["role"],
        vendor=row["vendor"],
        origin=row["origin"],
        about=EndpointDescription.model_validate_json(row["about"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        deleted_at=row["deleted_at"],
    )
