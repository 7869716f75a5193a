"""The outbox of messages: written in the transaction that opens or closes incidents, delivered afterwards."""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import notifications as t
from ingest_ray.sdk.types import Model

MOST_AT_ONCE = 200


class Notification(Model):
    """`document`: the message as JSON. `next_attempt_at` None: delivered, or a dead letter."""

    notification_id: str
    receiver: str
    created_at: str
    document: str
    attempts: int = 0
    next_attempt_at: str | None = None
    delivered_at: str | None = None
    dead_at: str | None = None
    last_error: str | None = None


def add(connection: sa.Connection, notification: Notification) -> None:
    connection.execute(t.insert().values(**notification.model_dump()))


def waiting(connection: sa.Connection) -> list[Notification]:
    """Neither delivered nor dead, the oldest first."""
    query = sa.select(t).where(t.c.next_attempt_at.is_not(None)).order_by(t.c.notification_id).limit(MOST_AT_ONCE)
    return _read(connection, query)


def dead(connection: sa.Connection, limit: int = MOST_AT_ONCE) -> list[Notification]:
    """The newest first."""
    return _read(connection, sa.select(t).where(t.c.dead_at.is_not(None)).order_by(t.c.dead_at.desc()).limit(limit))


def counted(connection: sa.Connection) -> tuple[int, int]:
    """How many wait, and how many are dead letters."""
    query = sa.select(sa.func.count(t.c.next_attempt_at), sa.func.count(t.c.dead_at))
    found = connection.execute(query).one()
    return int(found[0]), int(found[1])


def claim(connection: sa.Connection, found: Notification, until: str) -> bool:
    """Takes the next attempt until a time; False where another process has it."""
    change = t.update().where(t.c.notification_id == found.notification_id, t.c.attempts == found.attempts)
    change = change.where(t.c.next_attempt_at == found.next_attempt_at)
    return connection.execute(change.values(attempts=found.attempts + 1, next_attempt_at=until)).rowcount == 1


def end(connection: sa.Connection, notification_id: str) -> None:
    change = t.update().where(t.c.notification_id == notification_id)
    connection.execute(change.values(delivered_at=now(), next_attempt_at=None, last_error=None))


def postpone(connection: sa.Connection, notification_id: str, error: str, until: str | None) -> None:
    """`until` None: it becomes a dead letter."""
    values = {"last_error": error, "next_attempt_at": until, "dead_at": now() if until is None else None}
    connection.execute(t.update().where(t.c.notification_id == notification_id).values(**values))


def revive(connection: sa.Connection) -> int:
    """Makes every dead letter wait again; returns how many."""
    change = t.update().where(t.c.dead_at.is_not(None))
    return connection.execute(change.values(dead_at=None, attempts=0, next_attempt_at=now())).rowcount


def delete_before(connection: sa.Connection, at: str) -> int:
    """Delivered ones and dead letters."""
    return connection.execute(t.delete().where(t.c.created_at < at, t.c.next_attempt_at.is_(None))).rowcount


def _read(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Notification]:
    return [Notification.model_validate(dict(row)) for row in connection.execute(query).mappings()]
