"""The dialect of PostgreSQL: SQL, sessions, snapshots.

A unit is a table, view, materialized view, partitioned or foreign table; its segment is the whole table; an interval
lies on a unique key, on `ctid` (TID ranges, https://www.postgresql.org/docs/current/ddl-system-columns.html) or on the
cursor. Readers import the planner's snapshot (https://www.postgresql.org/docs/current/functions-admin.html).
Rights: SELECT on the tables; `pg_read_all_stats` for an exact horizon.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import JsonValue

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import IngestError, SnapshotLost, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.catalog_rows import is_indexed, require_same_columns
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, FetchedBatch, Session, TableSize
from ingest_strategies.jdbc.log_strategy import LogStrategy
from ingest_strategies.jdbc.postgres.catalog import collect, describe, read_column_types, read_size
from ingest_strategies.jdbc.postgres.changes.change_log import PostgresLog
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.postgres.connection import fault_of
from ingest_strategies.jdbc.postgres.copy_session import has_plain_login, is_decoded, open_reading_session
from ingest_strategies.jdbc.postgres.horizon import find_horizon
from ingest_strategies.jdbc.postgres.reader import fetch_rows
from ingest_strategies.jdbc.postgres.row_security import read_policies
from ingest_strategies.jdbc.postgres.session import PostgresSession, postgres_session
from ingest_strategies.jdbc.postgres.storage import read_storage
from ingest_strategies.jdbc.sessions.reach import reach
from ingest_strategies.jdbc.standard_sql import StandardSql, quoted_text
from ingest_strategies.jdbc.values.text_times import earlier_text

POOLER_NOTE = (
    "a pooler gives each transaction another backend, so no snapshot is exported: each slice sees its own moment, and a table"
    " without a key is one slice"
)
LOWEST: dict[str, int | str] = {
    "int": -(2**63),
    "decimal": "-Infinity",
    "float": "-Infinity",
    "text": "",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "-infinity",
    "timestamp": "-infinity",
    "timestamptz": "-infinity",
}


class Postgres(StandardSql):
    template = "jdbc.postgres"
    clock_s = "extract(epoch FROM clock_timestamp())"
    has_cheap_offset = True
    has_row_values = True
    keeps_session = True

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(PostgresConfig, endpoint)

        def fault(message: str, state: str | None) -> IngestError:
            return fault_of(endpoint.endpoint_id, message, state)

        host, port = config.addresses[0]
        with reach(endpoint.endpoint_id, config, host, port) as way:
            session = PostgresSession(config, fault, way)
            try:
                yield session
            finally:
                session.close()

    @contextmanager
    def open_reader(self, spec: UnitSpec) -> Iterator[Session]:
        """Decodes the rows of large tables itself; the others, and what only libpq can connect to, are read through ADBC."""
        config = parse_config(PostgresConfig, spec.endpoint)
        names = schema_of(spec.dataset, spec.policy.columns or None).names
        if not is_decoded(spec.dataset, names) or not has_plain_login(config):
            with self.open(spec.endpoint) as session:
                yield session
            return
        host, port = config.addresses[0]
        with reach(spec.endpoint.endpoint_id, config, host, port) as way:
            own = open_reading_session(
                config, lambda message, state: fault_of(spec.endpoint.endpoint_id, message, state), way
            )
            try:
                yield own
            finally:
                own.close()

    def version(self, session: Session) -> str:
        return str(session.rows("SELECT 'PostgreSQL ' || current_setting('server_version')")[0][0])

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        with postgres_session(session).qualified_names():
            yield from collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        with postgres_session(session).qualified_names():
            return describe(endpoint, session, dataset)

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        if name == "ctid":
            return AxisColumn(name, "tid", f"{self.quote(str(dataset.facts['table']))}.ctid", "tid")
        column, axis = dataset.column(name), dataset.facts.get("axis")
        fact = axis.get(name) if isinstance(axis, dict) else None
        if column is None or not isinstance(fact, list):
            return None
        kind: Any = fact[0]
        collation = '"C"' if kind == "text" and is_cursor else ""
        expression = self.qualified_column(dataset, name)
        return AxisColumn(name, kind, expression, str(fact[1]), column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        facts = dataset.facts.get("collations")
        collations = facts if isinstance(facts, dict) else {}
        for column in columns:
            if column.collation and collations.get(column.name) not in ("C", "POSIX"):
                return False
        return is_indexed(dataset, [column.name for column in columns])

    def literal(self, column: AxisColumn, value: int | str) -> str:
        if column.kind == "tid":
            return f"'({int(value)},0)'::tid"
        text = f"\\x{value}" if column.kind == "bytes" else str(value)
        return f"{quoted_text(text)}::{column.cast}"

    def position(self, column: AxisColumn, sql: str) -> str:
        match column.kind:
            case "int":
                return f"({sql})::bigint"
            case "bytes":
                return f"encode({sql}, 'hex')"
            case "timestamptz":
                return _stamp(sql, f"to_char(({sql}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')")
            case "timestamp":
                return _stamp(sql, f"to_char({sql}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
            case _:
                return f"({sql})::text"

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        return int(value) if column.kind in ("int", "tid") else str(value)

    def lowest(self, column: AxisColumn) -> int | str:
        return LOWEST[column.kind]

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        literal = self.literal(column, value)
        match column.kind:
            case "int":
                return f"greatest({literal}::numeric - {span}, {LOWEST['int']})::bigint"
            case "decimal" | "float":
                return f"({literal} - {span})"
            case "date":
                return f"({literal}::timestamp - interval '{span} seconds')::date"
            case "timestamp" | "timestamptz":
                return f"({literal} - interval '{span} seconds')"
            case _:
                return self.literal(column, earlier_text(column.name, str(value), span))

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return read_size(session, spec.dataset, self.table(spec.dataset))

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        return find_horizon(self, session, spec, column, table, watermark)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        """The name of the exported snapshot, and the state of the table's storage before it. Behind a pooler there is none: its
        transaction would keep one of the pool's backends for the whole load, and the readers may get none or another server's."""
        own = postgres_session(session)
        if not spec.policy.snapshot or own.has_pooler():
            return None
        storage = read_storage(session, spec.dataset)
        own.begin("REPEATABLE READ")
        name = session.rows("SELECT pg_export_snapshot()")[0][0]
        own.release_locks()
        return f"{name}/{storage}"

    def notes(self, session: Session, spec: UnitSpec) -> dict[str, JsonValue]:
        relation = f"{quoted_text(self.table(spec.dataset))}::regclass"
        policies = next(iter(read_policies(session, relation).values()), None)
        notes: dict[str, JsonValue] = {"row_security": policies} if policies else {}
        return notes | ({"pooler": POOLER_NOTE} if postgres_session(session).has_pooler() else {})

    def enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        own = postgres_session(session)
        if snapshot is None:
            own.storage = read_storage(session, spec.dataset)
            own.begin()
            return
        name, _, own.storage = snapshot.partition("/")
        if not re.fullmatch(r"[0-9A-Fa-f]{1,16}(-[0-9A-Fa-f]{1,16}){1,3}", name):
            raise SourceUnavailable("the snapshot's name is not a name of PostgreSQL's")
        try:
            own.begin("REPEATABLE READ", name)
        except SourceDenied:
            raise
        except IngestError as error:
            raise SnapshotLost(
                f"the snapshot '{name}' is gone: the planner's connection has ended ({error.message})",
                hint="the run plans again under a new snapshot",
            ) from None

    def leave_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        """The locks of what was read are held until here: a table that was rewritten before it was read shows it now."""
        own = postgres_session(session)
        own.end()
        if read_storage(session, spec.dataset) == own.storage:
            return
        message = f"{spec.unit_id}: the table was rewritten while it was read (VACUUM FULL, ALTER TABLE, TRUNCATE)"
        if snapshot is None:
            raise SourceUnavailable(message)
        raise SnapshotLost(message, hint="the run plans again under a new snapshot")

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        with postgres_session(session).qualified_names():
            types = read_column_types(session, dataset)
        require_same_columns(types, dataset, names)

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[FetchedBatch]:
        return fetch_rows(session, spec.dataset, source, context)


def _stamp(sql: str, iso: str) -> str:
    """ISO 8601 where a year has four digits; PostgreSQL's own form of other times and of infinity."""
    return f"CASE WHEN {sql} >= '0001-01-01' AND {sql} < '10000-01-01' THEN {iso} ELSE ({sql})::text END"


def strategy(descriptor: Descriptor) -> LogStrategy:
    dialect = Postgres()
    return LogStrategy(descriptor, dialect, PostgresLog(dialect))
