"""The rules for units, and the configuration of each unit: derived from the rules, or set individually."""

import json
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import unit_configs as t
from ingest_ray.catalog.tables import unit_rules as r
from ingest_ray.sdk.errors import StateConflict
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitConfig

Origin = Literal["rule", "set"]
MOST_NAMED = 5_000  # names in one statement: SQLite takes 32,766 parameters, PostgreSQL 65,535


class StoredRule(Model):
    """A rule of `ingest.yaml` and its line."""

    document: dict[str, JsonValue]
    written_at: str


class Configured(Model):
    config: UnitConfig
    origin: Origin = "rule"
    version: int = 0


class RawConfig(NamedTuple):
    """A configuration that is parsed only where it is needed: an endpoint may have tens of thousands of them."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    document: str

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)

    @property
    def table(self) -> str | None:
        """The table that was chosen for the unit."""
        return self.parsed().table if '"table":"' in self.document else None

    def parsed(self) -> UnitConfig:
        return UnitConfig.model_validate_json(self.document)


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


def find(connection: sa.Connection, unit: UnitRef) -> Configured | None:
    row = connection.execute(sa.select(t).where(*_is_row_of(unit))).mappings().first()
    return None if row is None else _read(row)


def listed(
    connection: sa.Connection, endpoint_id: str | None = None, *, after: str | None = None, first: int | None = None
) -> list[Configured]:
    """By endpoint and unit; `after` and `first` make pages of one endpoint's units."""
    query = sa.select(t).order_by(t.c.endpoint_id, t.c.unit_id).limit(first)
    if endpoint_id is not None:
        query = query.where(t.c.endpoint_id == endpoint_id)
    if after is not None:
        query = query.where(t.c.unit_id > after)
    return [_read(row) for row in connection.execute(query).mappings()]


def stamped(connection: sa.Connection, endpoint_id: str | None = None) -> list[tuple[Configured, str]]:
    """As `listed`, each with the time of its last change."""
    query = sa.select(t).order_by(t.c.endpoint_id, t.c.unit_id)
    if endpoint_id is not None:
        query = query.where(t.c.endpoint_id == endpoint_id)
    return [(_read(row), row["updated_at"]) for row in connection.execute(query).mappings()]


def find_many(connection: sa.Connection, units: Collection[UnitRef]) -> list[Configured]:
    """The configured ones among `units`."""
    by_endpoint: dict[str, list[str]] = {}
    for unit in units:
        by_endpoint.setdefault(unit.endpoint_id, []).append(unit.unit_id)
    found: list[Configured] = []
    for endpoint_id, unit_ids in by_endpoint.items():
        for n in range(0, len(unit_ids), MOST_NAMED):
            named = t.c.unit_id.in_(unit_ids[n : n + MOST_NAMED])
            rows = connection.execute(sa.select(t).where(t.c.endpoint_id == endpoint_id, named)).mappings()
            found += [_read(row) for row in rows]
    return found


def enabled_raw(connection: sa.Connection) -> list[RawConfig]:
    """All enabled units, by endpoint and unit; possibly also one that is not, but has the text in another field."""
    query = sa.select(t.c.endpoint_id, t.c.unit_id, t.c.sink_id, t.c.document).order_by(t.c.endpoint_id, t.c.unit_id)
    return [RawConfig(*row) for row in connection.execute(query.where(t.c.document.contains('"enabled":true')))]


def mapped(connection: sa.Connection) -> list[Configured]:
    """Units whose columns are mapped to models by expressions."""
    query = sa.select(t).where(~t.c.document.contains('"models":{}')).order_by(t.c.endpoint_id, t.c.unit_id)
    return [_read(row) for row in connection.execute(query).mappings()]


def scheduled(connection: sa.Connection) -> list[Configured]:
    """Enabled units with a schedule of any task."""
    has_one = ('"schedule_kind":"INTERVAL"', '"schedule_kind":"CRON"', '"task_schedules":[{')
    wanted = sa.or_(*(t.c.document.contains(text, autoescape=True) for text in has_one))
    query = sa.select(t).where(wanted).order_by(t.c.endpoint_id, t.c.unit_id)
    found = [_read(row) for row in connection.execute(query).mappings()]
    return [item for item in found if item.config.enabled and item.config.is_scheduled]


def put(connection: sa.Connection, config: UnitConfig, origin: Origin, if_version: int) -> int:
    """Writes only where the stored version is `if_version` (0: not there); returns the new version.

    Raises:
        StateConflict: the stored version is another one.
    """
    values = {"sink_id": config.sink_id, "document": config.model_dump_json(), "origin": origin, "updated_at": now()}
    if if_version == 0:
        if find(connection, config.ref) is None:
            connection.execute(
                t.insert().values(endpoint_id=config.endpoint_id, unit_id=config.unit_id, version=1, **values)
            )
            return 1
    else:
        change = (
            t.update()
            .where(*_is_row_of(config.ref), t.c.version == if_version)
            .values(version=if_version + 1, **values)
        )
        if connection.execute(change).rowcount == 1:
            return if_version + 1
    raise StateConflict(f"{config.ref}: another caller changed its configuration", hint="read it again")


def add_many(connection: sa.Connection, configs: Sequence[UnitConfig], origin: Origin) -> None:
    """Writes configurations of units that have none, in one statement."""
    moment = now()
    rows = [
        {
            "endpoint_id": config.endpoint_id,
            "unit_id": config.unit_id,
            "sink_id": config.sink_id,
            "document": config.model_dump_json(),
            "origin": origin,
            "version": 1,
            "updated_at": moment,
        }
        for config in configs
    ]
    if rows:
        connection.execute(t.insert(), rows)


def remove(connection: sa.Connection, unit: UnitRef) -> None:
    connection.execute(t.delete().where(*_is_row_of(unit)))


def _is_row_of(unit: UnitRef) -> tuple[sa.ColumnElement[bool], ...]:
    return t.c.endpoint_id == unit.endpoint_id, t.c.unit_id == unit.unit_id


def _read(row: sa.RowMapping) -> Configured:
    return Configured(
        config=UnitConfig.model_validate_json(row["document"]), origin=row["origin"], version=row["version"]
    )
