"""PostgreSQL: stages are loaded by binary COPY, and rows, ledger and table changes share one transaction.

https://www.postgresql.org/docs/current/sql-copy.html, https://arrow.apache.org/adbc/current/driver/postgresql.html
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from ingest_ray.sdk.errors import CommitUnknown, ConfigError, IngestError, SinkRejected, SinkUnavailable
from ingest_ray.sdk.types import Fidelity
from ingest_ray.sinks.databases.connection_pool import IdleConnections
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.standard_sql import StandardSql
from ingest_ray.sinks.type_mapping import (
    Fit,
    TypeRules,
    digits_of,
    fit_type,
    is_bytes,
    is_list,
    is_text,
    refused,
    widened,
)

LOCK_TIMEOUT_S = 60

# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html that pass: connection, transaction rollback,
# resources, operator's intervention; and one code, a lock that was not granted in time.
_PASSING = ("08", "40", "53", "57", "55P03")

_LOGIN = re.compile(r'authentication failed|no password supplied|(role|database) "[^"]*" does not exist|pg_hba\.conf')

_SAME = {
    pa.bool_(): "boolean",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.date32(): "date",
}
_NUMBERS = "PostgreSQL has no such integers"
_WIDER = {
    pa.int8(): widened(pa.int16(), "smallint", _NUMBERS),
    pa.uint8(): widened(pa.int16(), "smallint", _NUMBERS),
    pa.uint16(): widened(pa.int32(), "integer", _NUMBERS),
    pa.uint32(): widened(pa.int64(), "bigint", _NUMBERS),
    pa.uint64(): widened(pa.decimal128(20, 0), "numeric(20,0)", _NUMBERS),
    pa.float16(): widened(pa.float32(), "real", "PostgreSQL has no half floats"),
    pa.null(): widened(pa.string(), "text", "a column that is always NULL"),
}


def leaf(kind: pa.DataType) -> Fit:
    if kind in _SAME:
        return Fit(kind, _SAME[kind])
    if kind in _WIDER:
        return _WIDER[kind]
    if isinstance(kind, pa.BaseExtensionType):
        return Fit(kind, "uuid" if str(kind.extension_name) == "arrow.uuid" else "json")
    if is_text(kind):
        return Fit(pa.string(), "text", note="text with a zero character is refused")
    if is_bytes(kind):
        return Fit(pa.binary(), "bytea")
    if pa.types.is_date64(kind):
        return Fit(pa.date32(), "date")
    if pa.types.is_decimal(kind):
        digits, scale = digits_of(kind)
        if digits > 76:
            return widened(pa.string(), "text", "text in full digits")
        made = pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
        return Fit(made, f"numeric({digits},{scale})", Fidelity.EXACT if kind.scale >= 0 else Fidelity.WIDENED)
    return _moment(kind)


def _moment(kind: pa.DataType) -> Fit:
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        if kind.tz is None:
            return Fit(pa.timestamp("us"), "timestamp")
        note = None if kind.tz == "UTC" else f"the instant; that '{kind.tz}' was its zone is not kept"
        return Fit(pa.timestamp("us", "UTC"), "timestamp with time zone", note=note)
    if pa.types.is_time(kind) and kind.unit != "ns":
        return Fit(pa.time64("us"), "time")
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return widened(pa.string(), "text", "PostgreSQL counts microseconds: text with nine decimals")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "bigint", f"a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "text", "ISO 8601 text: nanoseconds would not fit an interval")
    return refused(kind, f"PostgreSQL has no type for '{kind}'")


def nested(kind: pa.DataType) -> Fit:
    """Lists of plain values are arrays; everything deeper is JSON."""
    if is_list(kind) and not pa.types.is_nested(kind.value_type) and not pa.types.is_null(kind.value_type):
        item = fit_type(kind.value_type, TypeRules(leaf))
        if not isinstance(item.arrow, pa.BaseExtensionType):
            return Fit(pa.list_(item.arrow), f"{item.sink_type}[]", item.fidelity, item.note)
    return widened(pa.json_(), "json", "JSON: decimals and times as text, bytes as hexadecimal digits")


class Postgres(StandardSql):
    rules = TypeRules(leaf, nested, has_cased_names=True)
    mark = "${}"
    key_type = "text"

    def __init__(self, url: str, password: str | None, schema: str | None) -> None:
        parts = urlsplit(re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url))
        kept = [(name, value) for name, value in parse_qsl(parts.query) if not name.endswith("password")]
        shown = parts._replace(netloc=_without_password(parts.netloc), query=urlencode(kept, safe="/"))
        self._shown = urlunsplit(shown)
        self._chosen = schema
        self._schema = schema or "public"
        if password is not None:
            user, _, host = parts.netloc.rpartition("@")
            user = user.split(":", 1)[0]
            parts = parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}")
        self._url = urlunsplit(parts)
        self._idle = IdleConnections(self, _close)

    def table(self, name: str) -> str:
        schema, table = self._place(name)
        return f"{self.quoted(schema)}.{self.quoted(table)}"

    def location(self, name: str) -> str:
        return f"{self._shown}#{'.'.join(self._place(name))}"

    def model_table(self, family: str, name: str) -> str:
        return f"{self._chosen or family}.{name}"

    def make_schema(self, session: Session, table: str) -> None:
        session.run(f"create schema if not exists {self.quoted(self._place(table)[0])}")

    def _place(self, name: str) -> tuple[str, str]:
        """Schema and table; a unit's table has no dot in its name, a model's has its schema in front."""
        schema, dot, table = name.partition(".")
        return (schema, table) if dot else (self._schema, name)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self._connection() as connection:
            yield _PostgresSession(connection)
            self._commit(connection)

    def ordered(self, term: str, kind: pa.DataType) -> str:
        return f'{term} collate "C"' if pa.types.is_string(kind) else term

    def text(self, value: str) -> str:
        return "e" + super().text(value.replace("\\", "\\\\"))

    def columns(self, session: Session, table: str) -> dict[str, str]:
        found = session.run(
            "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
            " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped order by a.attnum",
            *self._place(table),
        )
        return {str(name): str(kind) for name, kind in found}

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        super().create_table(session, table, columns, ())  # a first load is quicker without an index

    def ready_to_merge(self, session: Session, table: str, key: Sequence[str]) -> None:
        """An index, and what the key is like: until autovacuum has come by, the planner takes a key for a value of many
        rows, and reads the whole table.
        """
        goal, listed = self.table(table), ", ".join(map(self.quoted, key))
        ((rows, is_ours, is_indexed),) = session.run(
            "select c.reltuples::bigint, pg_has_role(c.relowner, 'USAGE'), exists (select 1 from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
            " and a.attnum = i.indkey[0] where i.indrelid = c.oid and i.indisvalid and i.indpred is null"
            f" and a.attname = any(array[{', '.join(map(self.text, key))}]::name[]))"
            f" from pg_class c where c.oid = {self.text(goal)}::regclass"
        )
        if not is_ours:
            return  # whose table it is knows its indexes, and nobody else may make one
        if not is_indexed:
            session.run(f"create index on {goal} ({listed})")
        if int(rows) <= 0:  # -1: never counted, 0 before version 14
            session.run(f"analyze {goal} ({listed})")

    def load(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        rows = pa.RecordBatchReader.from_batches(schema, batches)
        with self._connection() as connection:
            kinds = ", ".join(f"{self.quoted(one.name)} {fit_type(one.type, self.rules).sink_type}" for one in schema)
            _PostgresSession(connection).run(f"create unlogged table {self.table(stage)} ({kinds})")
            with connection.cursor() as cursor:
                cursor.adbc_ingest(stage, rows, mode="append", db_schema_name=self._schema)
            self._commit(connection)

    def drop(self, stages: Sequence[str]) -> None:
        if stages:
            with self.transaction() as session:
                self.drop_in(session, stages)

    def stages(self, prefix: str) -> list[str]:
        with self.transaction() as session:
            found = session.run("select tablename from pg_tables where schemaname = $1", self._schema)
        return [str(name) for (name,) in found if str(name).startswith(prefix)]

    def _commit(self, connection: Any) -> None:
        try:
            connection.commit()
        except adbc_driver_manager.Error as error:
            state = getattr(error, "sqlstate", None) or ""
            if state and not state.startswith(("08", "57")):
                raise  # the server said no
            raise CommitUnknown(f"the connection to '{self._shown}' was lost while it committed") from error

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """In a transaction. Only a connection whose transaction was committed is used again."""
        connection = None
        try:
            connection = self._begun() or _begin(adbc.connect(self._url))
            yield connection
        except BaseException as error:
            if connection is not None:
                _close(connection)
            if isinstance(error, adbc_driver_manager.Error):
                raise self._translated(error) from error
            raise
        self._idle.give(connection)

    def _begun(self) -> Any | None:
        """The first statement of a transaction finds out that an idle connection was lost: nothing has happened in it yet."""
        while (connection := self._idle.take()) is not None:
            with suppress(adbc_driver_manager.Error):
                return _begin(connection)
        return None

    def _translated(self, error: adbc_driver_manager.Error) -> IngestError:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, IngestError):  # raised by the rows that were being loaded
            return cause
        state = getattr(error, "sqlstate", None) or ""
        text = " ".join(str(error).split())
        if state.startswith(("28", "3D")) or _LOGIN.search(text):  # no state comes with a connection that fails
            return ConfigError(f"'{self._shown}' refused the login: {text}", hint="check user, password and database")
        if state.startswith("42501"):
            return SinkRejected(f"'{self._shown}' refused: {text}", hint="grant the user this right")
        if not state or state.startswith(_PASSING):
            return SinkUnavailable(f"'{self._shown}' does not answer: {text}")
        return SinkRejected(f"'{self._shown}' refused: {text}")


class _PostgresSession:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def change(self, sql: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            yield from cursor.fetch_record_batch()


def _begin(connection: Any) -> Any:
    try:
        _PostgresSession(connection).run(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
    except BaseException:
        _close(connection)
        raise
    return connection


def _close(connection: Any) -> None:
    """Rolls back what was not committed; a connection that is lost already has nothing to say."""
    for step in (connection.rollback, connection.close):
        try:
            step()
        except adbc_driver_manager.Error:
            continue


def _without_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.split(':', 1)[0]}{at}{host}"


def open_database(url: str, password: str | None, schema: str | None) -> Postgres:
    return Postgres(url, password, schema)
