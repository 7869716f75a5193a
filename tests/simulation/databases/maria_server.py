"""A simulated MariaDB and its driver: DDL commits by itself, tables have engines, connections are lost, and one transaction goes on at a time.

Statements are those of the product, executed by SQLite after the few terms that differ are rewritten.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pymysql

from ingest_ray.sinks.databases.mysql.database import MySqlDatabase
from ingest_ray.sinks.databases.mysql.errors import translate_error
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.scheduler import Process, Scheduler

LOCK_TIMEOUT_S = 60.0
LOST, LOCK_TIMEOUT, DEADLOCK, DUPLICATE_COLUMN, DUPLICATE_KEY, TABLE_EXISTS = 2013, 1205, 1213, 1060, 1062, 1050
DDL = re.compile(r"(create table|alter table|drop table)", re.IGNORECASE)


@lru_cache(maxsize=5_000)
def translated(sql: str) -> str:
    sql = sql.replace("%s", "?").replace("insert ignore into", "insert or ignore into").replace(" <=> ", " is ")
    sql = re.sub(r" character set utf8mb4 collate \w+", "", sql).removesuffix(" for update")
    sql = re.sub(r",? ?index \((?:[^()]|\([^)]*\))*\)", "", sql).replace(" () engine = InnoDB ", " as ")
    sql = sql.replace(" engine = InnoDB", "").replace("drop temporary table", "drop table")
    sql = re.sub(r"^update (\S+) as t, (\S+) as w set (.*) where ", r"update \1 as t set \3 from \2 as w where ", sql)
    return re.sub(r"(set |, )t\.(`[^`]+`) = ", r"\1\2 = ", sql) if sql.startswith("update ") else sql


class MariaServer:
    """`engines`: of each table. `on_commit` is called after each transaction that changed something."""

    def __init__(self, scheduler: Scheduler, faults: FaultInjector) -> None:
        self.scheduler = scheduler
        self.faults = faults
        self.sql = sqlite3.connect(":memory:", isolation_level=None)
        self.engines: dict[str, str] = {}
        self.default_engine = "InnoDB"
        self.on_commit: Callable[[], None] = lambda: None
        self.holder: Connection | None = None

    def tables(self) -> set[str]:
        return {str(name) for (name,) in self.sql.execute("select name from sqlite_master where type = 'table'")}

    def drop(self, table: str) -> None:
        self.sql.execute(f"drop table if exists `{table}`")
        self.engines.pop(table, None)

    def lock(self, connection: "Connection") -> None:
        """Waits until no other connection is in a transaction. The server rolls back those of dead processes."""
        if self.holder is connection:
            return
        self.scheduler.wait_for(self._is_free, LOCK_TIMEOUT_S)
        if not self._is_free():
            raise pymysql.err.OperationalError(LOCK_TIMEOUT, "lock wait timeout exceeded")
        if self.holder is not None:
            self.roll_back()
        self.holder = connection
        self.sql.execute("begin")

    def _is_free(self) -> bool:
        return self.holder is None or not self.holder.process.is_alive

    def commit(self) -> None:
        self.holder = None
        self.sql.execute("commit")
        self.on_commit()

    def roll_back(self) -> None:
        """Changes of tables without transactions stay."""
        self.holder = None
        kept = {
            name: self.sql.execute(f"select * from `{name}`").fetchall()
            for name in self.tables()
            if self.engines.get(name, "InnoDB") != "InnoDB"
        }
        self.sql.execute("rollback")
        for name, rows in kept.items():
            self.sql.execute(f"delete from `{name}`")
            for row in rows:
                self.sql.execute(f"insert into `{name}` values ({', '.join('?' * len(row))})", row)

    def end_transaction_of_the_dead(self) -> None:
        if self.holder is not None and not self.holder.process.is_alive:
            self.roll_back()


class Connection:
    def __init__(self, server: MariaServer) -> None:
        self.server = server
        self.process = server.scheduler.current_process() or Process("operator")

    def cursor(self) -> "Cursor":
        return Cursor(self)

    def commit(self) -> None:
        server = self.server
        server.scheduler.pause()
        if server.holder is self:
            server.commit()
        if server.faults.occurs("sink: answer lost"):
            raise pymysql.err.OperationalError(LOST, "lost connection to server during query")

    def close(self) -> None:
        if self.server.holder is self:
            self.server.roll_back()


class Cursor:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._server = connection.server
        self._rows: list[tuple[Any, ...]] = []
        self.description: Any = None
        self.rowcount = 0
        self.max_stmt_length = 2**20

    def __enter__(self) -> "Cursor":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def executemany(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._begin_statement()
        for row in rows:
            self._execute(sql, row)

    def execute(self, sql: str, values: Sequence[Any] | None = None) -> None:
        is_ddl = DDL.match(sql) is not None
        if is_ddl and self._server.holder is self._connection:
            self._server.commit()
        self._begin_statement()
        known = self._catalog(sql, values or ())
        if known is not None:
            self._rows, self.description = known, (None,)
            return
        self._execute(sql, values or ())
        if is_ddl:
            self._note_engine(sql)
            self._server.commit()

    def _begin_statement(self) -> None:
        server = self._server
        server.scheduler.pause()
        server.lock(self._connection)
        if server.faults.occurs("sink: connection lost"):
            server.roll_back()
            raise pymysql.err.OperationalError(LOST, "lost connection to server during query")
        if server.faults.occurs("sink: deadlock"):
            server.roll_back()
            raise pymysql.err.OperationalError(DEADLOCK, "deadlock found when trying to get lock")

    def _execute(self, sql: str, values: Sequence[Any]) -> None:
        try:
            found = self._server.sql.execute(translated(sql), values)
        except sqlite3.IntegrityError as error:
            raise pymysql.err.IntegrityError(DUPLICATE_KEY, str(error)) from None
        except sqlite3.OperationalError as error:
            text = str(error)
            code = (
                DUPLICATE_COLUMN if "duplicate column" in text else TABLE_EXISTS if "already exists" in text else 1064
            )
            raise pymysql.err.OperationalError(code, f"{text}: {sql[:200]}") from None
        self._rows, self.description, self.rowcount = found.fetchall(), found.description, found.rowcount

    def _note_engine(self, sql: str) -> None:
        created = re.match(r"create table (?:if not exists )?`?(\w+)`?", sql)
        if created is not None:
            engine = "InnoDB" if sql.endswith(" engine = InnoDB") else self._server.default_engine
            self._server.engines.setdefault(created[1], engine)
            self._server.faults.note("sink: DDL that commits")

    def _catalog(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        server = self._server
        if sql == "select @@max_allowed_packet":
            return [(2**24,)]
        if "information_schema.collations" in sql:
            return [("utf8mb4_nopad_bin",)]
        if "information_schema.engines" in sql:
            present = server.tables() & set(values)
            return [(name, server.engines[name]) for name in present if server.engines.get(name, "InnoDB") != "InnoDB"]
        if "information_schema.columns" in sql:
            return [(row[1], row[2]) for row in server.sql.execute(f"pragma table_info(`{values[0]}`)")]
        if "information_schema.tables" in sql:
            return [(name,) for name in sorted(server.tables())]
        return None


class SimulatedMaria(MySqlDatabase):
    """The product's MariaDB over a simulated server."""

    def __init__(self, server: MariaServer) -> None:
        super().__init__({"user": "u", "host": "h", "port": 1, "database": "d"})
        self._server = server

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = Connection(self._server)
        try:
            yield connection
        except pymysql.Error as error:
            raise translate_error(error, self._shown_url) from error
        finally:
            connection.close()
