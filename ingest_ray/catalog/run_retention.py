"""Deletes old run records, with their channels."""

from collections.abc import Sequence

import sqlalchemy as sa

from ingest_ray.catalog.tables import run_lines, runs
from ingest_ray.sdk.types import RunState

AT_ONCE = 500  # records in one transaction


def ended_before(connection: sa.Connection, at: str, kept: int) -> list[str]:
    """The ids of runs that ended before `at`, without the newest `kept` of each unit, sink and task."""
    position = sa.func.row_number().over(
        partition_by=(runs.c.endpoint_id, runs.c.unit_id, runs.c.sink_id, runs.c.task),
        order_by=runs.c.started_at.desc(),
    )
    ranked = sa.select(runs.c.run_id, runs.c.finished_at, runs.c.state, position.label("position")).subquery()
    query = sa.select(ranked.c.run_id).where(
        ranked.c.position > kept, ranked.c.finished_at < at, ranked.c.state != RunState.RUNNING
    )
    return list(connection.execute(query).scalars())


def delete(connection: sa.Connection, run_ids: Sequence[str]) -> None:
    connection.execute(run_lines.delete().where(run_lines.c.run_id.in_(run_ids)))
    connection.execute(runs.delete().where(runs.c.run_id.in_(run_ids), runs.c.state != RunState.RUNNING))
