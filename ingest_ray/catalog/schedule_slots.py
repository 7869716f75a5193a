"""What the schedule of each unit has come to: the last slot that was decided about, and whether it is held."""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import schedules as t
from ingest_ray.sdk.types import Model


class ScheduleRow(Model):
    """`last_due`: seconds since 1970."""

    endpoint_id: str
    unit_id: str
    last_due: int | None = None
    last_error: str | None = None
    held_at: str | None = None
    held_by: str | None = None


def find(connection: sa.Connection, endpoint_id: str, unit_id: str) -> ScheduleRow | None:
    row = connection.execute(sa.select(t).where(*_here(endpoint_id, unit_id))).mappings().first()
    return None if row is None else ScheduleRow.model_validate(dict(row))


def listed(connection: sa.Connection, endpoint_id: str | None = None) -> dict[tuple[str, str], ScheduleRow]:
    query = sa.select(t) if endpoint_id is None else sa.select(t).where(t.c.endpoint_id == endpoint_id)
    rows = [ScheduleRow.model_validate(dict(row)) for row in connection.execute(query).mappings()]
    return {(row.endpoint_id, row.unit_id): row for row in rows}


def claim(connection: sa.Connection, endpoint_id: str, unit_id: str, before: int | None, due: int) -> bool:
    """Moves the last slot from `before` to `due`; False where another server was first."""
    _ensure(connection, endpoint_id, unit_id)
    same = t.c.last_due.is_(None) if before is None else t.c.last_due == before
    change = t.update().where(*_here(endpoint_id, unit_id), same).values(last_due=due, last_error=None)
    return connection.execute(change).rowcount == 1


def blame(connection: sa.Connection, endpoint_id: str, unit_id: str, error: str) -> None:
    connection.execute(t.update().where(*_here(endpoint_id, unit_id)).values(last_error=error))


def hold(connection: sa.Connection, endpoint_id: str, unit_id: str, held_by: str | None) -> None:
    _ensure(connection, endpoint_id, unit_id)
    change = t.update().where(*_here(endpoint_id, unit_id), t.c.held_at.is_(None))
    connection.execute(change.values(held_at=now(), held_by=held_by))


def release(connection: sa.Connection, endpoint_id: str, unit_id: str) -> None:
    connection.execute(t.update().where(*_here(endpoint_id, unit_id)).values(held_at=None, held_by=None))


def _ensure(connection: sa.Connection, endpoint_id: str, unit_id: str) -> None:
    if find(connection, endpoint_id, unit_id) is None:
        connection.execute(t.insert().values(endpoint_id=endpoint_id, unit_id=unit_id))


def _here(endpoint_id: str, unit_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return t.c.endpoint_id == endpoint_id, t.c.unit_id == unit_id
