"""The dialect of SQLite: SQL and sessions.

A unit is a table or view of the main database; its segment is the whole table; an interval lies on the primary key, on
another unique key, on the rowid, or on the cursor. Connections cannot share a snapshot
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
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceChanged, SourceDenied, SourceLocked, SourceUnavailable
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec
from ingest_strategies.jdbc.catalog_rows import is_indexed, require_same_columns
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn, FetchedBatch, Kind, Session, TableSize
from ingest_strategies.jdbc.sessions.adbc import AdbcSession
from ingest_strategies.jdbc.sqlite.catalog import collect, describe, read_column_types, read_size, text_literal
from ingest_strategies.jdbc.sqlite.config import SqliteConfig
from ingest_strategies.jdbc.sqlite.horizon import find_horizon
from ingest_strategies.jdbc.sqlite.reader import fetch_rows
from ingest_strategies.jdbc.sqlite.types import carrier_of, effective_type
from ingest_strategies.jdbc.standard_sql import StandardSql
from ingest_strategies.jdbc.strategy import SqlStrategy
from ingest_strategies.jdbc.values.text_times import earlier_text

LOWEST: dict[str, int | str] = {"int": -(2**63), "decimal": "-9e999", "float": "-9e999"}
NUMBERS = frozenset({"int", "decimal", "float"})


class Sqlite(StandardSql):
    template = "jdbc.sqlite"
    clock_s = "(julianday('now') - 2440587.5) * 86400.0"
    are_times_text = True
    has_cheap_offset = True
    has_row_values = True
    keeps_session = False  # opening a file is cheap, and the file may be replaced

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[Session]:
        config = parse_config(SqliteConfig, endpoint)
        path = Path(config.path)
        if not path.is_file():
            raise ConfigError(f"endpoint '{endpoint.endpoint_id}': field 'path': there is no file '{config.path}'")

        def fault(message: str, state: str | None) -> IngestError:
            return fault_of(endpoint.endpoint_id, message)

        peer = DatabasePeer("sqlite", namespace=path.name)
        session = AdbcSession(lambda: driver.connect(file_uri(path, "ro"), autocommit=True), fault, (), peer)
        try:
            session.rows(f"PRAGMA busy_timeout = {int(config.busy_timeout_s * 1000)}")
            session.rows("SELECT count(*) FROM sqlite_master")  # fails here where the file is no database
            yield session
        finally:
            session.close()

    def version(self, session: Session) -> str:
        return f"SQLite {session.rows('SELECT sqlite_version()')[0][0]}"

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]:
        return collect(endpoint, session)

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        return describe(endpoint, session, dataset)

    def table(self, dataset: Dataset) -> str:
        return f"main.{self.quote(str(dataset.facts['table']))}"

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        column = dataset.column(name)
        if column is None:
            expression = f"{self.quote(str(dataset.facts['table']))}.{name}"
            return AxisColumn(name, "int", expression, "") if name == dataset.facts.get("rowid") else None
        kind: Kind = carrier_of(effective_type(dataset, column)).kind
        if kind == "other":
            return None
        collation = "BINARY" if is_cursor and kind not in NUMBERS else ""
        expression = self.qualified_column(dataset, name)
        return AxisColumn(name, kind, expression, "", column.nullable, collation)

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool:
        names = [column.name for column in columns]
        return names == [dataset.facts.get("rowid")] or is_indexed(dataset, names)

    def literal(self, column: AxisColumn, value: int | str) -> str:
        if isinstance(value, int):
            return str(value) if value > -(2**63) else "(-9223372036854775807 - 1)"
        if column.kind == "bytes":
            return f"x'{bytes.fromhex(value).hex()}'"
        if column.kind in NUMBERS:
            return str(float(value)) if value in ("-9e999", "9e999") else text_literal(value)
        return text_literal(value)

    def position(self, column: AxisColumn, sql: str) -> str:
        if column.kind == "bytes":
            return f"CASE typeof({sql}) WHEN 'blob' THEN hex({sql}) END"
        if column.kind == "text":
            return f"CASE typeof({sql}) WHEN 'text' THEN {sql} END"
        # The tag distinguishes numbers and text in a column that may hold both; a blob has no position.
        return (
            f"CASE typeof({sql}) WHEN 'integer' THEN 'i' || {sql} WHEN 'real' THEN 'r' || printf('%!.17g', {sql})"
            f" WHEN 'text' THEN 't' || {sql} END"
        )

    def decode(self, column: AxisColumn, value: Any) -> int | str:
        if column.kind in ("bytes", "text"):
            return str(value)
        tag, item = value[0], value[1:]
        return int(item) if tag == "i" else str(item)

    def lowest(self, column: AxisColumn) -> int | str:
        return LOWEST.get(column.kind, "")

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        if isinstance(value, int):
            return self.literal(column, max(value - span, LOWEST["int"] if isinstance(LOWEST["int"], int) else value))
        if column.kind in NUMBERS:
            return f"({float(value)!r} - {span})"
        return self.literal(column, earlier_text(column.name, value, span))

    def size(self, session: Session, spec: UnitSpec) -> TableSize:
        return read_size(session, spec.dataset)

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon:
        return find_horizon(self, session, spec, column, table, watermark)

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        return None

    def enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        """One statement is one read transaction; there is no snapshot to enter."""

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        require_same_columns(read_column_types(session, dataset), dataset, names)

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[FetchedBatch]:
        declared = parse_config(SqliteConfig, spec.endpoint).integer_time
        return fetch_rows(session, spec.dataset, piece, source, context, declared)


def file_uri(path: Path, mode: str) -> str:
    return f"file:{url_quote(str(path.absolute()))}?mode={mode}"


def fault_of(endpoint_id: str, message: str) -> IngestError:
    """By the message: SQLite has no SQLSTATE, and its own tools recognise errors by their messages."""
    text = f"{endpoint_id}: {message}"
    if "no such table" in message or "no such column" in message:
        return SourceChanged(text, hint="collect metadata again")
    if "permission denied" in message or "not authorized" in message or "readonly database" in message:
        return SourceDenied(text)
    if "not a database" in message or "malformed" in message:
        return ConfigError(text, hint="field 'path': the file is damaged or is no SQLite database")
    if "is locked" in message:
        return SourceLocked(text, hint="another process writes: it is waited for as long as 'busy_timeout_s' says")
    if "syntax error" in message or "no such function" in message:
        return ConfigError(text, hint="check the policy's 'where'")
    return SourceUnavailable(text)


def strategy(descriptor: Descriptor) -> SqlStrategy:
    return SqlStrategy(descriptor, Sqlite())
