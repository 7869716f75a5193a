"""SQLite: one file, one writer at a time; decimals, times and dates are text, as SQLite has no such types.

https://www.sqlite.org/datatype3.html. Floats stand in columns without a type: a column of type REAL stores -0.0 as 0. A NaN would be
stored as NULL and is refused.
"""

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.errors import ConfigError, IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.standard_sql import StandardSql, in_batches
from ingest_ray.sinks.type_mapping import Fit, TypeRules, is_bytes, is_text, refused, widened

BUSY_TIMEOUT_S = 60

_WIDE_INTEGERS = "integers above 2^63 do not fit: text"


def leaf(kind: pa.DataType) -> Fit:
    if pa.types.is_uint64(kind):
        return widened(pa.string(), "text", _WIDE_INTEGERS)
    if pa.types.is_integer(kind):
        return Fit(kind if pa.types.is_signed_integer(kind) else pa.int64(), "integer")
    if pa.types.is_boolean(kind):
        return widened(pa.int64(), "integer", "0 and 1")
    if pa.types.is_floating(kind):
        return Fit(pa.float64(), "any", note="NaN is refused, for SQLite would store NULL")
    if isinstance(kind, pa.BaseExtensionType) or is_text(kind):
        return Fit(pa.string(), "text")
    if is_bytes(kind):
        return Fit(pa.binary(), "blob")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "integer", f"a number of '{kind.unit}'")
    if pa.types.is_decimal(kind):
        return widened(pa.string(), "text", "text in full digits")
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return widened(pa.string(), "text", "text YYYY-MM-DD HH:MM:SS.ffffff" + (" in UTC" if kind.tz else ""))
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return widened(pa.string(), "text", "ISO 8601 text")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "text", "ISO 8601 text")
    if pa.types.is_null(kind):
        return widened(pa.string(), "text", "a column that is always NULL")
    return refused(kind, f"SQLite has no type for '{kind}'")


def nested(kind: pa.DataType) -> Fit:
    return widened(pa.string(), "text", "JSON: decimals and times as text, bytes as hexadecimal digits")


class Sqlite(StandardSql):
    rules = TypeRules(leaf, nested)
    can_widen = False  # an integer column takes every integer as it is

    def __init__(self, path: str) -> None:
        self._path = path

    def location(self, name: str) -> str:
        return f"sqlite:///{self._path}#{name}"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Takes SQLite's one write lock at once: it is the lock of every ledger row."""
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        try:
            connection.execute("pragma journal_mode = wal")  # readers go on while a commit writes
            connection.execute("pragma synchronous = full")
            connection.execute("begin immediate")
            yield _SqliteSession(connection)
            connection.execute("commit")
        except sqlite3.Error as error:
            raise self._translated(error) from error
        finally:
            connection.close()  # rolls back what was not committed

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        return "" if sink_type == "any" else sink_type

    def same(self, left: str, right: str) -> str:
        return f"{left} is {right}"

    def columns(self, session: Session, table: str) -> dict[str, str]:
        return {str(row[1]): str(row[2]) for row in session.run(f"pragma table_info({self.quoted(table)})")}

    def moment(self, instant: datetime) -> str:
        return f"'{instant.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'microseconds')}'"

    def load(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """In one transaction per batch: other writers get their turn between them."""
        columns = ", ".join(self.quoted(name) for name in schema.names)
        with self.transaction() as session:
            session.run(f"create table {self.table(stage)} ({columns})")
        statement = f"insert into {self.table(stage)} values ({', '.join('?' * len(schema))})"
        for batch in batches:
            rows = _rows(batch)
            with self.transaction() as session:
                assert isinstance(session, _SqliteSession)
                session.insert(statement, rows)

    def drop(self, stages: Sequence[str]) -> None:
        if stages:
            with self.transaction() as session:
                self.drop_in(session, stages)

    def stages(self, prefix: str) -> list[str]:
        with self.transaction() as session:
            found = session.run("select name from sqlite_master where type = 'table'")
        return [str(name) for (name,) in found if str(name).startswith(prefix)]

    def _translated(self, error: sqlite3.Error) -> IngestError:
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
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str) -> int:
        return self._connection.execute(sql).rowcount

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        found = self._connection.execute(sql)
        yield from in_batches([column[0] for column in found.description], found.fetchmany)

    def insert(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.executemany(sql, rows)


def _rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type):  # only the provenance's: all others are text already
            column = column.cast(pa.timestamp("us")).cast(pa.string())
        values = column.to_pylist()
        if pa.types.is_floating(column.type) and any(value is not None and math.isnan(value) for value in values):
            raise SinkRejected(f"column '{name}' has a NaN, and SQLite would store NULL")
        columns.append(values)
    return list(zip(*columns, strict=True))


def open_database(url: str, password: str | None, schema: str | None) -> Sqlite:
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:path`."""
    if password is not None or schema is not None:
        raise ConfigError("a SQLite file has neither password nor schema")
    path = url.split(":", 1)[1]
    path = path.removeprefix("///") if path.startswith("///") else path
    if not path.strip("/") or path.startswith(":memory:"):
        raise ConfigError("a SQLite sink needs a file")
    return Sqlite(os.path.abspath(Path(path)))
