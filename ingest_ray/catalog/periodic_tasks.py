"""Tasks that any of several processes carries out from time to time: when each was claimed last, and how far it came."""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import periodic_tasks as t


def claimed_at(connection: sa.Connection, name: str) -> str | None:
    found = connection.execute(sa.select(t.c.claimed_at).where(t.c.name == name)).scalar()
    return None if found is None else str(found)


def position(connection: sa.Connection, name: str) -> str | None:
    found = connection.execute(sa.select(t.c.position).where(t.c.name == name)).scalar()
    return None if found is None else str(found)


def claim(connection: sa.Connection, name: str, position: str | None = None, at: str | None = None) -> None:
    """In a transaction that runs alone."""
    values = {"claimed_at": at or now(), "position": position}
    if connection.execute(t.update().where(t.c.name == name).values(**values)).rowcount == 0:
        connection.execute(t.insert().values(name=name, **values))
