"""Comparisons of units with their sinks among the run records: runs of task `verify`, for which no run waits."""

from collections.abc import Sequence

import sqlalchemy as sa

from ingest_ray.catalog.run_records import RunRecord, read_row
from ingest_ray.catalog.tables import runs as t
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState


def last_began(connection: sa.Connection, unit: UnitRef, sink_id: str) -> str | None:
    """When the last comparison of the unit with the sink began that has ended, as ISO 8601."""
    is_of_unit = (t.c.endpoint_id == unit.endpoint_id, t.c.unit_id == unit.unit_id, t.c.sink_id == sink_id)
    is_ended = (t.c.task == "verify", t.c.state != RunState.RUNNING)
    found = connection.execute(sa.select(sa.func.max(t.c.started_at)).where(*is_of_unit, *is_ended)).scalar()
    return None if found is None else str(found)


def running(connection: sa.Connection, unit: UnitRef | None = None) -> Sequence[RunRecord]:
    """Comparisons without an end in their record, of one unit or of all: live, or their process died."""
    query = sa.select(t).where(t.c.state == RunState.RUNNING, t.c.task == "verify").order_by(t.c.started_at)
    if unit is not None:
        query = query.where(t.c.endpoint_id == unit.endpoint_id, t.c.unit_id == unit.unit_id)
    return [read_row(row) for row in connection.execute(query).mappings()]


def failed(connection: sa.Connection) -> Sequence[RunRecord]:
    """The last comparison of each unit, where it failed or found differences."""
    newest = sa.select(t.c.endpoint_id, t.c.unit_id, sa.func.max(t.c.run_id).label("run_id"))
    newest = newest.where(t.c.task == "verify", t.c.state != RunState.RUNNING)
    last = newest.group_by(t.c.endpoint_id, t.c.unit_id).subquery()
    query = sa.select(t).join(last, t.c.run_id == last.c.run_id).where(t.c.state == RunState.FAILED)
    return [read_row(row) for row in connection.execute(query).mappings()]
