"""Incidents: one row for each condition and subject, with its current or last incident."""

import sqlalchemy as sa

from ingest_ray.catalog.tables import incidents as t
from ingest_ray.sdk.types import Model
from ingest_ray.settings import AlertCondition


class Incident(Model):
    """`runs`: the runs that were counted for it. `event_at`: the end of the newest of them. `openings`: when it was opened lately.
    `absent_since`: when its condition was seen to be over. `is_opening_due`, `is_recovery_due`: a message about that is still to be made.
    Times are ISO 8601 in UTC."""

    condition: AlertCondition
    endpoint_id: str
    subject: str
    incident_id: str
    opened_at: str
    closed_at: str | None = None
    run_id: str | None = None
    code: str | None = None
    text: str | None = None
    count: int | None = None
    runs: tuple[str, ...] = ()
    event_at: str = ""
    openings: tuple[str, ...] = ()
    absent_since: str | None = None
    is_opening_due: bool = False
    is_recovery_due: bool = False

    @property
    def key(self) -> tuple[AlertCondition, str, str]:
        return self.condition, self.endpoint_id, self.subject

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


_COLUMNS = ("condition", "endpoint_id", "subject", "incident_id", "opened_at", "closed_at")


def listed(connection: sa.Connection, *, only_open: bool = False) -> list[Incident]:
    """The newest first."""
    query = sa.select(t.c.document).order_by(t.c.opened_at.desc())
    if only_open:
        query = query.where(t.c.closed_at.is_(None))
    return [Incident.model_validate_json(document) for (document,) in connection.execute(query)]


def put(connection: sa.Connection, incident: Incident) -> None:
    values = {name: getattr(incident, name) for name in _COLUMNS} | {"document": incident.model_dump_json()}
    is_same = [t.c[name] == value for name, value in zip(_COLUMNS, incident.key, strict=False)]
    if connection.execute(t.update().where(*is_same).values(**values)).rowcount == 0:
        connection.execute(t.insert().values(**values))


def delete_closed_before(connection: sa.Connection, at: str) -> int:
    return connection.execute(t.delete().where(t.c.closed_at < at)).rowcount
