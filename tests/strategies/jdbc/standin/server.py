"""A DB-API connection to PostgreSQL that takes another server's statements, and records them."""

import warnings
from collections.abc import Callable
from typing import Any

import pg8000.dbapi
import sqlglot

from ingest_ray.testing.servers.postgres import Postgres

Translate = Callable[[str], str | list[tuple[Any, ...]]]
"""A statement -> that of PostgreSQL, or the rows that the stand-in itself answers."""


class StandinServer:
    """`fault` makes the driver's own error of a PostgreSQL SQLSTATE and message."""

    def __init__(
        self, pg: Postgres, setup: str, dialect: str, translate: Translate, fault: Callable[[str, str], Exception]
    ) -> None:
        self.pg = pg
        self.dialect = dialect
        self.setup = setup
        self.translate = translate
        self.fault = fault
        self.statements: list[str] = []
        self.opened = 0

    def connect(self, *_: Any) -> "Connection":
        self.opened += 1
        return Connection(self)

    def parsed(self, sql: str) -> Any:
        return sqlglot.parse_one(sql, dialect=self.dialect, error_level=sqlglot.ErrorLevel.RAISE)


class Connection:
    def __init__(self, server: StandinServer) -> None:
        self.server = server
        self._connection = server.pg.connect()
        self._connection.autocommit = True
        self._run(server.setup)

    def _run(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return cursor

    def cursor(self) -> "Cursor":
        return Cursor(self)

    def close(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._connection.close()


class Cursor:
    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: Any = None

    def execute(self, sql: str, **_: Any) -> None:
        server = self._connection.server
        server.statements.append(sql)
        answer = server.translate(sql)
        if isinstance(answer, list):
            self._rows, self.description = answer, [None] if answer else None
            return
        try:
            result = self._connection._run(answer)
        except pg8000.dbapi.Error as error:
            fields = error.args[0]
            raise server.fault(str(fields.get("C")), str(fields.get("M"))) from None
        self.description = result.description
        self._rows = [tuple(row) for row in result.fetchall()] if result.description else []

    def fetchall(self) -> list[tuple[Any, ...]]:
        result, self._rows = self._rows, []
        return result

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        result, self._rows = self._rows[:count], self._rows[count:]
        return result

    def close(self) -> None:
        self._rows = []
