"""What one database adds to the family: how it spells, what it knows of itself, how it is read.

Everything about slices (axes, cuts, scopes) is written once, over this protocol; a database is one more file of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

import pyarrow as pa

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

    def renamed(self, expression: str) -> Self:
        return replace(self, expression=expression)


@dataclass(frozen=True)
class Size:
    """What is known of a table without reading it; `blocks` are those of a heap that has physical addresses."""

    rows: int | None = None
    bytes: int | None = None
    bytes_per_row: float | None = None
    blocks: int | None = None
    block_bytes: int = 8192
    file_node: int | None = None
    """Changes when a heap is rewritten: physical addresses of before mean nothing then."""


class Session(Protocol):
    """One read-only connection. Errors are already those of `ingest_ray.sdk.errors`, without secrets."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def run(self, sql: str) -> None: ...

    def batches(self, sql: str, options: Mapping[str, str]) -> Iterator[pa.RecordBatch]: ...


class Dialect(Protocol):
    template: str
    has_cheap_offset: bool
    """Whether `ORDER BY indexed OFFSET n LIMIT 1` walks the index."""
    has_row_values: bool
    """Whether `(a, b) >= (1, 2)` is understood, and found by an index."""

    keeps_session: bool
    """Whether one session may answer questions for many units: it is worth it, and every statement sees what is committed."""

    def open(self, endpoint: Endpoint) -> AbstractContextManager[Session]: ...

    def version(self, session: Session) -> str: ...

    def collect(self, endpoint: Endpoint, session: Session) -> Iterator[Dataset]: ...

    def describe(self, endpoint: Endpoint, session: Session, dataset: Dataset) -> Dataset | None:
        """One table as it is now, in a few catalog queries; None where it is gone."""
        ...

    def quote(self, name: str) -> str: ...

    def page(self, limit: int, offset: int = 0, order: str = "") -> str:
        """The end of a SELECT that takes `limit` rows after `offset` others, in this order or in any."""
        ...

    def remainder(self, value: str, divisor: int) -> str:
        """An expression for what is left of a whole number when it is divided."""
        ...

    def scalar(self, expression: str) -> str:
        """A SELECT of one expression over no table."""
        ...

    def table(self, dataset: Dataset) -> str: ...

    def axis_column(self, dataset: Dataset, name: str, *, is_cursor: bool) -> AxisColumn | None:
        """None: there is no such column, or it has no order that can be relied on."""
        ...

    def has_index(self, dataset: Dataset, columns: Sequence[AxisColumn]) -> bool: ...

    def literal(self, column: AxisColumn, value: int | str) -> str: ...

    def position(self, column: AxisColumn, sql: str) -> str:
        """An expression for one item of a position: text that `decode` understands, NULL where it cannot be spelled."""
        ...

    def decode(self, column: AxisColumn, value: Any) -> int | str: ...

    def lowest(self, column: AxisColumn) -> int | str:
        """Not above any value of the column."""
        ...

    def earlier(self, column: AxisColumn, value: int | str, span: int) -> str:
        """An expression for what lies `span` (seconds; units of a number) below a value."""
        ...

    def size(self, session: Session, spec: UnitSpec) -> Size: ...

    def horizon(
        self, session: Session, spec: UnitSpec, column: AxisColumn, table: str, watermark: Position | None
    ) -> Horizon: ...

    def begin(self, session: Session, spec: UnitSpec) -> str | None:
        """Begins what the probe sees; returns the token with which readers see the same."""
        ...

    def enter(self, session: Session, snapshot: str | None) -> None:
        """Begins what a reader sees. Raises `SnapshotLost` when the snapshot is gone."""
        ...

    def check_columns(self, session: Session, dataset: Dataset, names: Sequence[str]) -> None:
        """Raises `SourceChanged` where the table no longer is what the catalog says."""
        ...

    def allow_filter(self, session: Session) -> None:
        """Makes the names of a policy's own filter mean what they mean to its author."""
        ...

    def read(
        self, session: Session, spec: UnitSpec, piece: Slice, source: str, context: ReadContext
    ) -> Iterator["Fetched"]:
        """Yields what `SELECT ... <source>` holds, where `source` is everything from FROM on."""
        ...


@dataclass(frozen=True)
class Fetched:
    """One batch of rows that fit, and how many were read for it."""

    batch: pa.RecordBatch
    rows_read: int
