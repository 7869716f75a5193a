"""What the SQL sink needs of a database: sessions, a way to load a stage, and the spellings that differ."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from ingest_ray.sinks.type_mapping import TypeRules

LEDGER = "_ingest_ledger"
STAGE = "_ingest_stage_"
WINNERS = "_ingest_winners"
ORDER = "_ingest_order"


class Session(Protocol):
    """One transaction. Errors are those of `ingest_ray.sdk.errors`."""

    def run(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        """`values` stand where `Database.mark` stands; the rows of the answer, or none."""
        ...

    def change(self, sql: str) -> int:
        """How many rows it inserted, updated or deleted."""
        ...

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The rows of an answer, some thousands at a time, in the types that the driver has for them."""
        ...


class Database(Protocol):
    rules: TypeRules
    mark: str
    """Stands for a value; `{}` in it becomes its number, from 1."""
    key_type: str
    """A text type that may be a primary key."""
    long_text: str
    drop_temporary: str
    """How a statement begins that drops a temporary table and ends no transaction."""
    can_widen: bool
    """False where a column takes wider values as it is."""

    def transaction(self) -> AbstractContextManager[Session]:
        """Commits at its end, rolls back on an error.

        Raises:
            CommitUnknown: the connection was lost while it committed.
        """
        ...

    def quoted(self, name: str) -> str: ...

    def table(self, name: str) -> str:
        """Quoted, with its schema."""
        ...

    def location(self, name: str) -> str:
        """For people: without a password."""
        ...

    def insert_if_missing(self, table: str, columns: Sequence[str]) -> str:
        """A statement with marks that leaves a row alone whose key is there."""
        ...

    json_type: str | None
    """The type of JSON columns of CDM tables, where it is another than the rules say."""

    def model_table(self, family: str, name: str) -> str:
        """The name of a CDM table, for `table` and `columns`: in the schema of its family, where the database has schemas."""
        ...

    def make_schema(self, session: Session, table: str) -> None:
        """Makes the schema of a CDM table where there is none."""
        ...

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        """`key` and `indexed` are quoted names; the key becomes the primary key, where that does not hinder upserts."""
        ...

    def make_temporary(self, session: Session, name: str, query: str, key: str) -> None:
        """A table of this session from a query, quick to find by `key` (a quoted name). Ends no transaction."""
        ...

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        """The type of a column in `CREATE TABLE`, from what the rules say."""
        ...

    def columns(self, session: Session, table: str) -> dict[str, str]:
        """The types as the database reports them; empty where there is no such table."""
        ...

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        """`columns` are quoted names and types; `key` (quoted names) is what merges will look for."""
        ...

    def ready_to_merge(self, session: Session, table: str, key: Sequence[str]) -> None:
        """Before rows are merged or erased by `key`: what the database needs to find them quickly."""
        ...

    def widen(self, session: Session, table: str, column: str, kind: str) -> None: ...

    def same(self, left: str, right: str) -> str:
        """Equal, where NULL equals NULL."""
        ...

    def ordered(self, term: str, kind: pa.DataType) -> str:
        """A term that compares as bytes do, whatever the collation of its column."""
        ...

    def update_from(self, table: str, source: str, values: dict[str, str], where: str) -> str:
        """Updates `t` (the table) from `w` (the source)."""
        ...

    def moment(self, instant: datetime) -> str:
        """A literal of the type that provenance's instants have."""
        ...

    def text(self, value: str) -> str:
        """A literal."""
        ...

    def load(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Makes a stage of rows, seen by nobody who does not ask for it. A crash of the server may empty it: who uses it counts."""
        ...

    def staged(self, stage: str) -> str:
        """What stands behind FROM for a stage's rows."""
        ...

    def drop_in(self, session: Session, stages: Sequence[str]) -> bool:
        """Drops stages together with what the transaction does; False where the database cannot."""
        ...

    def drop(self, stages: Sequence[str]) -> None:
        """Drops stages; those that are not there are ignored."""
        ...

    def stages(self, prefix: str) -> list[str]: ...
