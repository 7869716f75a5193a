"""The SQL sink on a real MariaDB."""

import datetime as dt
from typing import Any

import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.databases.history.merge import VALIDITY
from ingest_ray.sinks.databases.standard_sql import CursorSession
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.suites.sink import SinkSuite
from ingest_ray.testing.suites.sink_harness import Load, rows


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


def test_no_statement_of_a_history_compares_all_rows_of_two_tables(
    mariadb: MariaDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10,000 rows that come, joins without an index would compare 100 million pairs."""
    load = Load(MariaWorld(mariadb), WriteMode.HISTORY)
    load.put(*((number, 1, "old") for number in range(300)), first=True)
    plans: dict[str, str] = {}

    def explained(method: Any) -> Any:
        def call(session: Any, sql: str, *values: Any) -> Any:
            if " join " in sql or sql.startswith("update"):
                query = sql[sql.index("select") :] if sql.startswith("create") else sql
                plans[sql] = repr(execute(session, f"explain {query}", *values))
            return method(session, sql, *values)

        return call

    execute = CursorSession.execute
    prepared = load.prepare(rows(*((number, 2, "new") for number in range(250, 600))), first=False)
    monkeypatch.setattr(CursorSession, "execute", explained(execute))
    monkeypatch.setattr(CursorSession, "execute_update", explained(CursorSession.execute_update))
    load.sink.commit(load.target, load.schema, 1, 2, [prepared])
    joins = [sql for sql in plans if VALIDITY in sql]
    assert len(joins) == 2
    assert [sql for sql, plan in plans.items() if "join buffer" in plan] == []
    assert len(load.found()) == 650
