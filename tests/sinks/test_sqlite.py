"""The SQL sink on SQLite files."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.suites.sink import SinkSuite


class SqliteWorld:
    refuses = frozenset({"halffloat", "float", "double"})  # their samples have a NaN

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Sink:
        return open_sink(SqlConfig(url=f"sqlite:///{self._path}"))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self._path)
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f'select * from "{unit_table_name(target)}"')]
        connection.close()
        return found


class TestSqlite(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: SqliteWorld(tmp_path / "lake.db"))
