"""The channel between a run and its observers: its request, a request to stop, and its progress.

Every run has one row here, in whatever process it runs; both sides communicate only through this row.
"""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import run_lines as t
from ingest_ray.sdk.types import Model


class RunChannel(Model):
    """`request` and `progress` are JSON of the service's models."""

    run_id: str
    request: str
    taken_at: str | None = None
    stop_requested_at: str | None = None
    stop_requested_by: str | None = None
    progress: str | None = None
    progressed_at: str | None = None


def open_channel(connection: sa.Connection, run_id: str, request: str) -> None:
    connection.execute(t.insert().values(run_id=run_id, request=request))


def find(connection: sa.Connection, run_id: str) -> RunChannel | None:
    row = connection.execute(sa.select(t).where(t.c.run_id == run_id)).mappings().first()
    return None if row is None else RunChannel.model_validate(dict(row))


def take_over(connection: sa.Connection, run_id: str) -> None:
    connection.execute(t.update().where(t.c.run_id == run_id).values(taken_at=now()))


def release(connection: sa.Connection, run_id: str) -> None:
    """Releases a run whose process is known to be gone, so that another process may take it over."""
    connection.execute(t.update().where(t.c.run_id == run_id).values(taken_at=None))


def request_stop(connection: sa.Connection, run_id: str, requested_by: str | None) -> None:
    """Stores a stop request; only the first one counts."""
    change = t.update().where(t.c.run_id == run_id, t.c.stop_requested_at.is_(None))
    connection.execute(change.values(stop_requested_at=now(), stop_requested_by=requested_by))


def is_stop_requested(connection: sa.Connection, run_id: str) -> bool:
    return connection.execute(sa.select(t.c.stop_requested_at).where(t.c.run_id == run_id)).scalar() is not None


def write_progress(connection: sa.Connection, run_id: str, progress: str) -> None:
    connection.execute(t.update().where(t.c.run_id == run_id).values(progress=progress, progressed_at=now()))
