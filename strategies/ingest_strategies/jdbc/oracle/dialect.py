"""The dialect of Oracle 12.2 or newer: SQL, sessions, snapshots.

A unit is a table, view or materialized view; its segment is the whole table; an interval lies on a unique key or on the
cursor. Where the user may call DBMS_FLASHBACK, planner and readers see the database at one system change number
(https://docs.oracle.com/en/database/oracle/oracle-database/19/arpls/DBMS_FLASHBACK.html); else each slice is read in a
read-only transaction, which sees the database at a time of its own.
Rights: CREATE SESSION and SELECT on the tables; EXECUTE on DBMS_FLASHBACK and
FLASHBACK on the tables for the snapshot; SELECT on GV_$TRANSACTION so
that open transactions hold the horizon back.

CHAR is compared with its padding: a literal is CHAR, too, so `'a'` finds `'a   '`, as no bind variable would.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import cast

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import ConfigError, IngestError, SnapshotLost, SourceChanged, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.catalog_rows import require_same_columns
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, FetchedBatch, Kind, Session, TableSize
from ingest_strategies.jdbc.oracle.catalog import collect, describe, read_column_types, read_size
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.oracle.literals import LOWEST, literal
from ingest_strategies.jdbc.oracle.session import open_session
from ingest_strategies.jdbc.oracle.types import stamp
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

GRANT = "GRANT SELECT ON GV_$TRANSACTION so that open transactions are seen"
SCN = re.compile(r"[0-9]{1,20}\Z")
OLDEST = "SELECT TO_CHAR(CEIL((SYSDATE - MIN(start_date)) * 86400)) FROM gv$transaction WHERE status = 'ACTIVE'"


class Oracle(StandardSql):
    template = "jdbc.oracle"
    has_cheap_offset = True
    has_row_values = False
    keeps_session = False  # not measured yet

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(OracleConfig, endpoint)
        session = open_session(endpoint.endpoint_id, config)
        try:
            session.run("SET TRANSACTION READ ONLY")
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        versions = session.rows("SELECT version FROM product_component_version WHERE product LIKE 'Oracle%'")
        return f"Oracle {versions[0][0]}" if versions else "Oracle"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def limit_clause(self, limit: int, offset: int = 0, order: str = "") -> str:
        start = f"OFFSET {offset} ROWS FETCH NEXT" if offset else "FETCH FIRST"
        return f"{order} {start} {limit} ROWS ONLY"

    def remainder(self, value: str, divisor: int) -> str:
        return f"MOD({value}, {divisor})"

    def select_value(self, expression: str) -> str:
        return f"SELECT {expression} FROM dual"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column, fact = dataset.column(name), column_fact(dataset, name)
        if column is None or fact is None or fact[0] == "other":
            return None
        if is_cursor and fact[0] == "text" and collation_of(dataset, name):
            return None  # its own collation, which no index of a cursor follows
        return AxisColumn(name, cast("Kind", fact[0]), self.qualified_column(dataset, name), fact[1], column.nullable)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        return has_plain_index(dataset, columns)

    def literal(self, column: AxisColumn, value: int | str) -> str:
        return literal(column, value)

    def position(self, column: AxisColumn, sql: str) -> str:
        match column.kind:
            case "int" | "decimal":
                return f"TO_CHAR({sql}, 'TM9')"
            case "float":
                return f"TO_CHAR({sql})"
            case "bytes":
                return f"RAWTOHEX({sql})"
            case "timestamptz" if column.cast == "TIMESTAMP WITH TIME ZONE":
                return stamp(f"SYS_EXTRACT_UTC({sql})", 9)
            case "timestamp" | "timestamptz":
                return stamp(sql, 0 if column.cast == "DATE" else 9)
            case _:
                return sql

    def lowest(self, column: AxisColumn) -> int | str:
        return LOWEST.get(column.kind, "")

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        if isinstance(value, int):
            return self.literal(column, max(value - span, -(2**63)))
        literal = self.literal(column, value)
        if column.kind in ("decimal", "float"):
            return f"({literal} - {span})"
        if is_time(column):
            return f"({literal} - NUMTODSINTERVAL({span}, 'SECOND'))"  # of the literal's own type
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return read_size(session, spec.dataset, self.table(spec.dataset))

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        if not is_time(column):
            return counter_horizon(self, session, spec, column, table, watermark)
        # Without the grant Oracle answers that there is no such view.
        oldest_s, note = read_oldest_transaction(session, OLDEST, GRANT, SourceDenied, SourceChanged)
        return time_horizon(self, session, spec, column, ServerClock(clock_sql(column), oldest_s, note), watermark)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        """Enters flashback at the current change number where the user may; else the session keeps its read-only transaction."""
        if not spec.policy.snapshot:
            self.enter_snapshot(session, spec, None)
            return None
        try:
            scn = str(session.rows("SELECT TO_CHAR(DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER) FROM dual")[0][0])
            self.enter_snapshot(session, spec, scn)
            # The table has to allow it, too (the privilege FLASHBACK), and must be older than the change number.
            session.rows(f"SELECT 1 AS one FROM {self.table(spec.dataset)} {self.limit_clause(1)}")
            return scn
        except (SourceDenied, SourceChanged):
            self.leave_flashback(session, spec)
            return None

    def leave_flashback(self, session: Session, spec: UnitSpec) -> None:
        with suppress(
            SourceDenied, SourceChanged, ConfigError
        ):  # without the right to call it the session is not in flashback
            session.run("BEGIN DBMS_FLASHBACK.DISABLE; END;")
        self.enter_snapshot(session, spec, None)

    def enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        """Begins a new transaction: the one that `open` began sees an earlier state."""
        session.run("COMMIT")
        if snapshot is None:
            session.run("SET TRANSACTION READ ONLY")
            return
        if not SCN.match(snapshot):
            raise SourceUnavailable("the snapshot's name is not a change number of Oracle's")
        try:
            session.run(f"BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER({snapshot}); END;")
        except (SourceDenied, ConfigError):
            raise
        except IngestError as error:
            raise SnapshotLost(
                f"the database at change number {snapshot} can no longer be seen ({error.message})",
                hint="the run plans again; where undo is kept for too short a time, policy snapshot: false",
            ) from None

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        types = read_column_types(session, dataset)
        require_same_columns(types, dataset, names, "the table is gone, or may not be seen any more")

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[FetchedBatch]:
        return fetch_rows(session, spec.dataset, piece, source, context)


def clock_sql(column: AxisColumn) -> str:
    """The server's clock as a position. Without a zone it is the server's wall time or UTC, whichever is earlier."""
    utc = "SYS_EXTRACT_UTC(SYSTIMESTAMP)"
    return stamp(utc if column.kind == "timestamptz" else f"LEAST({utc}, CAST(SYSTIMESTAMP AS TIMESTAMP))", 6)


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Oracle())
