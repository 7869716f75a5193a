"""The schedule state of each unit: the last slot that was decided about, and whether the schedule is held."""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import schedules as t
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model


class ScheduleRow(Model):
    """`last_due`: seconds since 1970."""

    endpoint_id: str
    unit_id: str
    last_due: int | None = None
    last_error: str | None = None
    held_at: str | None = None
    held_by: str | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


def find(connection: sa.Connection, unit: UnitRef) -> ScheduleRow | None:
    row = connection.execute(sa.select(t).where(*_is_row_of(unit))).mappings().first()
    return None if row is None else ScheduleRow.model_validate(dict(row))


def listed(connection: sa.Connection, endpoint_id: str | None = None) -> dict[UnitRef, ScheduleRow]:
    query = sa.select(t) if endpoint_id is None else sa.select(t).where(t.c.endpoint_id == endpoint_id)
    rows = [ScheduleRow.model_validate(dict(row)) for row in connection.execute(query).mappings()]
    return {row.ref: row for row in rows}


def claim(connection: sa.Connection, unit: UnitRef, before: int | None, due: int) -> bool:
    """Moves the last slot from `before` to `due`; False where another server was first."""
    _ensure(connection, unit)
    same = t.c.last_due.is_(None) if before is None else t.c.last_due == before
    change = t.update().where(*_is_row_of(unit), same).values(last_due=due, last_error=None)
    return connection.execute(change).rowcount == 1


def put_back(connection: sa.Connection, unit: UnitRef, due: int, before: int | None) -> None:
    """Undoes a claim, unless a later slot was claimed since."""
    connection.execute(t.update().where(*_is_row_of(unit), t.c.last_due == due).values(last_due=before))


def record_start_failure(connection: sa.Connection, unit: UnitRef, error: str) -> None:
    connection.execute(t.update().where(*_is_row_of(unit)).values(last_error=error))


def hold(connection: sa.Connection, unit: UnitRef, held_by: str | None) -> None:
    _ensure(connection, unit)
    change = t.update().where(*_is_row_of(unit), t.c.held_at.is_(None))
    connection.execute(change.values(held_at=now(), held_by=held_by))


def release(connection: sa.Connection, unit: UnitRef) -> None:
    connection.execute(t.update().where(*_is_row_of(unit)).values(held_at=None, held_by=None))


def _ensure(connection: sa.Connection, unit: UnitRef) -> None:
    if find(connection, unit) is None:
        connection.execute(t.insert().values(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id))


def _is_row_of(unit: UnitRef) -> tuple[sa.ColumnElement[bool], ...]:
    return t.c.endpoint_id == unit.endpoint_id, t.c.unit_id == unit.unit_id
