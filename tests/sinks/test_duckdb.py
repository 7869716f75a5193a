"""The SQL sink on DuckDB files."""

import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.duckdb import open_sink
from ingest_ray.sinks.databases.table_names import unit_table_name
from ingest_ray.sinks.templates import DuckDbConfig
from ingest_ray.testing.suites.sink import SinkSuite

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


class TestDuckDb(SinkSuite):
    world = pytest.fixture(lambda self, tmp_path: DuckDbWorld(tmp_path / "a lake" / "lake.duckdb"))
