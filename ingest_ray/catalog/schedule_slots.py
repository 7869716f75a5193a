"""The schedule state of each unit: the last slot that was decided about, of its ordinary runs and of each other task, and whether
the schedules of the unit are held."""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import schedules as t
from ingest_ray.catalog.tables import task_schedules as k
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model

ORDINARY = "ingest"


class ScheduleRow(Model):
    """`last_due`: seconds since 1970. Only the row of ordinary runs says whether the unit's schedules are held."""

    endpoint_id: str
    unit_id: str
    task: str = ORDINARY
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


def listed_tasks(connection: sa.Connection, endpoint_id: str | None = None) -> dict[tuple[UnitRef, str], ScheduleRow]:
    """Of other tasks than ordinary runs."""
    query = sa.select(k) if endpoint_id is None else sa.select(k).where(k.c.endpoint_id == endpoint_id)
    rows = [ScheduleRow.model_validate(dict(row)) for row in connection.execute(query).mappings()]
    return {(row.ref, row.task): row for row in rows}


def claim(connection: sa.Connection, unit: UnitRef, before: int | None, due: int, task: str = ORDINARY) -> bool:
    """Moves the last slot from `before` to `due`; False where another server was first."""
    _ensure(connection, unit, task)
    table = _table_of(task)
    same = table.c.last_due.is_(None) if before is None else table.c.last_due == before
    change = table.update().where(*_is_row_of(unit, task), same).values(last_due=due, last_error=None)
    return connection.execute(change).rowcount == 1


def put_back(connection: sa.Connection, unit: UnitRef, due: int, before: int | None, task: str = ORDINARY) -> None:
    """Undoes a claim, unless a later slot was claimed since."""
    table = _table_of(task)
    connection.execute(table.update().where(*_is_row_of(unit, task), table.c.last_due == due).values(last_due=before))


def record_start_failure(connection: sa.Connection, unit: UnitRef, error: str, task: str = ORDINARY) -> None:
    connection.execute(_table_of(task).update().where(*_is_row_of(unit, task)).values(last_error=error))


def hold(connection: sa.Connection, unit: UnitRef, held_by: str | None) -> None:
    _ensure(connection, unit)
    change = t.update().where(*_is_row_of(unit), t.c.held_at.is_(None))
    connection.execute(change.values(held_at=now(), held_by=held_by))


def release(connection: sa.Connection, unit: UnitRef) -> None:
    connection.execute(t.update().where(*_is_row_of(unit)).values(held_at=None, held_by=None))


def _ensure(connection: sa.Connection, unit: UnitRef, task: str = ORDINARY) -> None:
    table = _table_of(task)
    if connection.execute(sa.select(table.c.unit_id).where(*_is_row_of(unit, task))).first() is None:
        key = {} if task == ORDINARY else {"task": task}
        connection.execute(table.insert().values(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, **key))


def _table_of(task: str) -> sa.Table:
    return t if task == ORDINARY else k


def _is_row_of(unit: UnitRef, task: str = ORDINARY) -> tuple[sa.ColumnElement[bool], ...]:
    columns = _table_of(task).c
    is_of_unit = (columns.endpoint_id == unit.endpoint_id, columns.unit_id == unit.unit_id)
    return is_of_unit if task == ORDINARY else (*is_of_unit, columns.task == task)
