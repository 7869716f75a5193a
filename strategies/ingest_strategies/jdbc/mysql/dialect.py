"""MySQL and MariaDB: their spelling and their sessions.

A unit is a table or view; its segment is the whole of it; an interval lies on a unique key or on the cursor. There is no
snapshot that two connections share: each slice is read in a consistent snapshot of its own
(https://mariadb.com/kb/en/start-transaction/), so a full load is not one moment of the table; an incremental unit catches
up from the horizon that was captured before its load.
Rights: SELECT on the tables; PROCESS so that the horizon can be told exactly.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceChanged, SourceDenied, SourceError, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import TIME_KINDS, AxisColumn, Fetched, Kind, Session, Size
from ingest_strategies.jdbc.mysql.catalog import collect, describe, drifted, quoted, size_of, text
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.horizon import horizon_of
from ingest_strategies.jdbc.mysql.reader import fetched
from ingest_strategies.jdbc.mysql.session import MysqlSession
from ingest_strategies.jdbc.mysql.types import carried
from ingest_strategies.jdbc.strategy import SqlStrategy
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
# How values are written and what statements mean, the same on every server; and nothing may be written.
# `sql_select_limit` of a server would end results early without a word.
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


class Mysql:
    template = "jdbc.mysql"
    has_cheap_offset = True
    has_row_values = False  # they are understood, but no range of an index is found by them
    keeps_session = True

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(MysqlConfig, endpoint)
        session = MysqlSession(config, lambda message, number: fault_of(endpoint.endpoint_id, message, number))
        try:
            is_mariadb = "MariaDB" in self.version(session)
            settings = dict(SETTINGS)
            if not is_mariadb:
                settings["information_schema_stats_expiry"] = "0"
            if config.statement_timeout_s is not None and is_mariadb:
                settings["max_statement_time"] = str(config.statement_timeout_s)
            elif config.statement_timeout_s is not None:
                settings["max_execution_time"] = str(int(config.statement_timeout_s * 1000))
            session.run("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
            session.run("SET SESSION TRANSACTION READ ONLY")
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        told = str(session.rows("SELECT version()")[0][0])
        return told if "MariaDB" in told else f"MySQL {told}"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def quote(self, name: str) -> str:
        return quoted(name)

    def page(self, limit: int, offset: int = 0, order: str = "") -> str:
        return f"{order} LIMIT {limit} OFFSET {offset}" if offset else f"{order} LIMIT {limit}"

    def remainder(self, value: str, divisor: int) -> str:
        return f"{value} % {divisor}"

    def scalar(self, expression: str) -> str:
        return f"SELECT {expression}"

    def table(self, dataset: Dataset) -> str:
        return f"{quoted(str(dataset.facts['schema']))}.{quoted(str(dataset.facts['table']))}"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column = dataset.column(name)
        types, charsets, collations = (dataset.facts.get(word) for word in ("types", "charsets", "collations"))
        if column is None or not isinstance(types, dict) or not isinstance(charsets, dict):
            return None
        charset = charsets.get(name)
        kind: Kind = carried(str(types.get(name)), column.source_type, str(charset) if charset else None).kind
        if kind == "other" or column.logical == "json" or (kind == "enum" and is_cursor):
            return None
        own = collations.get(name) if isinstance(collations, dict) else None
        # A cursor of text is followed in the order of its code points; a key in whatever order its index has.
        collation = f"{charset}_bin" if kind == "text" and is_cursor and not str(own).endswith("_bin") else ""
        expression = f"{quoted(str(dataset.facts['table']))}.{quoted(name)}"
        if kind == "enum":  # ordered by number, compared with text as text: so it is always taken as its number
            return AxisColumn(name, "int", f"({expression} + 0)", "enum", column.nullable)
        form = column.source_type if kind in TIME_KINDS else str(types.get(name))
        return AxisColumn(name, kind, expression, form, column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        if any(column.collation or column.cast == "enum" for column in columns):
            return False
        names = [column.name for column in columns]
        indexes = dataset.facts.get("indexes")
        return isinstance(indexes, list) and any(
            isinstance(index, list) and index[: len(names)] == names for index in indexes
        )

    def literal(self, column: AxisColumn, value: int | str) -> str:
        """Free of quotes and backslashes that a sql_mode could read in two ways."""
        match column.kind:
            case "int":
                return str(int(value))
            case "decimal" | "float":
                return checked(column, str(value), _NUMBER) + ("e0" if _is_plain(column, str(value)) else "")
            case "date" | "timestamp" | "timestamptz":
                written = re.sub(r"(Z|\+00:?00)\Z", "", checked(column, str(value), _STAMP)).replace("T", " ")
                return f"'{written}'"
            case "bytes":
                return f"X'{bytes.fromhex(str(value)).hex()}'"
            case "uuid":
                return f"CAST({text(str(value))} AS UUID)"
            case _:
                return text(str(value))

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
        if column.kind in TIME_KINDS:
            moved = f"CAST({literal} AS DATETIME(6)) - INTERVAL {span} SECOND"
            return f"coalesce({moved}, '{LOWEST[column.kind]}')"
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> Size:
        return size_of(session, spec.dataset, self.table(spec.dataset))

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        return horizon_of(self, session, spec, column, table, watermark)

    def begin(self, session: Session, spec: UnitSpec) -> str | None:
        """The planner sees one moment of the table; nobody else can see the same."""
        if spec.policy.snapshot:
            session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return None

    def enter(self, session: Session, snapshot: str | None) -> None:
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        change = drifted(session, dataset, names)
        if change:
            raise SourceChanged(f"{dataset.name}: {change}", hint="collect metadata again")

    def allow_filter(self, session: Session) -> None:
        """A policy's own filter is written for the server's own way of reading quotes and backslashes."""
        given = str(session.rows("SELECT @@global.sql_mode")[0][0]).split(",")
        session.run(f"SET SESSION sql_mode = '{','.join(mode for mode in SYNTAX_MODES if mode in given)}'")

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[Fetched]:
        return fetched(session, spec.dataset, piece, source, context)


def checked(column: AxisColumn, value: str, form: re.Pattern[str]) -> str:
    if not form.match(value):
        raise ConfigError(f"cursor '{column.name}': '{value[:40]}' is no {column.kind}")
    return value


def _is_plain(column: AxisColumn, value: str) -> bool:
    """A double is written with an exponent, lest it be taken for a decimal."""
    return column.kind == "float" and "e" not in value.lower()


def fault_of(endpoint_id: str, message: str, number: int) -> IngestError:
    """An error by its number, https://mariadb.com/kb/en/mariadb-error-code-reference/."""
    told = f"{endpoint_id}: {message}"
    if number in (1044, 1045, 1142, 1143, 1227, 1370, 1410, 1698, 3118, 3159):
        return SourceDenied(told, hint="check user and password, and GRANT SELECT on the table")
    if number == 1049:
        return ConfigError(told, hint="field 'database'")
    if number in (1051, 1054, 1146, 1356, 1412):
        return SourceChanged(told, hint="collect metadata again")
    if number in (1064, 1305, 1525, 1582):
        return ConfigError(told, hint="check the policy's 'where'")
    if number in (1267, 1366, 1411, 1690, 1792):
        return SourceError(told)
    return SourceUnavailable(told)


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Mysql())
