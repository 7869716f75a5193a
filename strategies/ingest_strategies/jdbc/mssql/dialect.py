"""SQL Server 2016 or newer, and Azure SQL: its spelling, its sessions.

A unit is a table or view; its segment is the whole of it; an interval lies on a unique key or on the cursor. There is no
snapshot that two connections share: each slice is read under SNAPSHOT isolation, where the database allows it, or as one
statement over row versions. A database without row versions is refused, because rows that move while they are read
would be missed; or it is read with locks (`isolation: serializable`).
Rights: SELECT on the tables; VIEW SERVER STATE (2022: VIEW SERVER PERFORMANCE STATE) so that open transactions hold the
horizon back; a cursor of type rowversion needs no right, and has an exact horizon.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import ConfigError, SourceChanged, SourceDenied
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, Fetched, Kind, Session, Size
from ingest_strategies.jdbc.mssql.catalog import COUNT_LIMIT, collect, describe, drifted, size_of
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.mssql.literals import ROWVERSION, literal, lowest
from ingest_strategies.jdbc.mssql.session import connected
from ingest_strategies.jdbc.planning.lagged_horizon import Clock, is_time, of_counter, of_time
from ingest_strategies.jdbc.strategy import SqlStrategy
from ingest_strategies.jdbc.values.server_columns import collation_of, fact, fetched, is_indexed, quoted
from ingest_strategies.jdbc.values.text_times import earlier_text

GRANT = "GRANT VIEW SERVER STATE so that open transactions are seen"
# Kinds of transactions: 1 reads and writes, 4 is distributed; 2 only reads, 3 is the server's own.
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


class Mssql:
    template = "jdbc.mssql"
    has_cheap_offset = True
    has_row_values = False
    keeps_session = False  # nobody measured it

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        """What is not committed when a connection ends is undone: nothing is ever committed here."""
        config = parse_config(MssqlConfig, endpoint)
        session = connected(endpoint.endpoint_id, config)
        try:
            session.run(f"SET TRANSACTION ISOLATION LEVEL {isolation(session, config)}")
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        told = session.rows("SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))")
        return f"SQL Server {told[0][0]}"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def quote(self, name: str) -> str:
        return quoted(name)

    def page(self, limit: int, offset: int = 0, order: str = "") -> str:
        return f"{order or 'ORDER BY (SELECT NULL)'} OFFSET {offset} ROWS FETCH NEXT {limit} ROWS ONLY"

    def remainder(self, value: str, divisor: int) -> str:
        return f"{value} % {divisor}"

    def scalar(self, expression: str) -> str:
        return f"SELECT {expression}"

    def table(self, dataset: Dataset) -> str:
        return f"{quoted(str(dataset.facts['schema']))}.{quoted(str(dataset.facts['table']))}"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column, found = dataset.column(name), fact(dataset, name)
        if column is None or found is None or found[0] == "other":
            return None
        kind, form = cast("Kind", found[0]), found[1]
        expression = f"{quoted(str(dataset.facts['table']))}.{quoted(name)}"
        collation = ""
        if kind == "text" and is_cursor and not collation_of(dataset, name).endswith("_BIN2"):
            # A cursor of text is followed by its code points; only Unicode has those of every collation.
            expression = f"CAST({expression} AS nvarchar(4000))" if form else expression
            collation, form = BINARY, ""
        return AxisColumn(name, kind, expression, form, column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        return is_indexed(dataset, columns)

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

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        if value is None:
            raise ValueError(f"no value of cursor '{column.name}'")
        return int(value) if column.kind == "int" else str(value)

    def lowest(self, column: AxisColumn) -> int | str:
        return lowest(column)

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        if isinstance(value, int):
            return self.literal(column, max(value - span, 0 if column.cast == ROWVERSION else -(2**63)))
        literal = self.literal(column, value)
        if column.kind in ("decimal", "float"):
            return f"({literal} - {span})"
        if is_time(column):
            # DATEADD takes 32 bits: days and seconds apart. A date knows no seconds.
            days, seconds = divmod(span, 86_400)
            whole = f"CAST({literal} AS datetime2(7))" if column.kind == "date" else literal
            moved = f"DATEADD(second, {-seconds}, DATEADD(day, {-days}, {whole}))"
            return f"CAST({moved} AS date)" if column.kind == "date" else moved
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> Size:
        return size_of(session, spec.dataset, self.table(spec.dataset), self.page(COUNT_LIMIT + 1))

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        if column.cast == ROWVERSION:
            return of_rowversion(session, spec)
        if not is_time(column):
            return of_counter(self, session, spec, column, table, watermark)
        oldest, note = None, None
        try:
            told = session.rows(OLDEST)[0][0]
            oldest = None if told is None else max(0, int(told))
        except SourceDenied:
            note = GRANT
        return of_time(self, session, spec, column, Clock(self.position(column, now(column)), oldest, note), watermark)

    def begin(self, session: Session, spec: UnitSpec) -> str | None:
        """The planner sees one moment of the table; nobody else can see the same."""
        if spec.policy.snapshot:
            self.enter(session, None)
        return None

    def enter(self, session: Session, snapshot: str | None) -> None:
        session.run("BEGIN TRANSACTION")

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        change = drifted(session, dataset, names)
        if change:
            raise SourceChanged(f"{dataset.name}: {change}", hint="collect metadata again")

    def allow_filter(self, session: Session) -> None:
        """Names mean the same in every session of one user."""

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[Fetched]:
        table = quoted(str(spec.dataset.facts["table"]))
        return fetched(session, spec.dataset, piece, source, context, table)


def of_rowversion(session: Session, spec: UnitSpec) -> Horizon:
    """Every rowversion below it is of a transaction that has ended, at the server where transactions are.

    https://learn.microsoft.com/en-us/sql/t-sql/functions/min-active-rowversion-transact-sql
    """
    told = session.rows(f"SELECT CONVERT(bigint, MIN_ACTIVE_ROWVERSION()), {UPDATEABILITY}")[0]
    if told[1] == "READ_ONLY":
        raise ConfigError(
            f"{spec.unit_id}: a read-only copy of a database does not know which rowversions are still open",
            hint="connect to the primary; or a cursor of time, with a policy.lag that is longer than the copy's delay",
        )
    return Horizon(value=(int(told[0]),), method="lowest rowversion of an open transaction")


def isolation(session: Session, config: MssqlConfig) -> str:
    if config.isolation == "serializable":
        return "SERIALIZABLE"
    found = session.rows(VERSIONS)
    allows_snapshot, has_versions = found[0] if found else (0, 0)
    if int(allows_snapshot or 0) == 1:
        return "SNAPSHOT"
    if has_versions:
        return "READ COMMITTED"
    raise ConfigError(
        "the database keeps no row versions, so rows that move while they are read would be missed",
        hint="ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON; or isolation: serializable, which locks what is read",
    )


def now(column: AxisColumn) -> str:
    """The server's clock in the column's type. Without a zone it is the server's wall time or UTC, whichever is earlier."""
    if column.kind == "timestamptz":
        return f"CAST(SYSDATETIMEOFFSET() AS {column.cast})"
    earlier = "CASE WHEN SYSUTCDATETIME() < SYSDATETIME() THEN SYSUTCDATETIME() ELSE SYSDATETIME() END"
    return f"CAST({earlier} AS {column.cast})"


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Mssql())
