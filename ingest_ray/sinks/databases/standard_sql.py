"""What most databases spell alike; each one overrides where it differs."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ingest_ray.sinks.databases.database import Session


class StandardSql:
    mark = "?"
    key_type = "varchar(255)"
    can_widen = True
    json_type: str | None = None
    long_text = "text"
    drop_temporary = "drop table if exists"

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def table(self, name: str) -> str:
        return self.quoted(name)

    def insert_if_missing(self, table: str, columns: Sequence[str]) -> str:
        marks = ", ".join(self.mark.format(number) for number in range(1, len(columns) + 1))
        return f"insert into {table} ({', '.join(columns)}) values ({marks}) on conflict do nothing"

    def model_table(self, family: str, name: str) -> str:
        return name

    def make_schema(self, session: Session, table: str) -> None:
        return

    def create_model_table(self, session: Session, table: str, columns: dict[str, str], key: str, indexed: str) -> None:
        kinds = {**columns, key: f"{self.key_type} not null primary key", indexed: self.key_type}
        listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        session.run(f"create table {self.table(table)} ({listed})")
        plain = table.rpartition(".")[2]
        session.run(f"create index {self.quoted(f'{plain}_source')} on {self.table(table)} ({indexed})")

    def make_temporary(self, session: Session, name: str, query: str, key: str) -> None:
        session.run(f"{self.drop_temporary} {name}")
        session.run(f"create temporary table {name} as {query}")

    def column_type(self, kind: pa.DataType, sink_type: str) -> str:
        return sink_type

    def create_table(self, session: Session, table: str, columns: dict[str, str], key: Sequence[str]) -> None:
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        session.run(f"create table {self.table(table)} ({listed})")
        if key:
            session.run(f"create index {self.quoted(f'{table}_key')} on {self.table(table)} ({', '.join(key)})")

    def ready_to_merge(self, session: Session, table: str, key: Sequence[str]) -> None:
        return

    def widen(self, session: Session, table: str, column: str, kind: str) -> None:
        session.run(f"alter table {self.table(table)} alter column {column} type {kind}")

    def same(self, left: str, right: str) -> str:
        return f"{left} is not distinct from {right}"

    def ordered(self, term: str, kind: pa.DataType) -> str:
        return term

    def moment(self, instant: datetime) -> str:
        return f"cast('{instant.astimezone(UTC).isoformat(' ')}' as timestamp with time zone)"

    def text(self, value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    def update_from(self, table: str, source: str, values: dict[str, str], where: str) -> str:
        settings = ", ".join(f"{name} = {value}" for name, value in values.items())
        return f"update {table} as t set {settings} from {source} as w where {where}"

    def staged(self, stage: str) -> str:
        return self.table(stage)

    def drop_in(self, session: Session, stages: Sequence[str]) -> bool:
        for stage in stages:
            session.run(f"drop table if exists {self.table(stage)}")
        return True


FETCH_ROWS = 10_000  # keys: a few hundred kilobytes


def in_batches(names: Sequence[str], fetch: Callable[[int], Sequence[Any]]) -> Iterator[pa.RecordBatch]:
    """Rows of a driver that has no Arrow, as `fetch(count)` gives them."""
    while rows := fetch(FETCH_ROWS):
        columns = [_array(values) for values in zip(*rows, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, list(names))


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(list(values))
    except OverflowError:  # integers above 2^63
        return pa.array([None if value is None else Decimal(value) for value in values])
