"""PostgreSQL: loads stages by binary COPY, and changes rows, ledger and tables in one transaction.

https://www.postgresql.org/docs/current/sql-copy.html, https://arrow.apache.org/adbc/current/driver/postgresql.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from ingest_ray.sdk.errors import CommitUnknown, SinkRejected
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sinks.batch_reader import read_batches_as
from ingest_ray.sinks.databases.column_names import ColumnLimits
from ingest_ray.sinks.databases.connection_pool import ConnectionPool
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.postgres.errors import translate_error
from ingest_ray.sinks.databases.postgres.url import check_tls, driver_url, reached_url, shown_url
from ingest_ray.sinks.databases.postgres.wire_connections import LOCK_TIMEOUT_S, WireConnections
from ingest_ray.sinks.databases.reach import SinkReach
from ingest_ray.sinks.databases.standard_sql import CursorSession, StandardSqlDatabase
from ingest_ray.sinks.databases.types.postgres import POSTGRES_LIMITS, POSTGRES_TYPES, python_codec
from ingest_ray.sinks.type_mapping import map_type
from ingest_ray.sinks.value_limits import ValueLimits

INSERTED = "_ingest_inserted"  # Arrow rows on their way into a temporary table
# A row of a B-tree has at most a third of a page, 2,704 bytes with its header: https://www.postgresql.org/docs/current/btree.html
BTREE_KEY_BYTES = 2_000


class PostgresDatabase(StandardSqlDatabase):
    rules = POSTGRES_TYPES
    column_limits = ColumnLimits(
        "PostgreSQL", name_bytes=63, columns=1_600
    )  # https://www.postgresql.org/docs/current/limits.html
    placeholder = "${}"
    key_type = "text"

    def __init__(self, url: str, password: str | None, schema: str | None, reach: SinkReach | None = None) -> None:
        self._reach = reach
        if reach is not None and reach.has_login:
            check_tls(url)
        self._url, self._shown_url = driver_url(url, password), shown_url(url)
        self._peer = DatabasePeer.of_url("postgresql", url)
        self._configured_schema = schema
        self._schema = schema or "public"
        self._pool = ConnectionPool(self, _close)
        self._wires = WireConnections(self, self._url)

    @cached_property
    def limits(self) -> ValueLimits:  # type: ignore[override]
        """Text is limited by the encoding of the database: https://www.postgresql.org/docs/current/multibyte.html"""
        return replace(POSTGRES_LIMITS, codec=python_codec(self._encoding))

    @cached_property
    def _encoding(self) -> str:
        with self.transaction() as session:
            ((encoding,),) = session.execute("select current_setting('server_encoding')")
        return str(encoding)

    @property
    def has_every_character(self) -> bool:
        return self._encoding == "UTF8"

    def quoted_table(self, name: str) -> str:
        schema, table = self._schema_and_table(name)
        return f"{self.quoted(schema)}.{self.quoted(table)}"

    def location(self, name: str) -> str:
        return f"{self._shown_url}#{'.'.join(self._schema_and_table(name))}"

    def model_table_name(self, family: str, name: str) -> str:
        return f"{self._configured_schema or family}.{name}"

    def create_schema(self, session: Session, table: str) -> None:
        session.execute(f"create schema if not exists {self.quoted(self._schema_and_table(table)[0])}")

    def _schema_and_table(self, name: str) -> tuple[str, str]:
        """A unit's table has no dot in its name; the name of a model's table begins with its schema."""
        schema, dot, table = name.partition(".")
        return (schema, table) if dot else (self._schema, name)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self._connection() as connection:
            yield PostgresSession(connection, self._peer)
            self._commit(connection)

    def binary_ordered(self, term: str, kind: pa.DataType) -> str:
        return f'{term} collate "C"' if pa.types.is_string(kind) else term

    def exact(self, term: str, kind: pa.DataType) -> str:
        """https://www.postgresql.org/docs/current/datatype-json.html: json has no equality."""
        is_json = isinstance(kind, pa.BaseExtensionType) and kind != pa.uuid()
        return f"cast({term} as text)" if is_json else self.binary_ordered(term, kind)

    def text_literal(self, value: str) -> str:
        return "e" + super().text_literal(value.replace("\\", "\\\\"))

    def read_columns(self, session: Session, table: str) -> dict[str, str]:
        rows = session.execute(
            "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
            " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped order by a.attnum",
            *self._schema_and_table(table),
        )
        return {str(name): str(kind) for name, kind in rows}

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        super().create_table(session, table, columns, ())  # a first load is faster without an index

    def refuse_unsafe_tables(self, session: Session, tables: Sequence[str]) -> None:
        """https://www.postgresql.org/docs/current/sql-createtable.html: a crash truncates an unlogged table."""
        for table in tables:
            rows = session.execute(
                "select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = $1 and c.relname = $2 and c.relpersistence = 'u'",
                *self._schema_and_table(table),
            )
            if rows:
                raise SinkRejected(
                    f"table '{self.location(table)}' is unlogged: a crash would empty it, or the ledger with it",
                    hint=f"ALTER TABLE {self.quoted_table(table)} SET LOGGED, and verify its rows",
                )

    def lock_rows(self, session: Session, table: str, source: str, key: str) -> None:
        """In the order of the keys, so that two units wait for each other in one direction only."""
        session.execute(
            f"select count(*) from (select t.{key} from {self.quoted_table(table)} t join {source} w on t.{key} = w.{key}"
            f" order by t.{key} for update of t) locked"
        )

    def prepare_merge(self, session: Session, table: str, key: Sequence[str]) -> None:
        """Creates an index and the key's statistics: until autovacuum has run, the planner expects many rows for each key value,
        and reads the whole table.
        """
        quoted_table, listed = self.quoted_table(table), ", ".join(map(self.quoted, key))
        ((rows, is_owned, is_indexed),) = session.execute(
            "select c.reltuples::bigint, pg_has_role(c.relowner, 'USAGE'), exists (select 1 from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
            " and a.attnum = i.indkey[0] where i.indrelid = c.oid and i.indisvalid and i.indpred is null"
            f" and a.attname = any(array[{', '.join(map(self.text_literal, key))}]::name[]))"
            f" from pg_class c where c.oid = {self.text_literal(quoted_table)}::regclass"
        )
        if not is_owned:
            return  # only the owner of a table may create indexes on it
        if not is_indexed:
            self._create_key_index(session, quoted_table, key)
        if int(rows) <= 0:  # -1: never counted, 0 before version 14
            session.execute(f"analyze {quoted_table} ({listed})")

    def _create_key_index(self, session: Session, quoted_table: str, key: Sequence[str]) -> None:
        ((has_variable_length,),) = session.execute(
            f"select coalesce(bool_or(attlen < 0), false) from pg_attribute where attrelid = {self.text_literal(quoted_table)}::regclass"
            f" and attname = any(array[{', '.join(map(self.text_literal, key))}]::name[])"
        )
        if has_variable_length and self._longest_key(session, key, quoted_table) > BTREE_KEY_BYTES:
            self._create_hash_indexes(session, quoted_table, key)
        else:
            session.execute(f"create index on {quoted_table} ({', '.join(map(self.quoted, key))})")

    def _longest_key(self, session: Session, key: Sequence[str], source: str) -> int:
        length = " + ".join(f"coalesce(octet_length({self.quoted(name)}::text), 0)" for name in key)
        ((longest,),) = session.execute(f"select coalesce(max({length}), 0) from {source}")
        return int(longest)

    def _create_hash_indexes(self, session: Session, quoted_table: str, key: Sequence[str]) -> None:
        """They hold values of any length, of one column each: https://www.postgresql.org/docs/current/hash-index.html"""
        for name in key:
            session.execute(f"create index on {quoted_table} using hash ({self.quoted(name)})")

    def make_room_for_keys(self, session: Session, table: str, key: Sequence[str], source: str) -> None:
        """Replaces the B-tree of `prepare_merge`, to which the server gave its name, before the first key that it could not hold."""
        indexes = self._key_trees(session, table, key)
        if not indexes or self._longest_key(session, key, source) <= BTREE_KEY_BYTES:
            return
        for index in indexes:
            session.execute(f"drop index {index}")
        self._create_hash_indexes(session, self.quoted_table(table), key)

    def _key_trees(self, session: Session, table: str, key: Sequence[str]) -> list[str]:
        """The B-trees of `prepare_merge` that might refuse a key."""
        rows = session.execute(
            "select quote_ident(n.nspname) || '.' || quote_ident(i.relname) from pg_index x"
            " join pg_class i on i.oid = x.indexrelid join pg_namespace n on n.oid = i.relnamespace"
            " join pg_am m on m.oid = i.relam and m.amname = 'btree' join pg_class t on t.oid = x.indrelid"
            " cross join lateral (select array_agg(a.attname order by k.position) as names, bool_or(a.attlen < 0) as is_variable"
            " from unnest(x.indkey) with ordinality k(number, position)"
            " join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.number) c"
            f" where x.indrelid = {self.text_literal(self.quoted_table(table))}::regclass and not x.indisunique and x.indpred is null"
            " and x.indexprs is null and c.is_variable and i.relname ~ '_idx[0-9]*$' and pg_has_role(t.relowner, 'USAGE')"
            f" and c.names = array[{', '.join(map(self.text_literal, key))}]::name[]"
        )
        return [str(index) for (index,) in rows]

    def takes_copies(self, session: Session, table: str, types: Mapping[str, str], key: Sequence[str]) -> bool:
        """Locks the table against changes of its definition; then tells whether a COPY of columns of these types (as the server names
        them) does what an INSERT does.

        A COPY is told by the driver to have taken all rows, also where a trigger drops some, and knows neither rules nor row security
        (https://www.postgresql.org/docs/current/sql-copy.html); it has no assignment casts.
        """
        quoted_table = self.quoted_table(table)
        session.execute(f"lock table {quoted_table} in row exclusive mode")
        ((is_plain,),) = session.execute(
            "select c.relkind = 'r' and not c.relhasrules and not row_security_active(c.oid) and not exists"
            " (select 1 from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)"
            f" from pg_class c where c.oid = {self.text_literal(quoted_table)}::regclass"
        )
        if not is_plain or (key and self._key_trees(session, table, key)):
            return False
        found = self.read_columns(session, table)
        return all(found.get(name) == kind for name, kind in types.items())

    def insert_rows(self, session: Session, table: str, rows: pa.Table) -> None:
        """As Arrow, by way of another temporary table, in whose types the driver writes it."""
        assert isinstance(session, PostgresSession)
        session.insert(table, rows)

    def copy_rows(
        self,
        session: Session,
        table: str,
        rows: pa.RecordBatchReader,
        constants: Sequence[tuple[pa.Field, pa.Scalar]],
    ) -> int:
        """Copies rows into columns of their names, and the same value of each constant beside each row; returns how many were sent, or
        where the server says it, how many the table took."""
        if isinstance(session, PostgresSession):
            schema, name = self._schema_and_table(table)
            return session.copy(schema, name, with_constants(rows, constants))
        from ingest_ray.sinks.databases.postgres.wire_session import WireSession  # it alone needs pg8000

        assert isinstance(session, WireSession)
        names = [*rows.schema.names, *(field.name for field, _ in constants)]
        return session.copy(self.quoted_table(table), list(map(self.quoted, names)), rows, constants)

    @contextmanager
    def copying_transaction(self) -> Iterator[Session]:
        """A transaction for many rows of types that machine code encodes. It is the driver's where only the driver can connect."""
        wire = self._wires.begin() if self._reach is None else None
        if wire is None:
            with self.transaction() as session:
                yield session
            return
        from ingest_ray.sinks.databases.postgres.wire_session import WireSession

        session = WireSession(wire, self._shown_url, self._peer)
        try:
            yield session
            session.commit()
        except BaseException:
            wire.close_socket()  # undoes what is not committed
            raise
        self._wires.give_back(wire)

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        rows = read_batches_as(schema, batches)
        with self._connection() as connection:
            kinds = ", ".join(
                f"{self.quoted(field.name)} {map_type(field.type, self.rules).sink_type}" for field in schema
            )
            PostgresSession(connection, self._peer).execute(
                f"create unlogged table {self.quoted_table(stage)} ({kinds})"
            )
            PostgresSession(connection, self._peer).copy(self._schema, stage, rows)
            self._commit(connection)

    def drop_stages(self, stages: Sequence[str]) -> None:
        if stages:
            with self.transaction() as session:
                self.drop_stages_in(session, stages)

    def list_stages(self, prefix: str) -> list[str]:
        with self.transaction() as session:
            rows = session.execute("select tablename from pg_tables where schemaname = $1", self._schema)
        return [str(name) for (name,) in rows if str(name).startswith(prefix)]

    def _commit(self, connection: Any) -> None:
        try:
            connection.commit()
        except adbc_driver_manager.Error as error:
            state = getattr(error, "sqlstate", None) or ""
            if state and not state.startswith(("08", "57")):
                raise  # the server refused the commit
            raise CommitUnknown(f"the connection to '{self._shown_url}' was lost while it committed") from error

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """A connection in a transaction. Only one whose transaction was committed goes back to the pool."""
        connection = None
        try:
            connection = self._begin_on_idle() or _begin(self._connect())
            yield connection
        except BaseException as error:
            if connection is not None:
                _close(connection)
            if isinstance(error, adbc_driver_manager.Error):
                raise translate_error(error, self._shown_url) from error
            raise
        self._pool.give_back(connection)

    def _connect(self) -> Any:
        """The driver connects twice: once for the server's types."""
        if self._reach is None:
            return adbc.connect(self._url)
        file = self._reach.password_file if self._reach.has_login else None
        with self._reach.with_last_words():
            url = reached_url(self._url, self._reach.local_port(), file)
            try:
                with self._reach.with_password():
                    database = adbc_driver_postgresql.connect(url)
                with self._reach.with_password():
                    return adbc.Connection(database, adbc_driver_manager.AdbcConnection(database))
            except adbc_driver_manager.Error as error:
                raise translate_error(error, self._shown_url) from error

    def _begin_on_idle(self) -> Any | None:
        """Skips idle connections that were lost: the first statement fails on such a one, before anything was changed."""
        while (connection := self._pool.take()) is not None:
            with suppress(adbc_driver_manager.Error):
                return _begin(connection)
        return None


class PostgresSession(CursorSession):
    def insert(self, table: str, rows: pa.Table) -> None:
        names = ", ".join(rows.column_names)
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(INSERTED, rows, mode="create", temporary=True)
        self.execute(f"insert into {table} ({names}) select {names} from pg_temp.{INSERTED}")
        self.execute(f"drop table pg_temp.{INSERTED}")

    def copy(self, schema: str, table: str, rows: pa.RecordBatchReader) -> int:
        with self._peer.span(f"COPY into {schema}.{table}"), self._connection.cursor() as cursor:
            return int(cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema))

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            yield from cursor.fetch_record_batch()


def _begin(connection: Any) -> Any:
    try:
        PostgresSession(connection).execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
    except BaseException:
        _close(connection)
        raise
    return connection


def with_constants(rows: pa.RecordBatchReader, constants: Sequence[tuple[pa.Field, pa.Scalar]]) -> pa.RecordBatchReader:
    schema = pa.schema([*rows.schema, *(field for field, _ in constants)])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            added = [pa.repeat(value, batch.num_rows) for _, value in constants]
            yield pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _close(connection: Any) -> None:
    """Rolls back uncommitted changes; errors of a connection that is already lost are ignored."""
    for step in (connection.rollback, connection.close):
        try:
            step()
        except adbc_driver_manager.Error:
            continue


def open_database(
    url: str, password: str | None, schema: str | None, reach: SinkReach | None = None
) -> PostgresDatabase:
    return PostgresDatabase(url, password, schema, reach)
