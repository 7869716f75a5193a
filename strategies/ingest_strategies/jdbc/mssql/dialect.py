"""The dialect of SQL Server 2016 or newer, and of Azure SQL: SQL, sessions, isolation.

A unit is a table or view; its segment is the whole table; an interval lies on a unique key or on the cursor. Two
connections cannot share a snapshot: each slice is read under SNAPSHOT isolation, where the database allows it, or as one
statement over row versions. A database without row versions is refused, because rows that move while they are read
would be missed; or it is read with locks (`isolation: serializable`).
Rights: SELECT on the tables; VIEW SERVER STATE (2022: VIEW SERVER PERFORMANCE STATE) so that open transactions hold the
horizon back; a cursor of type rowversion needs no right, and has an exact horizon.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import ConfigError, SourceDenied
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.catalog_rows import require_same_columns
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, FetchedBatch, Kind, Session, TableSize
from ingest_strategies.jdbc.mssql.catalog import COUNT_LIMIT, collect, describe, read_column_types, read_size
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.mssql.literals import ROWVERSION, literal, lowest
from ingest_strategies.jdbc.mssql.session import open_session
from ingest_strategies.jdbc.planning.lagged_horizon import (
    ServerClock,
    counter_horizon,
    is_time,
    read_oldest_transaction,
    time_horizon,
)
from ingest_strategies.jdbc.standard_sql import StandardSql
from ingest_strategies.jdbc.strategy import SqlStrategy
from ingest_strategies.jdbc.values.server_columns import collation_of, column_fact, fetch_rows, has_plain_index
from ingest_strategies.jdbc.values.text_times import earlier_text

GRANT = "GRANT VIEW SERVER STATE so that open transactions are seen"
# Kinds of transactions: 1 reads and writes, 4 is distributed; 2 only reads, 3 belongs to the server.
# https://learn.microsoft.com/en-us/sql/relational-databases/system-dynamic-management-views/sys-dm-tran-active-transactions-transact-sql
OLDEST = (
    "SELECT DATEDIFF(second, MIN(transaction_begin_time), GETDATE()) FROM sys.dm_tran_active_transactions"
    " WHERE transaction_type IN (1, 4) AND transaction_id <> CURRENT_TRANSACTION_ID()"
)
VERSIONS = (
    "SELECT snapshot_isolation_state, CASE WHEN is_read_committed_snapshot_on = 1 THEN 1 ELSE 0 END FROM sys.databases"
    " WHERE name = DB_NAME()"
)
UPDATEABILITY = "CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Updateability'))"
BINARY = "Latin1_General_BIN2"  # by code points


class Mssql(StandardSql):
    template = "jdbc.mssql"
    has_cheap_offset = True
    has_row_values = False
    keeps_session = False  # not measured yet

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        """Nothing is ever committed: the end of the connection undoes its transaction."""
        config = parse_config(MssqlConfig, endpoint)
        session = open_session(endpoint.endpoint_id, config)
        try:
            session.run(f"SET TRANSACTION ISOLATION LEVEL {isolation(session, config)}")
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        version = session.rows("SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))")
        return f"SQL Server {version[0][0]}"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def limit_clause(self, limit: int, offset: int = 0, order: str = "") -> str:
        return f"{order or 'ORDER BY (SELECT NULL)'} OFFSET {offset} ROWS FETCH NEXT {limit} ROWS ONLY"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column, fact = dataset.column(name), column_fact(dataset, name)
        if column is None or fact is None or fact[0] == "other":
            return None
        kind, form = cast("Kind", fact[0]), fact[1]
        expression = self.qualified_column(dataset, name)
        collation = ""
        if kind == "text" and is_cursor and not collation_of(dataset, name).endswith("_BIN2"):
            # A cursor of text is ordered by code points; only Unicode has those of every collation.
            expression = f"CAST({expression} AS nvarchar(4000))" if form else expression
            collation, form = BINARY, ""
        return AxisColumn(name, kind, expression, form, column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        return has_plain_index(dataset, columns)

    def literal(self, column: AxisColumn, value: int | str) -> str:
        return literal(column, value)

    def position(self, column: AxisColumn, sql: str) -> str:
        match column.kind:
            case "int" if column.cast == ROWVERSION:
                return f"CONVERT(bigint, {sql})"
            case "decimal":
                return f"CONVERT(varchar(60), {sql}{', 2' if 'money' in column.cast else ''})"
            case "float":
                return f"CONVERT(varchar(60), {sql}, 3)"
            case "date":
                return f"CONVERT(char(10), {sql}, 23)"
            case "timestamp":
                return f"CONVERT(varchar(27), {sql}, 126)"
            case "timestamptz":
                return f"CONVERT(varchar(27), CAST(SWITCHOFFSET({sql}, '+00:00') AS datetime2(7)), 126)"
            case "uuid":
                return f"CONVERT(char(36), {sql})"
            case "bytes":
                return f"CONVERT(varchar(max), {sql}, 2)"
            case _:
                return sql

    def lowest(self, column: AxisColumn) -> int | str:
        return lowest(column)

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        if isinstance(value, int):
            return self.literal(column, max(value - span, 0 if column.cast == ROWVERSION else -(2**63)))
        literal = self.literal(column, value)
        if column.kind in ("decimal", "float"):
            return f"({literal} - {span})"
        if is_time(column):
            # DATEADD takes 32 bits: days and seconds are subtracted separately. A date has no seconds.
            days, seconds = divmod(span, 86_400)
            time = f"CAST({literal} AS datetime2(7))" if column.kind == "date" else literal
            time = f"DATEADD(second, {-seconds}, DATEADD(day, {-days}, {time}))"
            return f"CAST({time} AS date)" if column.kind == "date" else time
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return read_size(session, spec.dataset, self.table(spec.dataset), self.limit_clause(COUNT_LIMIT + 1))

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        if column.cast == ROWVERSION:
            return rowversion_horizon(session, spec)
        if not is_time(column):
            return counter_horizon(self, session, spec, column, table, watermark)
        oldest_s, note = read_oldest_transaction(session, OLDEST, GRANT, SourceDenied)
        clock = ServerClock(self.position(column, clock_sql(column)), oldest_s, note)
        return time_horizon(self, session, spec, column, clock, watermark)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        """The planner sees the table at one time; no other connection can see the same."""
        if spec.policy.snapshot:
            self.enter_snapshot(session, spec, None)
        return None

    def enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        session.run("BEGIN TRANSACTION")

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        types = read_column_types(session, dataset)
        require_same_columns(types, dataset, names, "the table is gone, or may not be seen any more")

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[FetchedBatch]:
        return fetch_rows(session, spec.dataset, piece, source, context)


def rowversion_horizon(session: Session, spec: UnitSpec) -> Horizon:
    """Every rowversion below it belongs to a transaction that has ended, on the primary server.

    https://learn.microsoft.com/en-us/sql/t-sql/functions/min-active-rowversion-transact-sql
    """
    lowest_active, updateability = session.rows(f"SELECT CONVERT(bigint, MIN_ACTIVE_ROWVERSION()), {UPDATEABILITY}")[0]
    if updateability == "READ_ONLY":
        raise ConfigError(
            f"{spec.unit_id}: a read-only copy of a database does not show which rowversions are still open",
            hint="connect to the primary; or a cursor of time, with a policy.lag that is longer than the copy's delay",
        )
    return Horizon(value=(int(lowest_active),), method="lowest rowversion of an open transaction")


def isolation(session: Session, config: MssqlConfig) -> str:
    if config.isolation == "serializable":
        return "SERIALIZABLE"
    versions = session.rows(VERSIONS)
    allows_snapshot, has_versions = versions[0] if versions else (0, 0)
    if int(allows_snapshot or 0) == 1:
        return "SNAPSHOT"
    if has_versions:
        return "READ COMMITTED"
    raise ConfigError(
        "the database keeps no row versions, so rows that move while they are read would be missed",
        hint="ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON; or isolation: serializable, which locks the rows that are read",
    )


def clock_sql(column: AxisColumn) -> str:
    """The server's clock in the column's type. Without a zone it is the server's wall time or UTC, whichever is earlier."""
    if column.kind == "timestamptz":
        return f"CAST(SYSDATETIMEOFFSET() AS {column.cast})"
    earlier_time = "CASE WHEN SYSUTCDATETIME() < SYSDATETIME() THEN SYSUTCDATETIME() ELSE SYSDATETIME() END"
    return f"CAST({earlier_time} AS {column.cast})"


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Mssql())
