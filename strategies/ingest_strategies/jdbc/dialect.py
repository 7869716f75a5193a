"""The protocol of one database: how it writes SQL, what its catalog says, how it is read.

Axes, cuts and scopes are written once, over this protocol; a new database is one more implementation of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.types import Dataset, Endpoint, Horizon, Position, Slice, UnitSpec

Kind = Literal[
    "int", "decimal", "float", "text", "bytes", "uuid", "date", "timestamp", "timestamptz", "enum", "tid", "other"
]

CURSOR_KINDS = frozenset({"int", "decimal", "float", "text", "uuid", "date", "timestamp", "timestamptz"})
KEY_KINDS = CURSOR_KINDS | {"bytes", "enum"}
TIME_KINDS = frozenset({"date", "timestamp", "timestamptz"})


@dataclass(frozen=True)
class AxisColumn:
    """One column of an axis: its expression, the type of its literals, and the collation that orders it where that is
    not the column's own."""

    name: str
    kind: Kind
    expression: str
    cast: str
    is_nullable: bool = False
    collation: str = ""

    @property
    def sql(self) -> str:
        return f"{self.expression} COLLATE {self.collation}" if self.collation else self.expression

    def with_expression(self, expression: str) -> Self:
        return replace(self, expression=expression)


@dataclass(frozen=True)
class TableSize:
    """The size of a table, without reading it; `blocks` are those of a heap that has physical addresses."""

    rows: int | None = None
    bytes: int | None = None
    bytes_per_row: float | None = None
    blocks: int | None = None
    block_bytes: int = 8192
    file_node: int | None = None
    """Changes when a heap is rewritten: physical addresses from before are then invalid."""


@dataclass(frozen=True)
class FetchedBatch:
    """One batch of rows that fit, and how many were read for it."""

    batch: pa.RecordBatch
    rows_read: int


class Session(Protocol):
    """One read-only connection. Errors are already those of `ingest_ray.sdk.errors`, without secrets."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def run(self, sql: str) -> None: ...

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]: ...


class SqlSyntax(Protocol):
    """How a database writes what the planner needs besides positions; `StandardSql` implements it."""

    def quote(self, name: str) -> str: ...

    def limit_clause(self, limit: int, offset: int = 0, order: str = "") -> str:
        """The end of a SELECT that takes `limit` rows after `offset` others, in this order or in any."""
        ...

    def remainder(self, value: str, divisor: int) -> str:
        """An expression for the remainder of a whole number's division."""
        ...

    def select_value(self, expression: str) -> str:
        """A SELECT of one expression over no table."""
        ...

    def table(self, dataset: Dataset) -> str: ...


class AxisSyntax(Protocol):
    """How a database writes positions of an axis, and how they are read back."""

    def literal(self, column: AxisColumn, value: int | str) -> str: ...

    def position(self, column: AxisColumn, sql: str) -> str:
        """An expression for one item of a position, in a form that `decode` reads; NULL where the value has none."""
        ...

    def decode(self, column: AxisColumn, value: Any) -> int | str: ...

    def lowest(self, column: AxisColumn) -> int | str:
        """Not above any value of the column."""
        ...

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        """An expression for the value that lies `span` (seconds; units of a number) below another."""
        ...


class Dialect(SqlSyntax, AxisSyntax, Protocol):
    template: str
    has_cheap_offset: bool
    """Whether `ORDER BY indexed OFFSET n LIMIT 1` walks the index."""
    has_row_values: bool
    """Whether `(a, b) >= (1, 2)` is supported, and uses an index."""

    keeps_session: bool
    """Whether one session may serve the short queries of many units: connecting is costly, and every statement sees what is
    committed."""

    clock_s: str
    """An expression for the server's clock in seconds since 1970; empty where horizons do not report it."""

    are_times_text: bool
    """Times have no type: they are compared as texts or numbers, as they are stored."""

    def open(self, endpoint: Endpoint) -> AbstractContextManager[Session]: ...

    def open_reader(self, spec: UnitSpec) -> AbstractContextManager[Session]:
        """A session for one slice of the unit; where a database has one, the one that reads many rows for less."""
        ...

    def version(self, session: Session) -> str: ...

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]: ...

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        """One table as it is now, in a few catalog queries; None where it is gone."""
        ...

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        """None: there is no such column, or it has no reliable order."""
        ...

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool: ...

    def size(self, session: Session, spec: UnitSpec) -> TableSize: ...

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon: ...

    def begin_snapshot(self, session: Session, spec: UnitSpec) -> str | None:
        """Begins the transaction of the probe; returns the token with which readers see the same rows, where there is one."""
        ...

    def notes(self, session: Session, spec: UnitSpec) -> Mapping[str, JsonValue]:
        """What a person should know about how this role and connection read the table, for `plan`."""
        ...

    def enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        """Begins the transaction of a reader. Raises `SnapshotLost` when the snapshot is gone."""
        ...

    def leave_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        """Ends the transaction of a reader that has read all rows.

        Raises:
            SnapshotLost: DDL made the snapshot useless before they were read; none of them counts.
            SourceUnavailable: the same without a snapshot: read the slice again.
        """
        ...

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        """Raises `SourceChanged` where the table differs from the catalog's description."""
        ...

    def prepare_filter(self, session: Session) -> None:
        """Restores the session settings that a policy's own filter is written for."""
        ...

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator[FetchedBatch]:
        """Yields the rows of `SELECT ... <source>`, where `source` is everything from FROM on."""
        ...
