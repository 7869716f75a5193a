"""The product's dialect of MySQL and MariaDB over a simulated server."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ingest_ray.sdk.errors import SourceDenied
from ingest_ray.sdk.types import Dataset, Endpoint, UnitSpec
from ingest_strategies.jdbc.dialect import AxisColumn, Session, TableSize
from ingest_strategies.jdbc.mysql.dialect import Mysql
from ingest_strategies.jdbc.mysql.horizon import STAMP
from tests.simulation.databases.database_table import SECOND, DatabaseTable, wall_time
from tests.simulation.databases.statements import from_mysql
from tests.simulation.scheduler import Scheduler
from tests.simulation.source_table import EPOCH, NEVER, microseconds

Rows = list[tuple[Any, ...]]
ZERO = "0000-00-00 00:00:00"


def stamp(moment: int) -> str:
    return ZERO if moment <= -NEVER else (EPOCH + timedelta(microseconds=moment)).strftime(STAMP)


@dataclass
class MysqlSession:
    table: DatabaseTable
    scheduler: Scheduler

    def rows(self, sql: str) -> Rows:
        self.scheduler.pause()
        self.table.clock += 1_000
        answer = self._catalog(sql)
        sql = sql.replace(Mysql.clock_s, repr(self.table.clock / SECOND))
        return self.table.sql.execute(from_mysql(sql)).fetchall() if answer is None else answer

    def run(self, sql: str) -> None:
        return

    def batches(self, sql: str, options: Any) -> Iterator[Any]:
        raise NotImplementedError

    def named_rows(self, sql: str) -> list[dict[str, Any]]:
        """The status of the replication, where the role may see it."""
        table = self.table
        if table.traits.hides_transactions:
            raise SourceDenied("access denied")
        if not table.traits.is_replica:
            return []
        running = "Yes" if table.is_replaying else "No"
        behind = str(table.behind_s) if table.is_replaying else None
        return [{"Slave_IO_Running": "Yes", "Slave_SQL_Running": running, "Seconds_Behind_Master": behind}]

    def _catalog(self, sql: str) -> Rows | None:
        table, traits = self.table, self.table.traits
        if sql == "SELECT unix_timestamp(sysdate(6))":
            return [(f"{table.clock // SECOND}.{table.clock % SECOND:06}",)]
        if sql.startswith("SHOW GLOBAL VARIABLES"):
            return [("read_only", "OFF"), ("gtid_slave_pos", "0-1-1" if traits.is_replica else ""), ("wsrep_on", "OFF")]
        if "command LIKE 'Slave%'" in sql:
            return [(2 if traits.is_replica else 0,)]
        if "@@session.time_zone" in sql:
            return [self._least_wall_time(sql)]
        if sql.startswith("SELECT CAST(CAST(`t`.`at` AS DATETIME(6)) AS CHAR)"):
            return [(stamp(at),) for (at,) in table.sql.execute(from_mysql(sql))]
        if "innodb_trx" in sql or "information_schema.processlist" in sql:
            return self._transactions(sql)
        return None

    def _transactions(self, sql: str) -> Rows:
        if self.table.traits.hides_transactions:
            raise SourceDenied("access denied: PROCESS")
        starts = [transaction.begun // SECOND for transaction in self.table.shown_transactions]
        if "concat('s', id)" in sql:
            return []
        if "trx_rows_modified" in sql:
            return [(f"t{id(transaction)}", "a connection") for transaction in self.table.shown_transactions]
        if "max(time)" in sql:
            return [(None, 0)]
        oldest = min(starts, default=None)
        return [(oldest, None if oldest is None else oldest - 3_600, 0, len(starts))]

    def _least_wall_time(self, sql: str) -> tuple[str, str]:
        zone, moments = self.table.traits.server_zone, re.findall(r"from_unixtime\((\d+)\.?(\d*)\)", sql)
        walls = [wall_time(int(s) * SECOND + int(f.ljust(6, "0")[:6]), zone) for s, f in moments]
        return zone, stamp(min(walls))


class SimulatedMysql(Mysql):
    def __init__(self, table: DatabaseTable, scheduler: Scheduler) -> None:
        self._table = table
        self._scheduler = scheduler

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        yield MysqlSession(self._table, self._scheduler)

    def table(self, dataset: Dataset) -> str:
        return "`t`"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        kind = self._table.traits.cursor if name == "at" else "int"
        return AxisColumn(name, kind, f"`t`.`{name}`", "bigint" if kind == "int" else "datetime(6)")

    def literal(self, column: AxisColumn, value: int | str) -> str:
        return str(microseconds(value) if isinstance(value, str) else value)

    def position(self, column: AxisColumn, sql: str) -> str:
        return f"({sql})"

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        return int(value) if column.kind == "int" else stamp(int(value))

    def lowest(self, column: AxisColumn) -> int | str:
        return -NEVER if column.kind == "int" else ZERO

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return TableSize(rows=len(self._table.of("all")), bytes_per_row=1.0)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        return None

    def notes(self, session: Session, spec: UnitSpec) -> dict[str, str]:
        return {}

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        return
