"""The dataset with which a unit was last run; the next run compares the source with it.

It may differ from the catalog's newest version: a policy may ignore a new column, and a narrowed type stays wide.
"""

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import unit_datasets as t
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset


def find(connection: sa.Connection, unit: UnitRef, sink_id: str) -> Dataset | None:
    document = connection.execute(sa.select(t.c.document).where(*_is_row_of(unit, sink_id))).scalar()
    return None if document is None else Dataset.model_validate_json(document)


def listed(connection: sa.Connection) -> frozenset[tuple[str, str, str]]:
    """Endpoint, unit and sink of every accepted schema."""
    return frozenset(tuple(row) for row in connection.execute(sa.select(t.c.endpoint_id, t.c.unit_id, t.c.sink_id)))


def put(connection: sa.Connection, unit: UnitRef, sink_id: str, dataset: Dataset) -> None:
    values = {"document": dataset.model_dump_json(), "updated_at": now()}
    if connection.execute(t.update().where(*_is_row_of(unit, sink_id)).values(**values)).rowcount == 0:
        ids = {"endpoint_id": unit.endpoint_id, "unit_id": unit.unit_id, "sink_id": sink_id}
        connection.execute(t.insert().values(**ids, **values))


def forget(connection: sa.Connection, unit: UnitRef, sink_id: str) -> None:
    connection.execute(t.delete().where(*_is_row_of(unit, sink_id)))


def _is_row_of(unit: UnitRef, sink_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return t.c.endpoint_id == unit.endpoint_id, t.c.unit_id == unit.unit_id, t.c.sink_id == sink_id
