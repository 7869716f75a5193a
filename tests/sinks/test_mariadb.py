"""The SQL sink on a real MariaDB."""

import datetime as dt
from typing import Any

import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.suites.sink import SinkSuite


class MariaWorld:
    refuses = frozenset({"halffloat", "float", "double"})  # their samples have a NaN

    def __init__(self, mariadb: MariaDatabase) -> None:
        self._mariadb = mariadb
        self.url = mariadb.url

    def open(self) -> Sink:
        return open_sink(SqlConfig(url=self._mariadb.url))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        found = self._mariadb.run(f"select * from `{unit_table_name(target)}`")
        return [{name: _as_time(value) for name, value in row.items()} for row in found]


def _as_time(value: Any) -> Any:
    """The driver returns times of day as durations."""
    return (dt.datetime.min + value).time() if isinstance(value, dt.timedelta) else value


class TestMariaDb(SinkSuite):
    world = pytest.fixture(lambda self, mariadb: MariaWorld(mariadb))
