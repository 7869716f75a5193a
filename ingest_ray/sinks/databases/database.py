"""What the SQL sinks require of a database: transactions, stages, and the SQL that differs between databases."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sinks.databases.column_names import ColumnLimits
from ingest_ray.sinks.type_mapping import TypeRules

LEDGER = "_ingest_ledger"
STAGE = "_ingest_stage_"
WINNERS = "_ingest_winners"
ORDER = "_ingest_order"


class Session(Protocol):
    """One transaction. Raises only errors of `ingest_ray.sdk.errors`."""

    def execute(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        """`values` replace the placeholders (`Database.placeholder`). Returns the rows of the result, or none."""
        ...

    def execute_update(self, sql: str, *values: str | int) -> int:
        """Returns the number of rows that the statement inserted, deleted, or found for an update, without those that a trigger
        or a rule of the table dropped.
        """
        ...

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The rows of a result, some thousands at a time, in the types that the driver has for them."""
        ...


class Database(Protocol):
    rules: TypeRules
    column_limits: ColumnLimits
    placeholder: str
    """Stands for a value; `{}` in it becomes its number, from 1."""
    key_type: str
    """A text type that may be a primary key."""
    long_text: str
    drop_temporary_sql: str
    """The beginning of a statement that drops a temporary table and ends no transaction."""
    table_options: str
    """The end of every `CREATE TABLE`."""
    json_type: str | None
    """The type of JSON columns of CDM tables, where it differs from that of the type rules."""

    # --- transactions

    def transaction(self) -> AbstractContextManager[Session]:
        """Commits at its end, rolls back on an error.

        Raises:
            CommitUnknown: the connection was lost while it committed.
        """
        ...

    # --- names

    def quoted(self, name: str) -> str: ...

    def quoted_table(self, name: str) -> str:
        """Quoted, with its schema."""
        ...

    def location(self, name: str) -> str:
        """The table's address for people: without a password."""
        ...

    def model_table_name(self, family: str, name: str) -> str:
        """The name of a CDM table, for `quoted_table` and `read_columns`: in the schema of its family, where the database has
        schemas."""
        ...

    # --- tables

    def create_schema(self, session: Session, table: str) -> None:
        """Creates the schema of a CDM table where it is missing."""
        ...

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        """`columns` are quoted names and types; `key` (quoted names) is the key by which merges will search.

        Where DDL commits by itself, a table that another process has made meanwhile is left as it is; so is a column in
        `add_column`.
        """
        ...

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        """`key` and `indexed` are quoted names; the key becomes the primary key, where that does not hinder upserts."""
        ...

    def create_temporary_table(self, session: Session, name: str, query: str, key: str) -> None:
        """A table of this session from a query, quick to search by `key` (a quoted name). Ends no transaction."""
        ...

    def index_clause(self, column: str) -> str:
        """What stands behind the name of a temporary table that is made from a query, so that joins by a column of whole numbers (a
        quoted name) are quick; nothing where the database joins by hash."""
        ...

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        """The type of a column in `CREATE TABLE`; `sink_type` is that of the type rules."""
        ...

    def read_columns(self, session: Session, table: str) -> dict[str, str]:
        """The types as the database reports them; empty where the table does not exist."""
        ...

    def refuse_unsafe_tables(self, session: Session, tables: Sequence[str]) -> None:
        """Those that do not exist are ignored.

        Raises:
            SinkRejected: a table may lose rows of a transaction whose ledger row stays.
        """
        ...

    def add_column(self, session: Session, table: str, column: str, kind: str) -> None: ...

    def widen_column(self, session: Session, table: str, column: str, kind: str) -> None:
        """Nothing is done where the column holds wider values without a change. Numbers become text where `kind` is text."""
        ...

    def make_room_for_keys(self, session: Session, table: str, key: Sequence[str], source: str) -> None:
        """Called before rows of `source` (a term after FROM) go into the table: an index of `key` must not refuse long keys."""
        ...

    def prepare_merge(self, session: Session, table: str, key: Sequence[str]) -> None:
        """Called before rows are merged or erased by `key`: makes the search for them quick."""
        ...

    # --- SQL terms and statements

    def insert_if_missing_sql(self, table: str, columns: Sequence[str]) -> str:
        """A statement with placeholders that changes nothing where a row with the same key exists."""
        ...

    def update_from_sql(self, table: str, source: str, values: dict[str, str], where: str) -> str:
        """Updates `t` (the table) from `w` (the source)."""
        ...

    def lock_rows(self, session: Session, table: str, source: str, key: str) -> None:
        """Locks the rows of a shared table whose `key` (a quoted name) is in `source`, until the transaction ends: after it, no
        other unit changes them.
        """
        ...

    def null_safe_equal(self, left: str, right: str) -> str:
        """Equal, where NULL equals NULL."""
        ...

    def binary_ordered(self, term: str, kind: pa.DataType) -> str:
        """A term that compares as bytes do, whatever the collation of its column."""
        ...

    def exact(self, term: str, kind: pa.DataType) -> str:
        """A term of which equal values are the same bytes, and which every type has."""
        ...

    def insert_rows(self, session: Session, table: str, rows: pa.Table) -> None:
        """Inserts rows of integers and instants (microseconds, UTC) into a temporary table; names stand in statements as they are."""
        ...

    def timestamp_literal(self, instant: datetime) -> str:
        """A literal of the type that the timestamps of provenance have."""
        ...

    def text_literal(self, value: str) -> str: ...

    # --- stages

    def find_misfits(self, batch: pa.RecordBatch, schema: pa.Schema) -> Mapping[int, Misfit]:
        """The rows with values that the database declares not to hold. `schema`: the types to which the columns are converted."""
        ...

    def load_stage(self, stage: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Creates a stage from rows. A crash of the server may empty it: its rows are counted before they are used.

        Raises:
            RowsRejected: the database refused values of some rows.
        """
        ...

    def stage_source(self, stage: str) -> str:
        """The term after FROM for a stage's rows."""
        ...

    def drop_stages_in(self, session: Session, stages: Sequence[str]) -> bool:
        """Drops stages as part of the transaction; False where the database cannot."""
        ...

    def drop_stages(self, stages: Sequence[str]) -> None:
        """Drops stages; those that do not exist are ignored."""
        ...

    def list_stages(self, prefix: str) -> list[str]: ...


def check_reach(database: Database) -> None:
    """Logs in at a server; a file would be made by that, so nothing is asked of it. Raises as `ReachChecker` says."""
    shown = database.location("")
    if "://" in shown and not shown.startswith("sqlite:"):
        with database.transaction() as session:
            session.execute("select 1")
