"""Rows of changes, as batches of a slice's schema."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class ChangeColumns:
    """Some rows, by columns: the texts of each column that is read, and what the log says about each change. `kept`: by the row, which
    columns have a value that the log does not repeat; rows without such a column are left out."""

    texts: Sequence[pa.Array]
    ops: pa.Array
    lsns: pa.Array
    seqs: pa.Array
    committed_us: pa.Array
    kept: Mapping[int, Sequence[bool]]


@dataclass
class RowWriter:
    """Makes batches of the slice's schema; rows with values that Arrow cannot hold are rejected with their texts."""

    spec: UnitSpec
    context: ReadContext
    columns: pa.Schema
    converter: Callable[[pa.Field], Convert]
    """How the texts of a column become its Arrow type."""

    def batch(self, rows: Sequence[NetRow]) -> pa.RecordBatch:
        return self.batch_of(
            ChangeColumns(
                [texts_of(rows, at) for at in range(len(self.columns))],
                pa.array([row.op for row in rows], pa.string()),
                pa.array([row.change.lsn for row in rows], pa.int64()),
                pa.array([row.change.seq for row in rows], pa.int64()),
                pa.array([row.change.committed_us for row in rows], pa.int64()),
                {at: [value is KEPT for value in row.values] for at, row in enumerate(rows) if row.is_partial},
            )
        )

    def batch_of(self, rows: ChangeColumns) -> pa.RecordBatch:
        misfits = Misfits()
        arrays = [self._column(texts, at, misfits) for at, texts in enumerate(rows.texts)]
        added = (rows.ops, rows.lsns, rows.seqs, rows.committed_us, self._unchanged(rows))
        arrays += [values.cast(field.type) for values, field in zip(added, CHANGE_FIELDS, strict=True)]
        for row, (reason, column) in sorted(misfits.reasons.items()):
            self.context.reject(self._raw(rows, row), reason, column)
        return without_misfits(arrays, self.context.schema, misfits, len(rows.ops))

    def _column(self, texts: pa.Array, at: int, misfits: Misfits) -> pa.Array:
        field = self.columns.field(at)
        return fit_array(texts, field.type, field.name, misfits, self.converter(field))

    def _unchanged(self, rows: ChangeColumns) -> pa.Array:
        if not rows.kept:
            return pa.nulls(len(rows.ops), pa.string())
        is_append = self.spec.write_mode is WriteMode.APPEND
        named: list[str | None] = [None] * len(rows.ops)
        for row, kept in rows.kept.items():
            if is_append:
                names = [name for name, is_kept in zip(self.columns.names, kept, strict=True) if is_kept]
                named[row] = json.dumps(names, ensure_ascii=False)
            else:
                named[row] = "".join("1" if is_kept else "0" for is_kept in kept)
        return pa.array(named, pa.string())

    def key_batch(self, rows: Sequence[NetRow]) -> pa.RecordBatch:
        misfits, names = Misfits(), list(self.spec.key)
        positions = [self.columns.get_field_index(name) for name in names]
        arrays = [self._column(texts_of(rows, at), at, misfits) for at in positions]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([self.columns.field(name) for name in names]))

    def with_change(self, batch: pa.RecordBatch, change: Change) -> pa.RecordBatch:
        """Whole rows that were read from the table, as updates."""
        row = NetRow("update", [], change)
        added = [pa.array([value] * batch.num_rows, field.type) for value, field in _stamps(row)]
        return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=self.context.schema)

    def _raw(self, rows: ChangeColumns, row: int) -> dict[str, str | None]:
        found = zip(self.columns.names, (texts[row].as_py() for texts in rows.texts), strict=True)
        return {name: None if value is None else value.decode(errors="replace") for name, value in found}


def texts_of(rows: Sequence[NetRow], at: int) -> pa.Array:
    return pa.array([None if (value := row.values[at]) is KEPT else value for row in rows], pa.binary())


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
