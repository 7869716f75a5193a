"""Opens the catalog's database, migrates it to this version's tables, and runs transactions."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa

from ingest_ray.catalog.tables import SCHEMA, catalog_schema, tables
from ingest_ray.kv.engine import parse, shown, state_engine, unavailable
from ingest_ray.sdk.errors import StateUnreadable
from ingest_ray.secrets import open_url
from ingest_ray.settings import Settings

_MIGRATION_LOCK, _WRITE_LOCK = 0x1E57_CA7A, 0x1E57_CA7B  # any numbers that are the same in every process

# Statements that lead from schema number n to n + 1, for n = 1, 2, ...; `SCHEMA` is one more than their number.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "ALTER TABLE ingest_runs ADD COLUMN task VARCHAR(20) DEFAULT 'ingest' NOT NULL",
        "CREATE TABLE ingest_unit_datasets (endpoint_id VARCHAR(200) NOT NULL, unit_id VARCHAR(700) NOT NULL, "
        "sink_id VARCHAR(200) NOT NULL, document TEXT NOT NULL, updated_at VARCHAR(40) NOT NULL, "
        "PRIMARY KEY (endpoint_id, unit_id, sink_id))",
    ),
    (
        "ALTER TABLE ingest_endpoints ADD COLUMN about TEXT DEFAULT '{}' NOT NULL",
        "ALTER TABLE ingest_collections ADD COLUMN requested_by VARCHAR(200)",
        "ALTER TABLE ingest_collections ADD COLUMN filters TEXT",
        "ALTER TABLE ingest_collections ADD COLUMN owner TEXT",
        "CREATE INDEX ingest_runs_by_state ON ingest_runs (state)",
        "CREATE TABLE ingest_run_lines (run_id VARCHAR(100) NOT NULL, request TEXT NOT NULL, "
        "taken_at VARCHAR(40), stop_requested_at VARCHAR(40), stop_requested_by VARCHAR(200), progress TEXT, progressed_at VARCHAR(40), "
        "PRIMARY KEY (run_id))",
        "CREATE TABLE ingest_tokens (token_id VARCHAR(40) NOT NULL, name VARCHAR(200) NOT NULL, "
        "role VARCHAR(20) NOT NULL, digest VARCHAR(64) NOT NULL, created_at VARCHAR(40) NOT NULL, "
        "expires_at VARCHAR(40), revoked_at VARCHAR(40), PRIMARY KEY (token_id), UNIQUE (digest))",
        "CREATE TABLE ingest_schedules (endpoint_id VARCHAR(200) NOT NULL, unit_id VARCHAR(700) NOT NULL, "
        "last_due BIGINT, last_error TEXT, held_at VARCHAR(40), held_by VARCHAR(200), PRIMARY KEY (endpoint_id, unit_id))",
    ),
    (
        "ALTER TABLE ingest_tokens ADD COLUMN endpoints TEXT",
        "CREATE TABLE ingest_audit (entry_id VARCHAR(100) NOT NULL, at VARCHAR(40) NOT NULL, who VARCHAR(200) NOT NULL, "
        "role VARCHAR(20) NOT NULL, token_id VARCHAR(40), source VARCHAR(200) NOT NULL, action VARCHAR(100) NOT NULL, "
        "endpoint_id VARCHAR(200), details TEXT NOT NULL, outcome VARCHAR(20) NOT NULL, code VARCHAR(100), "
        "PRIMARY KEY (entry_id))",
        "CREATE INDEX ingest_audit_by_time ON ingest_audit (at)",
    ),
    (
        "CREATE INDEX ingest_runs_by_end ON ingest_runs (finished_at)",
        "CREATE TABLE ingest_unit_totals (endpoint_id VARCHAR(200) NOT NULL, unit_id VARCHAR(700) NOT NULL, sink_id VARCHAR(200) NOT NULL, "
        "first_started_at VARCHAR(40) NOT NULL, success_started_at VARCHAR(40), success_at VARCHAR(40), "
        "newest_row VARCHAR(60), failures_in_row INTEGER DEFAULT '0' NOT NULL, last_run_id VARCHAR(100), succeeded BIGINT DEFAULT '0' NOT NULL, "
        "failed BIGINT DEFAULT '0' NOT NULL, paused BIGINT DEFAULT '0' NOT NULL, rows_read BIGINT DEFAULT '0' NOT NULL, "
        "rows_committed BIGINT DEFAULT '0' NOT NULL, rows_quarantined BIGINT DEFAULT '0' NOT NULL, "
        "bytes_staged BIGINT DEFAULT '0' NOT NULL, seconds FLOAT DEFAULT '0' NOT NULL, PRIMARY KEY (endpoint_id, unit_id, sink_id))",
        # Of earlier runs only what their columns tell is counted.
        "INSERT INTO ingest_unit_totals (endpoint_id, unit_id, sink_id, first_started_at, success_started_at, success_at, last_run_id) "
        "SELECT endpoint_id, unit_id, sink_id, min(started_at), max(CASE WHEN state = 'SUCCEEDED' THEN started_at END), "
        "max(CASE WHEN state = 'SUCCEEDED' THEN finished_at END), max(CASE WHEN finished_at IS NOT NULL THEN run_id END) "
        "FROM ingest_runs WHERE task = 'ingest' GROUP BY endpoint_id, unit_id, sink_id",
        "UPDATE ingest_unit_totals SET failures_in_row = (SELECT count(*) FROM ingest_runs AS r WHERE r.task = 'ingest' "
        "AND r.state = 'FAILED' AND r.endpoint_id = ingest_unit_totals.endpoint_id AND r.unit_id = ingest_unit_totals.unit_id "
        "AND r.sink_id = ingest_unit_totals.sink_id AND r.started_at > coalesce(ingest_unit_totals.success_started_at, ''))",
        "CREATE TABLE ingest_incidents (condition VARCHAR(40) NOT NULL, endpoint_id VARCHAR(200) NOT NULL, subject VARCHAR(700) NOT NULL, "
        "incident_id VARCHAR(100) NOT NULL, opened_at VARCHAR(40) NOT NULL, closed_at VARCHAR(40), document TEXT NOT NULL, "
        "PRIMARY KEY (condition, endpoint_id, subject))",
        "CREATE TABLE ingest_notifications (notification_id VARCHAR(100) NOT NULL, receiver VARCHAR(100) NOT NULL, "
        "created_at VARCHAR(40) NOT NULL, document TEXT NOT NULL, attempts INTEGER DEFAULT '0' NOT NULL, next_attempt_at VARCHAR(40), "
        "delivered_at VARCHAR(40), dead_at VARCHAR(40), last_error TEXT, PRIMARY KEY (notification_id))",
        "CREATE INDEX ingest_notifications_by_attempt ON ingest_notifications (next_attempt_at)",
        "CREATE TABLE ingest_periodic_tasks (name VARCHAR(100) NOT NULL, claimed_at VARCHAR(40) NOT NULL, position VARCHAR(100), "
        "PRIMARY KEY (name))",
    ),
    (
        "CREATE TABLE ingest_task_schedules (endpoint_id VARCHAR(200) NOT NULL, unit_id VARCHAR(700) NOT NULL, "
        "task VARCHAR(20) NOT NULL, last_due BIGINT, last_error TEXT, PRIMARY KEY (endpoint_id, unit_id, task))",
    ),
)


class Catalog:
    """Connects on first use. Functions of this package take the connection that `begin` or `read` yields."""

    def __init__(self, url: str) -> None:
        self._url = parse(url)
        self._engine = state_engine(url)
        self._is_ready = False

    @contextmanager
    def begin(self, *, is_alone: bool = False) -> Iterator[sa.Connection]:
        """A writing transaction. `is_alone`: never concurrent with another transaction that has this flag."""
        with unavailable(self._url):
            self._prepare()
            with self._engine.begin() as connection:
                if is_alone and connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
                yield connection

    @contextmanager
    def read(self, *, is_snapshot: bool = False) -> Iterator[sa.Connection]:
        """A read-only transaction; it does not wait for writers. `is_snapshot`: all of its statements see one state."""
        with unavailable(self._url):
            self._prepare()
            with self._engine.connect() as connection:
                if (
                    is_snapshot and connection.dialect.name == "postgresql"
                ):  # SQLite always has one state in a transaction
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.execution_options(is_reading=True).begin():
                    yield connection

    def clock_skew_s(self) -> float | None:
        """How far this machine's clock is ahead of that of the database's server; None where the database is in this process."""
        with self.read() as connection:
            if connection.dialect.name != "postgresql":
                return None
            theirs = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
            return time.time() - float(theirs)

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        if self._is_ready:
            return
        with self._engine.connect() as connection, connection.execution_options(is_reading=True).begin():
            number = _number(connection)
        if number != SCHEMA:
            self._check(number)
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
                self._migrate(connection, _number(connection))
        self._is_ready = True

    def _migrate(self, connection: sa.Connection, number: int) -> None:
        self._check(number)
        if number == 0:
            tables.create_all(connection)
            connection.execute(catalog_schema.insert().values(id=1, number=SCHEMA))
            return
        for step in MIGRATIONS[number - 1 :]:
            for statement in step:
                connection.exec_driver_sql(statement)
        connection.execute(catalog_schema.update().values(number=SCHEMA))

    def _check(self, number: int) -> None:
        if number > SCHEMA:
            raise StateUnreadable(
                f"catalog at '{shown(self._url)}' has schema number {number}, this version knows up to {SCHEMA}",
                hint="use the version of ingest-ray that wrote it, or a newer one",
            )


def open_catalog(settings: Settings) -> Catalog:
    """The catalog of an installation."""
    return Catalog(open_url(settings.state_url, settings))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _number(connection: sa.Connection) -> int:
    """0: there is no catalog yet."""
    if not sa.inspect(connection).has_table(catalog_schema.name):
        return 0
    return int(connection.execute(sa.select(catalog_schema.c.number)).scalar_one_or_none() or 0)
