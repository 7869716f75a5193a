"""Standard SQL, which most databases share: each database overrides the methods in which it differs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_ray.sinks.databases.column_names import ColumnLimits
from ingest_ray.sinks.databases.database import Session
from ingest_ray.sinks.provenance import BEGIN
from ingest_ray.sinks.value_limits import ValueLimits, find_misfits

STATEMENT_ROWS = 200  # literals of about 200 bytes each


class StandardSqlDatabase:
    limits: ValueLimits
    column_limits: ColumnLimits
    placeholder = "?"
    key_type = "varchar(255)"
    table_options = ""
    json_type: str | None = None
    long_text = "text"
    drop_temporary_sql = "drop table if exists"

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def quoted_table(self, name: str) -> str:
        return self.quoted(name)

    def model_table_name(self, family: str, name: str) -> str:
        return name

    def create_schema(self, session: Session, table: str) -> None:
        return

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        session.execute(f"create table {self.quoted_table(table)} ({listed})")
        if key:
            index = self.quoted(f"{table}_key")
            session.execute(f"create index {index} on {self.quoted_table(table)} ({', '.join(key)})")

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        kinds = {**columns, key: f"{self.key_type} not null primary key", indexed: self.key_type}
        listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        session.execute(f"create table {self.quoted_table(table)} ({listed})")
        index = self.quoted(f"{table.rpartition('.')[2]}_source")
        session.execute(f"create index {index} on {self.quoted_table(table)} ({indexed})")

    def create_temporary_table(self, session: Session, name: str, query: str, key: str) -> None:
        session.execute(f"{self.drop_temporary_sql} {name}")
        session.execute(f"create temporary table {name} as {query}")

    def index_clause(self, column: str) -> str:
        return ""

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        return sink_type

    def refuse_unsafe_tables(self, session: Session, tables: Sequence[str]) -> None:
        return

    def add_column(self, session: Session, table: str, column: str, kind: str) -> None:
        session.execute(f"alter table {self.quoted_table(table)} add column {column} {kind}")

    def widen_column(self, session: Session, table: str, column: str, kind: str) -> None:
        session.execute(f"alter table {self.quoted_table(table)} alter column {column} type {kind}")

    def make_room_for_keys(self, session: Session, table: str, key: Sequence[str], source: str) -> None:
        return

    def prepare_merge(self, session: Session, table: str, key: Sequence[str]) -> None:
        return

    def insert_if_missing_sql(self, table: str, columns: Sequence[str]) -> str:
        values = ", ".join(self.placeholder.format(number) for number in range(1, len(columns) + 1))
        return f"insert into {table} ({', '.join(columns)}) values ({values}) on conflict do nothing"

    def update_from_sql(self, table: str, source: str, values: dict[str, str], where: str) -> str:
        settings = ", ".join(f"{name} = {value}" for name, value in values.items())
        return f"update {table} as t set {settings} from {source} as w where {where}"

    def lock_rows(self, session: Session, table: str, source: str, key: str) -> None:
        return

    def null_safe_equal(self, left: str, right: str) -> str:
        return f"{left} is not distinct from {right}"

    def binary_ordered(self, term: str, kind: pa.DataType) -> str:
        return term

    def exact(self, term: str, kind: pa.DataType) -> str:
        return self.binary_ordered(term, kind)

    def timestamp_literal(self, instant: datetime) -> str:
        return f"cast('{instant.astimezone(UTC).isoformat(' ')}' as timestamp with time zone)"

    def text_literal(self, value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    def insert_rows(self, session: Session, table: str, rows: pa.Table) -> None:
        times = [pa.types.is_timestamp(field.type) for field in rows.schema]
        columns = [
            column.cast(pa.int64()).to_pylist() if is_time else column.to_pylist()
            for column, is_time in zip(rows.columns, times, strict=True)
        ]
        for first in range(0, rows.num_rows, STATEMENT_ROWS):
            part = zip(*(column[first : first + STATEMENT_ROWS] for column in columns), strict=True)
            values = ", ".join(f"({', '.join(map(self._literal, row, times))})" for row in part)
            session.execute(f"insert into {table} ({', '.join(rows.column_names)}) values {values}")

    def _literal(self, value: int | None, is_time: bool) -> str:
        if value is None:
            return "null"
        return self.timestamp_literal(BEGIN + timedelta(microseconds=value)) if is_time else str(value)

    def find_misfits(self, batch: pa.RecordBatch, schema: pa.Schema) -> Mapping[int, Misfit]:
        return find_misfits(batch, schema, self.limits)

    def stage_source(self, stage: str) -> str:
        return self.quoted_table(stage)

    def drop_stages_in(self, session: Session, stages: Sequence[str]) -> bool:
        for stage in stages:
            session.execute(f"drop table if exists {self.quoted_table(stage)}")
        return True


def zoneless_timestamp_literal(instant: datetime) -> str:
    """For databases whose timestamps have no zone: text in UTC."""
    return f"'{instant.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'microseconds')}'"


class CursorSession:
    """A session on a connection with cursors, as https://peps.python.org/pep-0249/ describes them."""

    def __init__(self, connection: Any, peer: DatabasePeer | None = None) -> None:
        self._connection = connection
        self._peer = peer or DatabasePeer()

    def execute(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._peer.span(sql), self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def execute_update(self, sql: str, *values: str | int) -> int:
        with self._peer.span(sql), self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return int(cursor.rowcount)


FETCH_ROWS = 10_000  # keys: a few hundred kilobytes


def read_batches(names: Sequence[str], fetch: Callable[[int], Sequence[Any]]) -> Iterator[pa.RecordBatch]:
    """The rows of a driver without Arrow, of which `fetch(count)` returns the next ones."""
    while rows := fetch(FETCH_ROWS):
        columns = [_array(values) for values in zip(*rows, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, list(names))


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(list(values))
    except OverflowError:  # integers above 2^63
        return pa.array([None if value is None else Decimal(value) for value in values])
