"""The product's dialect of PostgreSQL over a simulated server: what it asks of the server's catalog is answered from the table's writers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ingest_ray.sdk.types import Dataset, Endpoint, UnitSpec
from ingest_strategies.jdbc.dialect import AxisColumn, Session, TableSize
from ingest_strategies.jdbc.postgres import horizon
from ingest_strategies.jdbc.postgres.dialect import Postgres
from tests.simulation.databases.database_table import SECOND, SESSIONS, DatabaseTable, wall_time
from tests.simulation.databases.statements import from_postgres, least_wall_time
from tests.simulation.scheduler import Scheduler
from tests.simulation.source_table import EPOCH, NEVER

Rows = list[tuple[Any, ...]]
OPEN_TRANSACTIONS, UNTRACKED, REPLAYED = horizon._OPEN_TRANSACTIONS, horizon._UNTRACKED, horizon.REPLAYED


def as_text(moment: int | None) -> str | None:
    return None if moment is None else (EPOCH + timedelta(microseconds=moment)).isoformat(" ", "microseconds")


@dataclass
class PostgresSession:
    table: DatabaseTable
    scheduler: Scheduler

    def rows(self, sql: str) -> Rows:
        self.scheduler.pause()
        self.table.clock += 1_000
        answer = self._catalog(sql)
        if answer is not None:
            return answer
        connection = self.table.sql
        sql = sql.replace(Postgres.clock_s, repr(self.table.clock / SECOND))
        connection.create_function("->>", 2, wall_time, deterministic=True)
        connection.create_function("least_wall_time", 2, least_wall_time, deterministic=True)
        return connection.execute(from_postgres(sql)).fetchall()

    def run(self, sql: str) -> None:
        self.rows(sql)

    def batches(self, sql: str, options: Any) -> Iterator[Any]:
        raise NotImplementedError

    def _catalog(self, sql: str) -> Rows | None:
        """What the server tells about itself; None for a statement over the table."""
        table, traits = self.table, self.table.traits
        if sql == "SELECT clock_timestamp()::text":
            return [(as_text(table.clock),)]
        if sql == OPEN_TRANSACTIONS:
            return [self._open_transactions()]
        if sql == UNTRACKED:
            hidden = [] if traits.hides_transactions else self._untracked()
            return [(str(id(transaction)), "a process") for transaction in hidden]
        if sql == REPLAYED:
            return [(as_text(table.last_commit),)]
        if sql == "SELECT pg_is_in_recovery()":
            return [(traits.is_replica,)]
        if "pg_subscription_rel" in sql:
            return [(False,)]
        if "FROM pg_settings WHERE name = 'TimeZone'" in sql:
            return [(traits.server_zone,)]
        if "FROM pg_locks WHERE locktype = 'relation'" in sql:
            return [(str(id(transaction)), "a process") for transaction in table.shown_transactions]
        if sql.startswith('SELECT "t"."at"::text FROM'):
            return [(str(as_text(at)).removesuffix("+00:00"),) for (at,) in table.sql.execute(from_postgres(sql))]
        if "FROM pg_sequence" in sql:
            return [(traits.block,)]
        if sql.startswith("SELECT count(*) FROM pg_stat_activity"):
            return [(SESSIONS,)]
        return None

    def _untracked(self) -> list[Any]:
        return [t for t in self.table.shown_transactions if t.shown_start is None and t.prepared_at is None]

    def _open_transactions(self) -> tuple[Any, ...]:
        table, traits = self.table, self.table.traits
        starts = [t.shown_start for t in table.shown_transactions if t.shown_start is not None]
        prepared = [t.prepared_at for t in table.shown_transactions if t.prepared_at is not None]
        if traits.hides_transactions:
            starts = []
        hidden = SESSIONS if traits.hides_transactions else 0
        return (
            traits.is_replica,
            hidden,
            as_text(min(starts, default=None)),
            len(starts),
            as_text(min(prepared, default=None)),
        )


class SimulatedPostgres(Postgres):
    def __init__(self, table: DatabaseTable, scheduler: Scheduler) -> None:
        self._table = table
        self._scheduler = scheduler

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        yield PostgresSession(self._table, self._scheduler)

    def table(self, dataset: Dataset) -> str:
        return '"t"'

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        kind = self._table.traits.cursor if name == "at" else "int"
        return AxisColumn(name, kind, f'"t"."{name}"', "bigint")

    def literal(self, column: AxisColumn, value: int | str) -> str:
        return str(value)

    def position(self, column: AxisColumn, sql: str) -> str:
        return f"({sql})"

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        return int(value)

    def lowest(self, column: AxisColumn) -> int | str:
        return -NEVER

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return TableSize(rows=len(self._table.of("all")), bytes_per_row=1.0)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        return None

    def notes(self, session: Session, spec: UnitSpec) -> dict[str, str]:
        return {}

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        return
