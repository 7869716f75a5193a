"""The SQL sink on a real PostgreSQL."""

from typing import Any

import pytest

from ingest_ray.contracts import Sink
from ingest_ray.models import Target
from ingest_ray.sinks import SqlConfig
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.databases.names import table_of
from ingest_ray.testing.servers import Postgres
from ingest_ray.testing.sink_suite import SinkSuite


class PostgresWorld:
    def __init__(self, pg: Postgres) -> None:
        self._pg = pg
        self.url = pg.url

    def open(self) -> Sink:
        return open_sink(SqlConfig(url=self._pg.url))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        connection = self._pg.connect()
        connection.register_in_adapter(114, str)  # json as the text that is stored
        cursor = connection.cursor()
        cursor.execute(f'select * from "{table_of(target)}"')
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        connection.close()
        return found


class TestPostgres(SinkSuite):
    world = pytest.fixture(lambda self, pg: PostgresWorld(pg))
