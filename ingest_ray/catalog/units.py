"""Rules for units, and the configuration that each unit has: from the rules, or set by somebody."""

import json
from collections.abc import Sequence
from typing import Literal

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import unit_configs as t
from ingest_ray.catalog.tables import unit_rules as r
from ingest_ray.errors import StateConflict
from ingest_ray.models import Model, UnitConfig

Origin = Literal["rule", "set"]


class StoredRule(Model):
    """A rule of `ingest.yaml`, as it was written, and where."""

    document: dict[str, JsonValue]
    written_at: str


class Configured(Model):
    config: UnitConfig
    origin: Origin = "rule"
    version: int = 0


def rules(connection: sa.Connection) -> list[StoredRule]:
    rows = connection.execute(sa.select(r).order_by(r.c.position))
    return [StoredRule(document=json.loads(row.document), written_at=row.written_at) for row in rows]


def replace_rules(connection: sa.Connection, new: Sequence[StoredRule]) -> None:
    connection.execute(r.delete())
    for position, rule in enumerate(new):
        connection.execute(
            r.insert().values(
                position=position,
                endpoint_id=rule.document["endpoint"],
                document=json.dumps(rule.document, sort_keys=True),
                written_at=rule.written_at,
            )
        )


def find(connection: sa.Connection, endpoint_id: str, unit_id: str) -> Configured | None:
    row = (
        connection.execute(sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.unit_id == unit_id))
        .mappings()
        .first()
    )
    return None if row is None else _read(row)


def listed(connection: sa.Connection, endpoint_id: str | None = None) -> list[Configured]:
    query = sa.select(t).order_by(t.c.endpoint_id, t.c.unit_id)
    if endpoint_id is not None:
        query = query.where(t.c.endpoint_id == endpoint_id)
    return [_read(row) for row in connection.execute(query).mappings()]


def put(connection: sa.Connection, config: UnitConfig, origin: Origin, if_version: int) -> int:
    """Writes only where the stored version is `if_version` (0: not there); returns the new version.

    Raises:
        StateConflict: somebody else changed it.
    """
    here = (t.c.endpoint_id == config.endpoint_id, t.c.unit_id == config.unit_id)
    values = {"sink_id": config.sink_id, "document": config.model_dump_json(), "origin": origin, "updated_at": now()}
    if if_version == 0:
        if find(connection, config.endpoint_id, config.unit_id) is None:
            connection.execute(
                t.insert().values(endpoint_id=config.endpoint_id, unit_id=config.unit_id, version=1, **values)
            )
            return 1
    else:
        change = t.update().where(*here, t.c.version == if_version).values(version=if_version + 1, **values)
        if connection.execute(change).rowcount == 1:
            return if_version + 1
    raise StateConflict(
        f"{config.endpoint_id}:{config.unit_id}: somebody else changed its configuration", hint="read it again"
    )


def remove(connection: sa.Connection, endpoint_id: str, unit_id: str) -> None:
    connection.execute(t.delete().where(t.c.endpoint_id == endpoint_id, t.c.unit_id == unit_id))


def _read(row: sa.RowMapping) -> Configured:
    return Configured(
        config=UnitConfig.model_validate_json(row["document"]), origin=row["origin"], version=row["version"]
    )
