"""All rows of the catalog, for a backup and its restoration."""

from collections.abc import Callable, Iterator, Mapping

import sqlalchemy as sa
from pydantic import JsonValue

from ingest_ray.catalog.tables import catalog_schema, tables

INSERT_ROWS = 500

_EXPORTED = [table for table in tables.sorted_tables if table is not catalog_schema]


def exported_rows(connection: sa.Connection) -> Iterator[tuple[str, Iterator[dict[str, JsonValue]]]]:
    """Each table's name with its rows; read the rows of one before the next. Values are text, numbers, booleans and NULL."""
    for table in _EXPORTED:
        yield table.name, (dict(row) for row in connection.execute(sa.select(table)).mappings())


def has_rows(connection: sa.Connection) -> bool:
    return any(connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() for table in _EXPORTED)


def delete_rows(connection: sa.Connection) -> None:
    for table in reversed(_EXPORTED):
        connection.execute(table.delete())


def insert_rows(connection: sa.Connection, rows_of: Callable[[str], Iterator[Mapping[str, JsonValue]]]) -> None:
    """Inserts the rows of each table; columns that an older backup does not have get their defaults."""
    for table in _EXPORTED:
        pending: list[dict[str, JsonValue]] = []
        for row in rows_of(table.name):
            pending.append(dict(row))
            if len(pending) == INSERT_ROWS:
                connection.execute(table.insert(), pending)
                pending = []
        if pending:
            connection.execute(table.insert(), pending)
