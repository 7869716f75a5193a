"""Iceberg tables in a local folder, read by pyiceberg itself or, as Parquet files, by DuckDB."""

from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.templates import IcebergConfig
from ingest_ray.testing.suites.sink import Load


class IcebergWorld:
    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self._config = config
        self._catalog: SqlCatalog | None = None

    def open(self) -> Sink:
        return IcebergSink(IcebergConfig(warehouse=str(self.root), **self._config))

    def catalog(self) -> SqlCatalog:
        """The library's own catalog, as any program opens it."""
        if self._catalog is None:
            self._catalog = SqlCatalog("ingest", uri=f"sqlite:///{self.root}/catalog.db")
        return self._catalog

    def table(self, target: Target) -> Table:
        sink = self.open()
        assert isinstance(sink, IcebergSink)
        return self.catalog().load_table(sink._catalog.identifier(target))

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        return list(self.table(target).scan().to_arrow().to_pylist())

    def files(self, load: Load) -> dict[str, int]:
        """The rows of every data file of the table, by its path."""
        tasks = self.table(load.target).scan().plan_files()
        return {task.file.file_path.removeprefix("file://"): task.file.record_count for task in tasks}


class DuckWorld(IcebergWorld):
    """Reads the Parquet files that the catalog names with DuckDB: an engine that has no part of pyiceberg."""

    is_variant = True

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        table = self.table(target)
        paths = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
        if not paths:
            return []
        found = duckdb.connect().read_parquet(paths, union_by_name=True).to_arrow_table().to_pylist()
        return [{field.name: row.get(field.name) for field in table.schema().fields} for row in found]
