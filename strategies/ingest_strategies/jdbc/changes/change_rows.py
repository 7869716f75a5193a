"""Rows of changes, as batches of a slice's schema."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from ingest_ray.sdk.changes import CHANGE_FIELDS, DELETE, LOADED, TRUNCATE
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import UnitSpec, WriteMode
from ingest_strategies.jdbc.changes.change import KEPT, Change
from ingest_strategies.jdbc.changes.net_changes import ColumnOrder, NetRow
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.lookup import look_up
from ingest_strategies.jdbc.values.convert import Convert, Misfits, fit_array, without_misfits

LEAVES_NEW_COLUMNS = frozenset(
    {"discard_column", "quarantine_row"}
)  # `on_schema_change` by which a new column is not read
BATCH_ROWS = 20_000  # at most about 20 MiB of Python's objects for rows of ten columns


def unmoved(rows: Iterable[NetRow], moved: list[NetRow]) -> Iterator[NetRow]:
    """The rows, without those that `moved` gets: their values which the log does not repeat are in the sink under another key."""
    for row in rows:
        if row.is_moved and row.is_partial:
            moved.append(row)
        else:
            yield row


def change_row(order: ColumnOrder, change: Change) -> NetRow:
    """One change as a row; of a delete, the old values that the log has."""
    if change.op == TRUNCATE:
        return NetRow(TRUNCATE, [None] * len(order.names), change)
    values = change.old if change.op == DELETE else change.new
    assert values is not None
    return NetRow(change.op, order.arranged(change.relation, values), change)


def read_moved(
    dialect: Dialect, spec: UnitSpec, moved: Sequence[NetRow], writer: "RowWriter"
) -> Iterator[pa.RecordBatch]:
    """The source's rows of today for keys that were changed together with nothing else of a large value. What changed in them since is
    in the log after this interval. Other sessions must see their commits already."""
    if not moved:
        return
    keys = writer.key_batch(moved)
    plain = replace(writer.context, schema=writer.columns)
    found: set[tuple[object, ...]] = set()
    for batch in look_up(dialect, spec, keys, plain, None):
        found.update(_keys_of(batch, spec.key))
        yield writer.with_change(batch, moved[0].change)
    gone = [row for row, key in zip(moved, _keys_of(keys, spec.key), strict=True) if key not in found]
    for part in in_batches(replace(row, op=DELETE) for row in gone):  # an older row of that key may be in the sink
        yield writer.batch(part)


def _keys_of(batch: pa.RecordBatch, key: Sequence[str]) -> list[tuple[object, ...]]:
    return list(zip(*(batch.column(name).to_pylist() for name in key), strict=True))


def in_batches(rows: Iterable[NetRow]) -> Iterator[list[NetRow]]:
    part: list[NetRow] = []
    for row in rows:
        part.append(row)
        if len(part) == BATCH_ROWS:
            yield part
            part = []
    if part:
        yield part


@dataclass
class RowWriter:
    """Makes batches of the slice's schema; rows with values that Arrow cannot hold are rejected with their texts."""

    spec: UnitSpec
    context: ReadContext
    columns: pa.Schema
    converter: Callable[[pa.Field], Convert]
    """How the texts of a column become its Arrow type."""

    def batch(self, rows: Sequence[NetRow]) -> pa.RecordBatch:
        misfits = Misfits()
        arrays = [self._column(rows, at, misfits) for at in range(len(self.columns))]
        arrays += self._change_columns(rows)
        for row, (reason, column) in sorted(misfits.reasons.items()):
            self.context.reject(self._raw(rows[row]), reason, column)
        return without_misfits(arrays, self.context.schema, misfits, len(rows))

    def _column(self, rows: Sequence[NetRow], at: int, misfits: Misfits) -> pa.Array:
        field = self.columns.field(at)
        texts = pa.array([None if (value := row.values[at]) is KEPT else value for row in rows], pa.binary())
        return fit_array(texts, field.type, field.name, misfits, self.converter(field))

    def _change_columns(self, rows: Sequence[NetRow]) -> list[pa.Array]:
        is_append = self.spec.write_mode is WriteMode.APPEND
        unchanged = [self._unchanged(row, is_append=is_append) for row in rows]
        values = (
            [row.op for row in rows],
            [row.change.lsn for row in rows],
            [row.change.seq for row in rows],
            [row.change.committed_us for row in rows],
            unchanged,
        )
        return [pa.array(column, field.type) for column, field in zip(values, CHANGE_FIELDS, strict=True)]

    def _unchanged(self, row: NetRow, *, is_append: bool) -> str | None:
        if not row.is_partial:
            return None
        if is_append:
            names = [name for name, value in zip(self.columns.names, row.values, strict=True) if value is KEPT]
            return json.dumps(names, ensure_ascii=False)
        return "".join("1" if value is KEPT else "0" for value in row.values)

    def key_batch(self, rows: Sequence[NetRow]) -> pa.RecordBatch:
        misfits, names = Misfits(), list(self.spec.key)
        arrays = [self._column(rows, self.columns.get_field_index(name), misfits) for name in names]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([self.columns.field(name) for name in names]))

    def with_change(self, batch: pa.RecordBatch, change: Change) -> pa.RecordBatch:
        """Whole rows that were read from the table, as updates."""
        row = NetRow("update", [], change)
        added = [pa.array([value] * batch.num_rows, field.type) for value, field in _stamps(row)]
        return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=self.context.schema)

    def _raw(self, row: NetRow) -> dict[str, str | None]:
        return {
            name: value.decode(errors="replace") if isinstance(value, bytes) else None
            for name, value in zip(self.columns.names, row.values, strict=True)
        }


def _stamps(row: NetRow) -> Iterator[tuple[object, pa.Field]]:
    values = (row.op, row.change.lsn, row.change.seq, row.change.committed_us, None)
    yield from zip(values, CHANGE_FIELDS, strict=True)


def as_loaded(batch: pa.RecordBatch, schema: pa.Schema, lsn: int) -> pa.RecordBatch:
    """Rows of the first load, in the schema of changes."""
    values = (LOADED, lsn, 0, None, None)
    added = [pa.array([value] * batch.num_rows, field.type) for value, field in zip(values, CHANGE_FIELDS, strict=True)]
    return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)


def refuse_added_columns(spec: UnitSpec, order: ColumnOrder, read_columns: Callable[[], Iterable[str]]) -> None:
    """A table that was altered since the run described it may have rows in the log of which this run knows too little.
    A column that was added and dropped again is none that the next run would know.

    Raises:
        SourceChanged: nothing of the slice counts; the next run describes the table first.
    """
    unknown = unknown_columns(spec, order.seen)
    if unknown:
        refuse_columns(spec, unknown & set(read_columns()))


def unknown_columns(spec: UnitSpec, names: Iterable[str]) -> set[str]:
    """Those that the run should have, and that were not there when it described the table."""
    policy = spec.policy
    if policy.columns or policy.on_schema_change in LEAVES_NEW_COLUMNS:
        return set()
    return set(names) - {column.name for column in spec.dataset.columns} - set(policy.exclude_columns)


def refuse_columns(spec: UnitSpec, added: Iterable[str]) -> None:
    for name in sorted(added):
        raise SourceChanged(
            f"{spec.unit_id}: column '{name}' was added while the run went on",
            hint="run again: it goes on with the column",
        )
