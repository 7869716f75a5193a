"""The SQL sink on SQLite files."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import CommitUnknown, SinkUnavailable
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.suites.sink import SinkSuite
from ingest_ray.testing.suites.sink_harness import Load, rows


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


@pytest.mark.parametrize("call", ["prepare", "read_progress", "is_empty"])
def test_a_connection_that_is_lost_at_the_end_of_a_look_leaves_nothing_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What was asked is asked again: only a lost commit of rows has to be looked up in the sink."""
    load = Load(SqliteWorld(tmp_path / "lake.db"), WriteMode.UPSERT)
    load.put((1, 1, "a"), first=True)
    sink: Any = load.sink
    real = sink._db.transaction

    @contextmanager
    def lost() -> Iterator[Any]:
        with real() as session:
            yield session
        raise CommitUnknown("the connection was lost while it committed")

    monkeypatch.setattr(sink._db, "transaction", lost)
    with pytest.raises(SinkUnavailable):
        load.prepare(rows((2, 1, "b"))) if call == "prepare" else getattr(sink, call)(load.target)
