"""MySQL from 8.0 and MariaDB from 10.2. DDL commits the transaction there, before and after the statement: the ledger announces it.

Every table has InnoDB as its engine: rows and ledger must be of one transaction.

Text columns get a binary collation without padding, so that keys compare as at the source.
https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html, https://mariadb.com/kb/en/supported-character-sets-and-collations/
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa
import pymysql
from pymysql.constants import CLIENT

from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sdk.errors import CommitUnknown, ConfigError, RowsRejected, SinkRejected
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sinks.databases.column_names import ColumnLimits
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.databases.mysql.connection import Connection, connect_by
from ingest_ray.sinks.databases.mysql.errors import CONNECTION_LOST, DUPLICATE_COLUMN, code_of, translate_error
from ingest_ray.sinks.databases.mysql.statement_size import HEAD_BYTES, find_wide_rows
from ingest_ray.sinks.databases.reach import SinkReach
from ingest_ray.sinks.databases.standard_sql import (
    CursorSession,
    StandardSqlDatabase,
    read_batches,
    zoneless_timestamp_literal,
)
from ingest_ray.sinks.databases.types.mysql import MYSQL_LIMITS, MYSQL_TYPES, ROW_BYTES, TEXT, column_width, map_leaf
from ingest_ray.sinks.value_conversion import time_text

LOCK_TIMEOUT_S = 60
INDEX_CHARS = 191  # 764 bytes of utf8mb4: any row format can index them
# https://dev.mysql.com/doc/refman/8.4/en/innodb-limits.html, https://mariadb.com/kb/en/innodb-limitations/
INDEX_BYTES, INDEX_COLUMNS = 3_072, 16
NUMBER_BYTES = 32  # of a decimal with 65 digits, the longest type that is indexed as a whole
COLLATIONS = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin")  # MySQL's, MariaDB's

# What a server, a user's `init_connect` or a proxy may have set otherwise.
_SESSION = (
    "set names utf8mb4",
    "set session transaction isolation level read committed",
    "set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 0, "
    "completion_type = 'NO_CHAIN', sql_safe_updates = 0, sql_big_selects = 1, sql_auto_is_null = 0, unique_checks = 1, "
    f"innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}, lock_wait_timeout = {LOCK_TIMEOUT_S}",
)


class MySqlDatabase(StandardSqlDatabase):
    rules = MYSQL_TYPES
    column_limits = ColumnLimits(
        "MySQL", name_chars=64, has_plain_names=True, columns=1_017, width=column_width, row_bytes=ROW_BYTES
    )
    limits = MYSQL_LIMITS
    placeholder = "%s"
    json_type = "json"
    long_text = "longtext"
    table_options = " engine = InnoDB"
    drop_temporary_sql = "drop temporary table if exists"

    def __init__(self, options: dict[str, Any], reach: SinkReach | None = None) -> None:
        self._options = options
        self._reach = reach
        address = options.get("unix_socket") or f"{options['host']}:{options['port']}"
        self._shown_url = f"mysql://{options['user']}@{address}/{options['database']}"
        self._peer = DatabasePeer("mysql", str(options["host"]), options["port"], str(options["database"]))

    @cached_property
    def _collation(self) -> str:
        listed = ", ".join(f"'{name}'" for name in COLLATIONS)
        with self.transaction() as session:
            rows = session.execute(
                f"select collation_name from information_schema.collations where collation_name in ({listed})"
            )
        if not rows:
            raise SinkRejected(
                f"'{self._shown_url}' has no binary collation without padding: 'a' and 'a ' would be one key",
                hint="MySQL 8.0 or MariaDB 10.2 is needed",
            )
        return str(rows[0][0])

    @property
    def key_type(self) -> str:  # type: ignore[override]
        return f"varchar(255) character set utf8mb4 collate {self._collation}"

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def location(self, name: str) -> str:
        return f"{self._shown_url}#{name}"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self._connection() as connection:
            yield _MySqlSession(connection, self._peer)
            self._commit(connection)

    def insert_if_missing_sql(self, table: str, columns: Sequence[str]) -> str:
        values = ", ".join([self.placeholder] * len(columns))
        return f"insert ignore into {table} ({', '.join(columns)}) values ({values})"

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        return f"{TEXT} character set utf8mb4 collate {self._collation}" if sink_type == TEXT else sink_type

    def read_columns(self, session: Session, table: str) -> dict[str, str]:
        rows = session.execute(
            "select column_name, column_type from information_schema.columns where table_schema = database()"
            " and table_name = %s order by ordinal_position",
            table,
        )
        return {str(name): str(kind) for name, kind in rows}

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        listed = [f"{name} {kind}" for name, kind in columns.items()]
        if key:
            indexed = key[:INDEX_COLUMNS]
            texts = [name for name in indexed if columns[name].startswith("long")]
            bytes_left = INDEX_BYTES - NUMBER_BYTES * (len(indexed) - len(texts))
            chars = min(INDEX_CHARS, bytes_left // 4 // max(len(texts), 1))
            parts = [f"{name}({chars})" if name in texts else name for name in indexed]
            listed.append(f"index ({', '.join(parts)})")
        self._create(session, table, listed)

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        kinds = {**columns, key: f"{self.key_type} not null primary key", indexed: self.key_type}
        self._create(session, table, [*(f"{name} {kind}" for name, kind in kinds.items()), f"index ({indexed})"])

    def _create(self, session: Session, table: str, listed: Sequence[str]) -> None:
        session.execute(
            f"create table if not exists {self.quoted_table(table)} ({', '.join(listed)}){self.table_options}"
        )

    def refuse_unsafe_tables(self, session: Session, tables: Sequence[str]) -> None:
        """https://mariadb.com/kb/en/information-schema-engines-table/: Aria and MyISAM, for example, have no transactions."""
        names = ", ".join([self.placeholder] * len(tables))
        rows = session.execute(
            "select t.table_name, t.engine from information_schema.tables t join information_schema.engines e"
            f" on e.engine = t.engine where t.table_schema = database() and t.table_name in ({names})"
            " and coalesce(e.transactions, 'NO') <> 'YES'",
            *tables,
        )
        for name, engine in rows:
            raise SinkRejected(
                f"table '{self.location(str(name))}' has the engine {engine}, which has no transactions: a crash would lose"
                " rows that the ledger counts as committed",
                hint=f"ALTER TABLE {self.quoted(str(name))} ENGINE = InnoDB, and verify its rows",
            )

    def create_temporary_table(self, session: Session, name: str, query: str, key: str) -> None:
        session.execute(f"{self.drop_temporary_sql} {name}")
        session.execute(f"create temporary table {name} (index ({key}({INDEX_CHARS}))){self.table_options} {query}")

    def index_clause(self, column: str) -> str:
        """MariaDB compares each row of one table with each of the other where neither has an index
        (https://mariadb.com/docs/server/ha-and-performance/optimization-and-tuning/query-optimizations/block-based-join-algorithms)."""
        return f" (index ({column}))"

    def add_column(self, session: Session, table: str, column: str, kind: str) -> None:
        try:
            super().add_column(session, table, column, kind)
        except pymysql.Error as error:
            if code_of(error) != DUPLICATE_COLUMN:  # another unit has added the same column of a shared table
                raise

    def widen_column(self, session: Session, table: str, column: str, kind: str) -> None:
        session.execute(f"alter table {self.quoted_table(table)} modify column {column} {kind}")

    def lock_rows(self, session: Session, table: str, source: str, key: str) -> None:
        session.execute(
            f"select count(*) from {self.quoted_table(table)} t join {source} w on t.{key} = w.{key} for update"
        )

    def null_safe_equal(self, left: str, right: str) -> str:
        return f"{left} <=> {right}"

    def timestamp_literal(self, instant: datetime) -> str:
        return zoneless_timestamp_literal(instant)

    def text_literal(self, value: str) -> str:
        return super().text_literal(value.replace("\\", "\\\\"))

    def update_from_sql(self, table: str, source: str, values: dict[str, str], where: str) -> str:
        settings = ", ".join(f"t.{name} = {value}" for name, value in values.items())
        return f"update {table} as t, {source} as w set {settings} where {where}"

    @cached_property
    def _packet_bytes(self) -> int:
        with self.transaction() as session:
            ((size,),) = session.execute("select @@max_allowed_packet")
        return int(size)

    def find_misfits(self, batch: pa.RecordBatch, schema: pa.Schema) -> Mapping[int, Misfit]:
        return {**find_wide_rows(batch, schema, self._packet_bytes), **super().find_misfits(batch, schema)}

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Multi-row INSERTs: LOAD DATA LOCAL is switched off on most servers."""
        columns = {
            self.quoted(field.name): self.column_type(field.type, map_leaf(field.type).sink_type) for field in schema
        }
        statement = f"insert into {self.quoted_table(stage)} values ({', '.join(['%s'] * len(schema))})"
        with self._connection() as connection:
            session = _MySqlSession(connection, self._peer)
            self.create_table(session, stage, columns, ())
            for batch in batches:
                session.insert(statement, _to_rows(batch), self._packet_bytes)
            self._commit(connection)

    def drop_stages_in(self, session: Session, stages: Sequence[str]) -> bool:
        return False  # DROP TABLE would commit

    def drop_stages(self, stages: Sequence[str]) -> None:
        if stages:
            with self.transaction() as session:
                for stage in stages:
                    session.execute(f"drop table if exists {self.quoted_table(stage)}")

    def list_stages(self, prefix: str) -> list[str]:
        with self.transaction() as session:
            rows = session.execute("select table_name from information_schema.tables where table_schema = database()")
        return [str(name) for (name,) in rows if str(name).startswith(prefix)]

    def _commit(self, connection: Any) -> None:
        try:
            connection.commit()
        except pymysql.Error as error:
            if code_of(error) in CONNECTION_LOST:
                raise CommitUnknown(f"the connection to '{self._shown_url}' was lost while it committed") from error
            raise

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = None
        try:
            connection = self._connect()
            with connection.cursor() as cursor:
                for setting in _SESSION:
                    cursor.execute(setting)
            yield connection
        except (pymysql.Error, OSError) as error:
            raise translate_error(error, self._shown_url) from error
        finally:
            if connection is not None:
                with suppress(pymysql.Error):
                    connection.close()  # rolls back uncommitted changes

    def _connect(self) -> Any:
        if self._reach is None:
            return Connection(**self._options)
        with self._reach.with_last_words():
            try:
                return connect_by(self._reach, self._options)
            except (pymysql.Error, OSError) as error:
                raise translate_error(error, self._shown_url) from error


class _MySqlSession(CursorSession):
    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(sql)
            yield from read_batches([column[0] for column in cursor.description], cursor.fetchmany)

    def insert(self, sql: str, rows: list[tuple[Any, ...]], packet_bytes: int) -> None:
        """In statements that the server takes."""
        with self._peer.span(sql), self._connection.cursor() as cursor:
            cursor.max_stmt_length = min(cursor.max_stmt_length, packet_bytes - HEAD_BYTES)
            cursor.executemany(sql, rows)


def _to_rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Times and timestamps as text, because the driver would cut their fractions; floats with all their digits."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = column.type
        if pa.types.is_floating(kind):
            values = [None if value is None else repr(value) for value in column.to_pylist()]
            if not {"nan", "inf", "-inf"}.isdisjoint(values):
                raise RowsRejected(f"column '{name}' has a NaN or an infinity, and MySQL has none")
        elif pa.types.is_timestamp(kind):
            values = column.cast(pa.timestamp("us")).cast(pa.string()).to_pylist()
        elif pa.types.is_time(kind):
            values = time_text(column).to_pylist()
        elif pa.types.is_date(kind):
            values = column.cast(pa.string()).to_pylist()
        else:
            values = column.to_pylist()
        columns.append(values)
    return list(zip(*columns, strict=True))


def open_database(url: str, password: str | None, schema: str | None, reach: SinkReach | None = None) -> MySqlDatabase:
    """`mysql://user@host:3306/db`; in its query `unix_socket`, `ssl_ca`, `ssl_cert`, `ssl_key`, `connect_timeout`."""
    if schema is not None:
        raise ConfigError("MySQL has no schemas: name the database in the url")
    parts = urlsplit(url)
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise ConfigError("the url of a MySQL sink names no database")
    query = dict(parse_qsl(parts.query))
    unknown = set(query) - {"unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "connect_timeout", "charset"}
    if unknown:
        raise ConfigError(f"the url of a MySQL sink has an unknown setting '{min(unknown)}'")
    query.pop("charset", None)
    options: dict[str, Any] = {
        "host": parts.hostname or "localhost",
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": password if password is not None else unquote(parts.password or ""),
        "database": database,
        "charset": "utf8mb4",
        "client_flag": CLIENT.FOUND_ROWS,  # an update counts the rows that it found, also where it changes nothing
        **query,
    }
    if "connect_timeout" in options:
        options["connect_timeout"] = int(options["connect_timeout"])
    return MySqlDatabase(options, reach)
