"""The dialect of MySQL and MariaDB: SQL, sessions, transactions.

A unit is a table or view; its segment is the whole table; an interval lies on a unique key or on the cursor. Two
connections cannot share a snapshot: each slice is read in a consistent snapshot of its own
(https://mariadb.com/kb/en/start-transaction/), so a full load does not show the table at one time; an incremental unit catches
up from the horizon that was captured before its load.
Rights: SELECT on the tables; PROCESS for an exact horizon.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.catalog_rows import is_indexed, require_same_columns
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, FetchedBatch, Kind, Session, TableSize
from ingest_strategies.jdbc.log_strategy import LogStrategy
from ingest_strategies.jdbc.mysql.catalog import collect, describe, quoted, read_column_types, read_size, text_literal
from ingest_strategies.jdbc.mysql.changes.change_log import MysqlLog
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.error_codes import ERROR_CODES
from ingest_strategies.jdbc.mysql.horizon import find_horizon
from ingest_strategies.jdbc.mysql.reader import fetch_rows
from ingest_strategies.jdbc.mysql.session import MysqlSession
from ingest_strategies.jdbc.mysql.types import carrier_of
from ingest_strategies.jdbc.sessions.reach import reach
from ingest_strategies.jdbc.standard_sql import StandardSql
from ingest_strategies.jdbc.values.literals import require_form, require_utc_time
from ingest_strategies.jdbc.values.text_times import earlier_text

LOWEST: dict[str, int | str] = {
    "int": -(2**63),
    "decimal": "-1e66",
    "float": "-1.7976931348623157e308",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "0000-00-00",
    "timestamp": "0000-00-00 00:00:00",
    "timestamptz": "0000-00-00 00:00:00",
}
# The same text forms and meaning of statements on every server; a read-only session.
# A server's own `sql_select_limit` would cut results short without an error.
SETTINGS = {
    "sql_mode": "''",
    "time_zone": "'+00:00'",
    "sql_select_limit": "18446744073709551615",
    "sql_big_selects": "1",
    "sql_auto_is_null": "0",
    "net_write_timeout": "3600",
}
SYNTAX_MODES = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "HIGH_NOT_PRECEDENCE", "IGNORE_SPACE")
_NUMBER = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?\Z", re.IGNORECASE)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|\+00:?00)?\Z")


class Mysql(StandardSql):
    template = "jdbc.mysql"
    clock_s = "unix_timestamp(sysdate(6))"
    has_cheap_offset = True
    has_row_values = False  # they are supported, but do not use a range of an index
    keeps_session = True

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(MysqlConfig, endpoint)

        def fault(message: str, number: int) -> IngestError:
            return ERROR_CODES.error(number, f"{endpoint.endpoint_id}: {message}")

        with ExitStack() as stack:
            way = stack.enter_context(reach(endpoint.endpoint_id, config, config.host, config.port))
            session = MysqlSession(config, fault, way)
            stack.callback(session.close)
            is_mariadb = "MariaDB" in self.version(session)
            settings = SETTINGS | {"lock_wait_timeout": str(ceil(config.lock_timeout_s))}
            if not is_mariadb:
                settings["information_schema_stats_expiry"] = "0"
            if config.statement_timeout_s is not None and is_mariadb:
                settings["max_statement_time"] = str(config.statement_timeout_s)
            elif config.statement_timeout_s is not None:
                settings["max_execution_time"] = str(int(config.statement_timeout_s * 1000))
            session.run("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
            session.run("SET SESSION TRANSACTION READ ONLY")
            yield session

    def version(self, session: Session) -> str:
        version = str(session.rows("SELECT version()")[0][0])
        return version if "MariaDB" in version else f"MySQL {version}"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def quote(self, name: str) -> str:
        return quoted(name)

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column = dataset.column(name)
        types, charsets, collations = (dataset.facts.get(fact) for fact in ("types", "charsets", "collations"))
        if column is None or not isinstance(types, dict) or not isinstance(charsets, dict):
            return None
        charset = charsets.get(name)
        kind: Kind = carrier_of(str(types.get(name)), column.source_type, str(charset) if charset else None).kind
        if kind == "other" or column.logical == "json" or (kind == "enum" and is_cursor):
            return None
        own = collations.get(name) if isinstance(collations, dict) else None
        # A cursor of text is ordered by code points; a key by the order of its index.
        collation = f"{charset}_bin" if kind == "text" and is_cursor and not str(own).endswith("_bin") else ""
        expression = self.qualified_column(dataset, name)
        if kind == "enum":  # ordered by number, but compared with text as text: so its number is used everywhere
            return AxisColumn(name, "int", f"({expression} + 0)", "enum", column.nullable)
        form = column.source_type if kind in TIME_KINDS else str(types.get(name))
        return AxisColumn(name, kind, expression, form, column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        if any(column.collation or column.cast == "enum" for column in columns):
            return False
        return is_indexed(dataset, [column.name for column in columns])

    def literal(self, column: AxisColumn, value: int | str) -> str:
        """Free of quotes and backslashes that a sql_mode could read in two ways."""
        match column.kind:
            case "int":
                return str(int(value))
            case "decimal" | "float":
                return require_form(column, str(value), _NUMBER) + ("e0" if _is_plain(column, str(value)) else "")
            case "date" | "timestamp" | "timestamptz":
                return f"'{require_utc_time(column, str(value), _STAMP).replace('T', ' ')}'"
            case "bytes":
                return f"X'{bytes.fromhex(str(value)).hex()}'"
            case "uuid":
                return f"CAST({text_literal(str(value))} AS UUID)"
            case _:
                return text_literal(str(value))

    def position(self, column: AxisColumn, sql: str) -> str:
        match column.kind:
            case "int":
                return f"CAST({sql} AS CHAR)" if column.cast != "bit" else f"CAST({sql} + 0 AS CHAR)"
            case "float":
                return f"CAST(({sql}) * 1e0 AS CHAR)"
            case "bytes":
                return f"HEX({sql})"
            case "date":
                return f"CAST(CAST({sql} AS DATE) AS CHAR)"
            case "timestamp" | "timestamptz":
                return f"CAST(CAST({sql} AS DATETIME(6)) AS CHAR)"
            case _:
                return f"CAST({sql} AS CHAR)"

    def lowest(self, column: AxisColumn) -> int | str:
        return LOWEST.get(column.kind, "")

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        if isinstance(value, int):
            return self.literal(column, max(value - span, -(2**63)))
        literal = self.literal(column, value)
        if column.kind in ("decimal", "float"):
            return f"({literal} - {span})"
        if column.kind in TIME_KINDS:
            time = f"CAST({literal} AS DATETIME(6)) - INTERVAL {span} SECOND"
            return f"coalesce({time}, '{LOWEST[column.kind]}')"
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        selected = schema_of(spec.dataset, spec.policy.columns or None).names
        return read_size(session, spec.dataset, self.table(spec.dataset), selected)

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        return find_horizon(self, session, spec, column, table, watermark)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        """None: no other connection could see the same. A transaction of the planner would hold its lock on the table's
        definition during the whole load, and each ALTER TABLE would wait for it."""
        return None

    def enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        require_same_columns(read_column_types(session, dataset), dataset, names)

    def prepare_filter(self, session: Session) -> None:
        """A policy's own filter is written for the server's own rules of quotes and backslashes."""
        modes = str(session.rows("SELECT @@global.sql_mode")[0][0]).split(",")
        session.run(f"SET SESSION sql_mode = '{','.join(mode for mode in SYNTAX_MODES if mode in modes)}'")

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[FetchedBatch]:
        assert isinstance(session, MysqlSession)
        facts = spec.dataset.facts
        with session.giving_way(str(facts["schema"]), str(facts["table"])):
            yield from fetch_rows(session, spec.dataset, piece, source, context)


def _is_plain(column: AxisColumn, value: str) -> bool:
    """A double is written with an exponent: without one it would be a decimal."""
    return column.kind == "float" and "e" not in value.lower()


def strategy(descriptor: Descriptor) -> LogStrategy:
    dialect = Mysql()
    return LogStrategy(descriptor, dialect, MysqlLog(dialect))
