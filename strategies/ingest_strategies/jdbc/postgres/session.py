"""One connection to PostgreSQL, whose settings hold for a transaction and never for the session.

Behind a pooler in transaction mode, a connection has another backend in each transaction
(https://www.pgbouncer.org/features.html): a setting of the session would reach another client, and be missing here.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.errors import IngestError, SourceLocked
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.postgres.connection import connect, conninfo, database
from ingest_strategies.jdbc.sessions.adbc import AdbcSession, Fault
from ingest_strategies.jdbc.sessions.faults import LOCKED_HINT
from ingest_strategies.jdbc.sessions.lock_waits import LOCK_PATIENCE_S
from ingest_strategies.jdbc.sessions.lock_watch import LockWatch
from ingest_strategies.jdbc.sessions.reach import Reach
from ingest_strategies.jdbc.standard_sql import quoted_text

# The same text forms in every transaction.
SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "idle_in_transaction_session_timeout": "0",
}
# A role may have a search path of its own: its views and row security policies are read with it. In queries of the catalog, only
# with this path every type outside of it is qualified.
CATALOG_PATH = "pg_catalog"
# Since PostgreSQL 17; a planner's snapshot lasts as long as the load.
_NO_TIMEOUT = (
    "SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL"
)
_BACKEND = (
    "SELECT pg_backend_pid(), extract(epoch FROM clock_timestamp() - backend_start)::float8"
    " FROM pg_stat_get_activity(pg_backend_pid())"
)
MARK = "/* ingest_ray */"
"""In each statement: a pooler may leave our application's name to another client, but no client writes this."""
RELEASE_LOCKS = "ROLLBACK TO SAVEPOINT planned"
_WAITING = """SELECT w.pid::bigint FROM pg_locks w JOIN pg_locks held ON held.relation = w.relation AND held.database = w.database
 WHERE NOT w.granted AND w.mode = 'AccessExclusiveLock' AND held.granted AND held.pid = {pid}"""


class PostgresSession(AdbcSession):
    """Each statement runs in a transaction of its own, except between `begin` and `end`."""

    decodes_numerics = False
    """Whether numerics may be selected as they are: else their binary form is selected and decoded later."""

    def __init__(self, config: PostgresConfig, fault: Fault, reach: Reach | None = None) -> None:
        """`reach`: the tunnel and the login, where there is one or the other."""
        self._config = config
        self._reach = reach
        self._settings = settings_of(config)
        self._path = "DEFAULT"
        self._is_in_transaction = False
        self._releases_locks = False
        self._pooler = config.pooler
        self._opened_at = 0.0
        self._watched_pid = self._last_pid = 0
        self.storage = ""
        """What `read_storage` returned when the slice's read began, or its snapshot."""
        self._fault_of = fault
        host, port = config.addresses[0]
        peer = DatabasePeer("postgresql", host, None if host.startswith("/") else port, config.database)
        super().__init__(self._connect, fault, config.secrets, peer)

    def _connect(self) -> Any:
        config, reach = self._config, self._reach
        if reach is None:
            shared = database(conninfo(config))  # may connect itself
            self._opened_at = time.monotonic()
            return connect(shared)
        shared = database(conninfo(config, reach.local_port(), reach.password_file), reach.with_password)
        with reach.with_password():
            self._opened_at = time.monotonic()
            return connect(shared)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if not self._is_in_transaction:
            with self._transaction():
                return self._marked_rows(sql)
        if not self._releases_locks:
            with self._giving_way():
                return self._marked_rows(sql)
        return self._rows_without_locks(sql)

    def _marked_rows(self, sql: str) -> list[tuple[Any, ...]]:
        return super().rows(f"{MARK} {sql}")

    def _rows_without_locks(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows; the locks of the statement are released. While another session has the table, it is waited for: no lock
        is held meanwhile."""
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                with self._giving_way():
                    found = self._marked_rows(sql)
            except IngestError as error:
                with suppress(IngestError):  # of a connection that is lost, the first error is reported
                    self._execute(RELEASE_LOCKS)
                if not isinstance(error, SourceLocked) or time.monotonic() > deadline:
                    raise
                continue
            self._execute(RELEASE_LOCKS)
            return found

    def run(self, sql: str) -> None:
        if self._is_in_transaction:
            self._execute(sql)
            return
        with self._transaction():
            self._execute(sql)

    def _execute(self, sql: str) -> None:
        """Several statements, separated by semicolons, as one request."""
        with self._translate_errors(), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_sql_query(f"{MARK} {sql}")
            cursor.adbc_statement.execute_update()

    def change(self, sql: str) -> None:
        """Statements that change the source, such as its publications: outside of the read-only transactions of all others."""
        assert not self._is_in_transaction
        with self._peer.span(sql):
            self._execute(sql)

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        if self._is_in_transaction:
            with self._giving_way():
                yield from self._stream(sql, options)
            return
        with self._transaction():
            yield from self._stream(sql, options)

    def _stream(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        return super().batches(f"{MARK} {sql}", options)

    def begin(self, isolation: str = "READ COMMITTED", snapshot: str | None = None) -> None:
        """Begins a read-only transaction with the session's settings."""
        imported = f" SET TRANSACTION SNAPSHOT '{snapshot}';" if snapshot else ""
        try:
            self._execute(
                f"BEGIN ISOLATION LEVEL {isolation} READ ONLY;{imported} {self._settings};"
                f" SET LOCAL search_path TO {self._path}; {_NO_TIMEOUT}"
            )
        except BaseException:
            self._roll_back()
            raise
        self._is_in_transaction = True

    def _pid(self) -> int:
        """The backend of the present transaction."""
        if not self._watched_pid:
            self._watched_pid = int(self._marked_rows("SELECT pg_backend_pid()::bigint")[0][0])
        return self._watched_pid

    @contextmanager
    def _giving_way(self) -> Iterator[None]:
        """Raises `SourceLocked` where the statement within was ended because DDL waited for it."""
        pid = self._pid()

        def find_waiting(session: Session) -> set[int]:
            return {int(row[0]) for row in session.rows(_WAITING.format(pid=pid))}

        signals = (f"SELECT pg_cancel_backend({pid})", f"SELECT pg_terminate_backend({pid})")
        watch = LockWatch(self._open_another, find_waiting, signals, self._config.lock_timeout_s / 2)
        try:
            with watch:
                yield
        except IngestError as error:
            if watch.gave_way_to is None:
                raise
            raise SourceLocked(
                f"gave way to process {watch.gave_way_to}, which waits to change the table ({error.message})",
                hint=LOCKED_HINT,
            ) from None

    @contextmanager
    def _open_another(self) -> Iterator[Session]:
        session = PostgresSession(self._config, self._fault_of, self._reach)
        try:
            yield session
        finally:
            session.close()

    def release_locks(self) -> None:
        """From now on in this transaction, a lock is held only while its statement runs: the snapshot stays, and blocks no DDL.

        https://www.postgresql.org/docs/current/explicit-locking.html: a lock is released when the savepoint before it is
        rolled back to.
        """
        self._execute("SAVEPOINT planned")
        self._releases_locks = True

    def has_pooler(self) -> bool:
        """Whether the connection's backend is certainly not its own: it began before the connection, or is another one than in
        the transaction before."""
        if self._pooler != "auto" or self._is_in_transaction:
            return self._pooler == "transaction"
        before = self._last_pid
        self._last_pid, age_s = self.rows(_BACKEND)[0]
        if age_s > time.monotonic() - self._opened_at or before not in (0, self._last_pid):
            self._pooler = "transaction"
        return self._pooler == "transaction"

    def end(self) -> None:
        self._is_in_transaction = self._releases_locks = False
        self._watched_pid = 0
        self._execute("COMMIT")

    def _roll_back(self) -> None:
        self._is_in_transaction = self._releases_locks = False
        self._watched_pid = 0
        with suppress(IngestError):
            self._execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        self.end()

    @contextmanager
    def holding(self, name: str) -> Iterator[bool]:
        """A transaction that has the advisory lock of this name; yields False where another session has it. What the lock guards is
        done by this session, so that a lost connection ends both."""
        sql = f"SELECT pg_try_advisory_xact_lock(hashtextextended({quoted_text(name)}, 0))"
        with self._transaction():
            yield bool(self._marked_rows(sql)[0][0])

    @property
    def login(self) -> tuple[PostgresConfig, Reach | None, Fault]:
        """What another connection to the same server needs."""
        return self._config, self._reach, self._fault_of

    @contextmanager
    def qualified_names(self) -> Iterator[None]:
        """Type names outside of `pg_catalog` are qualified by the statements within."""
        self._path = CATALOG_PATH
        try:
            yield
        finally:
            self._path = "DEFAULT"


def settings_of(config: PostgresConfig) -> str:
    settings = SETTINGS | {
        "application_name": config.application_name,
        "lock_timeout": f"{int(config.lock_timeout_s * 1000)}",
    }
    if config.statement_timeout_s is not None:
        settings["statement_timeout"] = str(int(config.statement_timeout_s * 1000))
    return "; ".join(f"SET LOCAL {name} = {quoted_text(value)}" for name, value in settings.items())


def postgres_session(session: Session) -> PostgresSession:
    assert isinstance(session, PostgresSession)
    return session
