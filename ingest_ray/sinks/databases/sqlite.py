"""SQLite: one file, one writer at a time. SQLite would store a NaN as NULL, so it is refused."""

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.errors import ConfigError, IngestError, RowsRejected, SinkRejected, SinkUnavailable
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sinks.columns import internal_name
from ingest_ray.sinks.databases.column_names import ColumnLimits
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.standard_sql import StandardSqlDatabase, read_batches, zoneless_timestamp_literal
from ingest_ray.sinks.databases.types.sqlite import SQLITE_LIMITS, SQLITE_TYPES

BUSY_TIMEOUT_S = 60


class SqliteDatabase(StandardSqlDatabase):
    rules = SQLITE_TYPES
    limits = SQLITE_LIMITS
    column_limits = ColumnLimits("SQLite", columns=2_000)  # https://www.sqlite.org/limits.html

    def __init__(self, path: str) -> None:
        self._path = path

    def location(self, name: str) -> str:
        return f"sqlite:///{self._path}#{name}"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Takes SQLite's only write lock at the start: it locks every ledger row."""
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise self._translate_error(error) from error
        try:
            connection.execute("pragma journal_mode = wal")  # readers continue while a commit writes
            connection.execute("pragma synchronous = full")
            connection.execute("begin immediate")
            yield _SqliteSession(connection, DatabasePeer("sqlite", namespace=Path(self._path).name))
            connection.execute("commit")
        except sqlite3.Error as error:
            raise self._translate_error(error) from error
        finally:
            connection.close()  # rolls back uncommitted changes

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        return "" if sink_type == "any" else sink_type

    def null_safe_equal(self, left: str, right: str) -> str:
        return f"{left} is {right}"

    def read_columns(self, session: Session, table: str) -> dict[str, str]:
        return {str(row[1]): str(row[2]) for row in session.execute(f"pragma table_info({self.quoted(table)})")}

    def widen_column(self, session: Session, table: str, column: str, kind: str) -> None:
        """An integer column takes every integer as it is, but would make floats of long ones that come as text. A column's type
        changes by a new column: https://www.sqlite.org/lang_altertable.html; its indexes are made again.
        """
        if kind != "text":
            return
        quoted_table = self.quoted_table(table)
        new = self.quoted(internal_name("_ingest_widened", self.read_columns(session, table)))
        indexes = session.execute(
            "select name, sql from sqlite_master where type = 'index' and tbl_name = ? and sql > ''", table
        )
        for name, _ in indexes:
            session.execute(f"drop index {self.quoted(str(name))}")
        session.execute(f"alter table {quoted_table} add column {new} text")
        session.execute(f"update {quoted_table} set {new} = cast({column} as text)")
        session.execute(f"alter table {quoted_table} drop column {column}")
        session.execute(f"alter table {quoted_table} rename column {new} to {column}")
        for _, statement in indexes:
            session.execute(str(statement))

    def timestamp_literal(self, instant: datetime) -> str:
        return zoneless_timestamp_literal(instant)

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """One transaction per batch, so that other writers can write between them."""
        columns = ", ".join(self.quoted(name) for name in schema.names)
        with self.transaction() as session:
            session.execute(f"create table {self.quoted_table(stage)} ({columns})")
        statement = f"insert into {self.quoted_table(stage)} values ({', '.join('?' * len(schema))})"
        for batch in batches:
            rows = _to_rows(batch)
            with self.transaction() as session:
                assert isinstance(session, _SqliteSession)
                session.insert(statement, rows)

    def drop_stages(self, stages: Sequence[str]) -> None:
        if stages:
            with self.transaction() as session:
                self.drop_stages_in(session, stages)

    def list_stages(self, prefix: str) -> list[str]:
        with self.transaction() as session:
            rows = session.execute("select name from sqlite_master where type = 'table'")
        return [str(name) for (name,) in rows if str(name).startswith(prefix)]

    def _translate_error(self, error: sqlite3.Error) -> IngestError:
        text = f"'{self._path}' failed: {error}"
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith("SQLITE_FULL"):
            return SinkUnavailable(text, hint="the disk is full: free space there")
        if name.startswith("SQLITE_CANTOPEN"):
            return ConfigError(text, hint="check that its directory is there and can be written")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR")):
            return SinkUnavailable(text)
        return SinkRejected(text)


class _SqliteSession:
    def __init__(self, connection: sqlite3.Connection, peer: DatabasePeer) -> None:
        self._connection = connection
        self._peer = peer

    def execute(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._peer.span(sql):
            return self._connection.execute(sql, values).fetchall()

    def execute_update(self, sql: str, *values: str | int) -> int:
        with self._peer.span(sql):
            return self._connection.execute(sql, values).rowcount

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        cursor = self._connection.execute(sql)
        yield from read_batches([column[0] for column in cursor.description], cursor.fetchmany)

    def insert(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """https://www.sqlite.org/limits.html: a row has at most a billion bytes."""
        try:
            with self._peer.span(sql):
                self._connection.executemany(sql, rows)
        except (OverflowError, sqlite3.DataError, sqlite3.IntegrityError) as error:
            raise RowsRejected(f"SQLite refused a row: {error}") from error


def _to_rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type):  # of provenance only: all others are text already
            column = column.cast(pa.timestamp("us")).cast(pa.string())
        values = column.to_pylist()
        if pa.types.is_floating(column.type) and any(value is not None and math.isnan(value) for value in values):
            raise RowsRejected(f"column '{name}' has a NaN, and SQLite would store NULL")
        columns.append(values)
    return list(zip(*columns, strict=True))


def open_database(url: str, password: str | None, schema: str | None) -> SqliteDatabase:
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:path`."""
    if password is not None or schema is not None:
        raise ConfigError("a SQLite file has neither password nor schema")
    path = url.split(":", 1)[1]
    path = path.removeprefix("///") if path.startswith("///") else path
    if not path.strip("/") or path.startswith(":memory:"):
        raise ConfigError("a SQLite sink needs a file")
    return SqliteDatabase(os.path.abspath(Path(path)))
