"""Oracle: its spelling, its sessions, its snapshot. Oracle 12.2 or newer.

A unit is a table, view or materialized view; its segment is the whole of it; an interval lies on a unique key or on the
cursor. Where the user may call DBMS_FLASHBACK, planner and readers see the database at one system change number
(https://docs.oracle.com/en/database/oracle/oracle-database/19/arpls/DBMS_FLASHBACK.html); else each slice is read in a
read-only transaction, which is one moment of its own.
Rights: CREATE SESSION and SELECT on the tables; EXECUTE on DBMS_FLASHBACK and
FLASHBACK on the tables for the snapshot; SELECT on GV_$TRANSACTION so
that open transactions hold the horizon back.

CHAR is compared with its padding: a literal is CHAR, too, so `'a'` finds `'a   '`, as no bind variable would.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import ConfigError, IngestError, SnapshotLost, SourceChanged, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, Fetched, Kind, Session, Size
from ingest_strategies.jdbc.oracle.catalog import collect, describe, drifted, size_of
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.oracle.literals import LOWEST, literal
from ingest_strategies.jdbc.oracle.session import connected
from ingest_strategies.jdbc.oracle.types import stamp
from ingest_strategies.jdbc.planning.lagged_horizon import Clock, is_time, of_counter, of_time
from ingest_strategies.jdbc.strategy import SqlStrategy
from ingest_strategies.jdbc.values.server_columns import collation_of, fact, fetched, is_indexed, quoted
from ingest_strategies.jdbc.values.text_times import earlier_text

GRANT = "GRANT SELECT ON GV_$TRANSACTION so that open transactions are seen"
SCN = re.compile(r"[0-9]{1,20}\Z")
OLDEST = "SELECT TO_CHAR(CEIL((SYSDATE - MIN(start_date)) * 86400)) FROM gv$transaction WHERE status = 'ACTIVE'"


class Oracle:
    template = "jdbc.oracle"
    has_cheap_offset = True
    has_row_values = False
    keeps_session = False  # nobody measured it

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(OracleConfig, endpoint)
        session = connected(endpoint.endpoint_id, config)
        try:
            session.run("SET TRANSACTION READ ONLY")
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        told = session.rows("SELECT version FROM product_component_version WHERE product LIKE 'Oracle%'")
        return f"Oracle {told[0][0]}" if told else "Oracle"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def quote(self, name: str) -> str:
        return quoted(name)

    def page(self, limit: int, offset: int = 0, order: str = "") -> str:
        start = f"OFFSET {offset} ROWS FETCH NEXT" if offset else "FETCH FIRST"
        return f"{order} {start} {limit} ROWS ONLY"

    def remainder(self, value: str, divisor: int) -> str:
        return f"MOD({value}, {divisor})"

    def scalar(self, expression: str) -> str:
        return f"SELECT {expression} FROM dual"

    def table(self, dataset: Dataset) -> str:
        return f"{quoted(str(dataset.facts['schema']))}.{quoted(str(dataset.facts['table']))}"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column, found = dataset.column(name), fact(dataset, name)
        if column is None or found is None or found[0] == "other":
            return None
        if is_cursor and found[0] == "text" and collation_of(dataset, name):
            return None  # its own collation, which no index of a cursor follows
        expression = f"{quoted(str(dataset.facts['table']))}.{quoted(name)}"
        return AxisColumn(name, cast("Kind", found[0]), expression, found[1], column.nullable)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        return is_indexed(dataset, columns)

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

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        if value is None:
            raise ValueError(f"no value of cursor '{column.name}'")
        return int(value) if column.kind == "int" else str(value)

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

    def size(self, session: Session, spec: UnitSpec) -> Size:
        return size_of(session, spec.dataset, self.table(spec.dataset))

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        if not is_time(column):
            return of_counter(self, session, spec, column, table, watermark)
        oldest, note = None, None
        try:
            told = session.rows(OLDEST)[0][0]
            oldest = None if told is None else max(0, int(told))
        except (SourceDenied, SourceChanged):  # Oracle denies by saying that there is no such view
            note = GRANT
        return of_time(self, session, spec, column, Clock(now(column), oldest, note), watermark)

    def begin(self, session: Session, spec: UnitSpec) -> str | None:
        """Enters flashback at the current change number, where the user may; else the transaction that is open."""
        if not spec.policy.snapshot:
            self.enter(session, None)
            return None
        try:
            scn = str(session.rows("SELECT TO_CHAR(DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER) FROM dual")[0][0])
            self.enter(session, scn)
            # Also the table has to allow it (the privilege FLASHBACK), and to be older than the change number.
            session.rows(f"SELECT 1 AS one FROM {self.table(spec.dataset)} {self.page(1)}")
            return scn
        except (SourceDenied, SourceChanged):
            self.leave(session)
            return None

    def leave(self, session: Session) -> None:
        with suppress(SourceDenied, SourceChanged, ConfigError):  # who may not call it, is not in flashback
            session.run("BEGIN DBMS_FLASHBACK.DISABLE; END;")
        self.enter(session, None)

    def enter(self, session: Session, snapshot: str | None) -> None:
        """A new transaction: the one that `open` began sees what was before."""
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


def now(column: AxisColumn) -> str:
    """The server's clock as a position. Without a zone it is the server's wall time or UTC, whichever is earlier."""
    utc = "SYS_EXTRACT_UTC(SYSTIMESTAMP)"
    return stamp(utc if column.kind == "timestamptz" else f"LEAST({utc}, CAST(SYSTIMESTAMP AS TIMESTAMP))", 6)


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Oracle())
