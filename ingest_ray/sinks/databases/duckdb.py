"""DuckDB: one file, which one process opens at a time. Stages are Parquet files beside it, so that preparing needs no lock.

https://duckdb.org/docs/stable/connect/concurrency. A file that another process has open raises `SinkUnavailable`, which is retried.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest_ray.files.folder import hint_for, open_folder
from ingest_ray.sdk.contracts import ModelSink, Sink
from ingest_ray.sdk.errors import ConfigError, IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sinks.databases.column_names import ColumnLimits
from ingest_ray.sinks.databases.conflicts import TransactionConflict
from ingest_ray.sinks.databases.database import LEDGER, Session
from ingest_ray.sinks.databases.model_sink import SqlModelSink
from ingest_ray.sinks.databases.standard_sql import FETCH_ROWS, StandardSqlDatabase
from ingest_ray.sinks.databases.table_sink import SqlSink
from ingest_ray.sinks.databases.types.duckdb import DUCKDB_LIMITS, DUCKDB_TYPES, nested_type
from ingest_ray.sinks.parquet import RollingParquetWriter
from ingest_ray.sinks.templates import DuckDbConfig

LOCK_WAIT_S = 15
LOCK_PAUSE_S = 0.1
REGISTERED = "_ingest_rows"  # the name of Arrow rows for one statement


class DuckDbDatabase(StandardSqlDatabase):
    rules = DUCKDB_TYPES
    limits = DUCKDB_LIMITS
    column_limits = ColumnLimits("DuckDB")
    key_type = "varchar"

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._folder = open_folder(f"{self._path}.staged")

    def location(self, name: str) -> str:
        return f"{self._path}#{name}"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        connection = self._connection()
        try:
            connection.begin()
            yield _DuckSession(connection, DatabasePeer("duckdb", namespace=Path(self._path).name))
            connection.commit()
        except duckdb.Error as error:
            raise self._translate_error(error) from error
        finally:
            connection.close()  # rolls back uncommitted changes

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        super().create_table(session, table, columns, ())  # DuckDB joins by hash; an index would only slow updates

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        # A primary key would refuse to update a row twice in a transaction.
        super().create_table(session, table, columns, ())

    def lock_rows(self, session: Session, table: str, source: str, key: str) -> None:
        """Without a primary key two transactions could insert the same one: the ledger's row of the table makes them conflict."""
        session.execute(f"update {LEDGER} set turn = turn + 1 where target_table = ?", table.lower())

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        if pa.types.is_nested(kind):
            return nested_type(kind)
        return sink_type

    def read_columns(self, session: Session, table: str) -> dict[str, str]:
        rows = session.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? and schema_name = current_schema()"
            " and database_name = current_database() and not internal",
            table,
        )
        return {str(name): str(kind) for name, kind in rows}

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        try:
            self._folder.make(stage)
            writer = RollingParquetWriter(schema, lambda name: self._folder.create(f"{stage}/{name}"))
            try:
                for batch in batches:
                    writer.write(batch)
                writer.close()
            except BaseException:
                writer.abort()
                raise
        except OSError as error:
            raise SinkUnavailable(f"'{self._folder.uri_of(stage)}' failed: {error}", hint=hint_for(error)) from error

    def insert_rows(self, session: Session, table: str, rows: pa.Table) -> None:
        """As Arrow: DuckDB takes 30 ms to read a statement of 200 rows of literals."""
        assert isinstance(session, _DuckSession)
        session.insert(table, rows)

    def stage_source(self, stage: str) -> str:
        files = sorted(self._folder.files(stage))
        listed = ", ".join("'" + self._folder.uri_of(name).replace("'", "''") + "'" for name in files)
        return f"read_parquet([{listed}], hive_partitioning = false)"

    def drop_stages_in(self, session: Session, stages: Sequence[str]) -> bool:
        return False  # stages are files: they are deleted after the transaction

    def drop_stages(self, stages: Sequence[str]) -> None:
        for stage in stages:
            self._folder.delete(stage)

    def list_stages(self, prefix: str) -> list[str]:
        return [name for name in self._folder.folders() if name.startswith(prefix)]

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """Waits up to `LOCK_WAIT_S` for another process to close the file."""
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
                return duckdb.connect(self._path)
            except (duckdb.Error, OSError) as error:
                if time.monotonic() > deadline or not _is_locked(error):
                    raise self._translate_error(error) from error
                time.sleep(LOCK_PAUSE_S)

    def _translate_error(self, error: Exception) -> IngestError:
        text = f"'{self._path}' failed: {str(error).splitlines()[0]}"
        if _is_locked(error):
            return SinkUnavailable(text, hint="another process has the file open: close it, or wait")
        if isinstance(error, duckdb.TransactionException):
            return TransactionConflict(text)
        if isinstance(error, duckdb.IOException | OSError):
            return SinkUnavailable(text, hint=hint_for(error))
        return SinkRejected(text)


class _DuckSession:
    def __init__(self, connection: duckdb.DuckDBPyConnection, peer: DatabasePeer) -> None:
        self._connection = connection
        self._peer = peer

    def execute(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._peer.span(sql):
            return [tuple(row) for row in self._connection.execute(sql, list(values)).fetchall()]

    def execute_update(self, sql: str, *values: str | int) -> int:
        with self._peer.span(sql):
            ((count,),) = self._connection.execute(sql, list(values)).fetchall()
        return int(count)

    def insert(self, table: str, rows: pa.Table) -> None:
        names = ", ".join(rows.column_names)
        self._connection.register(REGISTERED, rows)
        try:
            self.execute(f"insert into {table} ({names}) select {names} from {REGISTERED}")
        finally:
            self._connection.unregister(REGISTERED)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        yield from self._connection.sql(sql).to_arrow_reader(FETCH_ROWS)


def _is_locked(error: Exception) -> bool:
    """True where another process has the file open, or another thread of this process is just closing it."""
    text = str(error).lower()
    return "could not set lock" in text or "unique file handle conflict" in text


def open_sink(config: DuckDbConfig) -> Sink:
    return SqlSink(_database(config))


def open_models(config: DuckDbConfig) -> ModelSink:
    return SqlModelSink(_database(config))


def _database(config: DuckDbConfig) -> DuckDbDatabase:
    if config.path.startswith(":memory:") or "://" in config.path:
        raise ConfigError("a DuckDB sink needs a local file")
    return DuckDbDatabase(config.path)
