"""SQLite: its spelling and its sessions.

A unit is a table or view of the main database; its segment is the whole of it; an interval lies on the primary key, on
another unique key, on the rowid, or on the cursor. There is no snapshot that several connections share
(https://www.sqlite.org/isolation.html): each slice is read in one read transaction of its own.

Planner and readers both go through ADBC's SQLite, never through Python's `sqlite3`: two copies of the library in one
process drop each other's file locks (https://www.sqlite.org/howtocorrupt.html, 2.2.1).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote as url_quote

import adbc_driver_sqlite.dbapi as driver

from ingest_ray.sdk.contracts import Descriptor, ReadContext
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceChanged, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.config import SqliteConfig, parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, Fetched, Kind, Session, Size
from ingest_strategies.jdbc.sessions.adbc import AdbcSession
from ingest_strategies.jdbc.sqlite.catalog import collect, describe, drifted, quoted, size_of, text
from ingest_strategies.jdbc.sqlite.horizon import horizon_of
from ingest_strategies.jdbc.sqlite.reader import fetched
from ingest_strategies.jdbc.sqlite.types import stored
from ingest_strategies.jdbc.strategy import SqlStrategy
from ingest_strategies.jdbc.values.text_times import earlier_text

LOWEST: dict[str, int | str] = {"int": -(2**63), "decimal": "-9e999", "float": "-9e999"}
NUMBERS = frozenset({"int", "decimal", "float"})


class Sqlite:
    template = "jdbc.sqlite"
    has_cheap_offset = True
    has_row_values = True
    keeps_session = False  # opening a file costs nothing, and it may be replaced

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(SqliteConfig, endpoint)
        path = Path(config.path)
        if not path.is_file():
            raise ConfigError(f"endpoint '{endpoint.endpoint_id}': field 'path': there is no file '{config.path}'")

        def fault(message: str, state: str | None) -> IngestError:
            return fault_of(endpoint.endpoint_id, message)

        session = AdbcSession(lambda: driver.connect(uri(path, "ro"), autocommit=True), fault, ())
        try:
            session.rows(f"PRAGMA busy_timeout = {int(config.busy_timeout_s * 1000)}")
            session.rows("SELECT count(*) FROM sqlite_master")  # a file that is no database is told here
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        return f"SQLite {session.rows('SELECT sqlite_version()')[0][0]}"

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
        return f"main.{quoted(str(dataset.facts['table']))}"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column = dataset.column(name)
        if column is None:
            expression = f"{quoted(str(dataset.facts['table']))}.{name}"
            return AxisColumn(name, "int", expression, "") if name == dataset.facts.get("rowid") else None
        kind: Kind = stored(column.source_type).kind
        if kind == "other":
            return None
        collation = "BINARY" if is_cursor and kind not in NUMBERS else ""
        expression = f"{quoted(str(dataset.facts['table']))}.{quoted(name)}"
        return AxisColumn(name, kind, expression, "", column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        names = [column.name for column in columns]
        if names == [dataset.facts.get("rowid")]:
            return True
        indexes = dataset.facts.get("indexes")
        return isinstance(indexes, list) and any(
            isinstance(index, list) and index[: len(names)] == names for index in indexes
        )

    def literal(self, column: AxisColumn, value: int | str) -> str:
        if isinstance(value, int):
            return str(value) if value > -(2**63) else "(-9223372036854775807 - 1)"
        if column.kind == "bytes":
            return f"x'{bytes.fromhex(value).hex()}'"
        if column.kind in NUMBERS:
            return str(float(value)) if value in ("-9e999", "9e999") else text(value)
        return text(value)

    def position(self, column: AxisColumn, sql: str) -> str:
        if column.kind == "bytes":
            return f"CASE typeof({sql}) WHEN 'blob' THEN hex({sql}) END"
        if column.kind == "text":
            return f"CASE typeof({sql}) WHEN 'text' THEN {sql} END"
        # The tag tells a number from text in a column that may hold both; a blob has no spelling.
        return (
            f"CASE typeof({sql}) WHEN 'integer' THEN 'i' || {sql} WHEN 'real' THEN 'r' || printf('%!.17g', {sql})"
            f" WHEN 'text' THEN 't' || {sql} END"
        )

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        if column.kind in ("bytes", "text"):
            return str(value)
        tag, spelled = value[0], value[1:]
        return int(spelled) if tag == "i" else str(spelled)

    def lowest(self, column: AxisColumn) -> int | str:
        return LOWEST.get(column.kind, "")

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        if isinstance(value, int):
            return self.literal(column, max(value - span, LOWEST["int"] if isinstance(LOWEST["int"], int) else value))
        if column.kind in NUMBERS:
            return f"({float(value)!r} - {span})"
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> Size:
        return size_of(session, spec.dataset)

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        return horizon_of(self, session, spec, column, table, watermark)

    def begin(self, session: Session, spec: UnitSpec) -> str | None:
        return None

    def enter(self, session: Session, snapshot: str | None) -> None:
        """One statement is one read transaction; there is no snapshot to enter."""

    def allow_filter(self, session: Session) -> None:
        """Names mean the same in every session."""

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        change = drifted(session, dataset, names)
        if change:
            raise SourceChanged(f"{dataset.name}: {change}", hint="collect metadata again")

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[Fetched]:
        unit = parse_config(SqliteConfig, spec.endpoint).integer_time
        return fetched(session, spec.dataset, piece, source, context, unit)


def uri(path: Path, mode: str) -> str:
    return f"file:{url_quote(str(path.absolute()))}?mode={mode}"


def fault_of(endpoint_id: str, message: str) -> IngestError:
    """SQLite has no SQLSTATE: its messages are the interface that its own tools go by."""
    told = f"{endpoint_id}: {message}"
    if "no such table" in message or "no such column" in message:
        return SourceChanged(told, hint="collect metadata again")
    if "permission denied" in message or "not authorized" in message or "readonly database" in message:
        return SourceDenied(told)
    if "not a database" in message or "malformed" in message:
        return ConfigError(told, hint="field 'path': the file is damaged or is no SQLite database")
    if "syntax error" in message or "no such function" in message:
        return ConfigError(told, hint="check the policy's 'where'")
    return SourceUnavailable(told)


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Sqlite())
