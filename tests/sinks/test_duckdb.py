"""The SQL sink on DuckDB files."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.databases.duckdb import open_sink
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import DuckDbConfig
from ingest_ray.testing.suites.sink import Load, SinkSuite, rows
from tests.forks import run_code

pytestmark = pytest.mark.slow


class DuckDbWorld:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Sink:
        return open_sink(DuckDbConfig(path=str(self._path)))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        with self._connected() as connection:
            rows = connection.sql(f'select * from "{unit_table_name(target)}"').to_arrow_table()
        nanoseconds = [index for index, field in enumerate(rows.schema) if field.type == pa.timestamp("ns")]
        for index in nanoseconds:  # Python has none
            rows = rows.set_column(index, rows.schema.names[index], rows.column(index).cast(pa.string()))
        return list(rows.to_pylist())

    def _connected(self) -> duckdb.DuckDBPyConnection:
        for _ in range(200):
            try:
                return duckdb.connect(str(self._path))
            except duckdb.Error:  # the sink is just closing it
                time.sleep(0.01)
        raise AssertionError("the file could not be opened")


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """DuckDB opens a file that its process has open in no time, and any other in 15 ms: half of the time of these tests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)):
        yield


class TestDuckDb(SinkSuite):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[DuckDbWorld]:
        path = tmp_path / "a lake" / "lake.duckdb"
        with held_open(path):
            yield DuckDbWorld(path)


def test_a_file_that_nobody_has_open_is_made_with_its_folders_and_closed_after_each_step(tmp_path: Path) -> None:
    path = tmp_path / "a lake" / "new" / "lake.duckdb"
    load = Load(DuckDbWorld(path), WriteMode.UPSERT)
    prepared = load.prepare(rows((1, 1, "a"), (2, 1, "b")))
    assert is_closed(path)
    load.commit(prepared)
    assert is_closed(path)
    assert sorted(row[:2] for row in load.found()) == [(1, 1), (2, 1)]


def is_closed(path: Path) -> bool:
    """Another process may write."""
    script = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"
    return run_code(script, str(path)).returncode == 0
