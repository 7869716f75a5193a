"""Reads one slice of PostgreSQL through ADBC's binary COPY, and rejects rows whose values ADBC cannot carry."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Column, Dataset
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.postgres.numeric import NumericOutOfRange, decode_numerics, numeric_text
from ingest_strategies.jdbc.postgres.session import postgres_session
from ingest_strategies.jdbc.standard_sql import quoted
from ingest_strategies.jdbc.values.convert import Misfits, fit_array, raw_value, rows_where, storage, without_misfits

# ADBC adds the distance between 2000 and 1970 without a check, so infinity and times above Arrow's range wrap around to
# before the year 4713 BC, where PostgreSQL has no values: so they are recognised exactly.
EPOCH_US = 946_684_800_000_000
EPOCH_DAYS = 10_957
EARLIEST_US = -210_866_803_200_000_000
EARLIEST_DAYS = -2_440_588
DAY_US = 86_400_000_000
_FORMS = {
    "": "{0}",
    "text": "{0}::text",
    "bigint": "{0}::bigint",
    "unsigned": "{0}::text::bigint",
    "money": "{0}::numeric::text",
    "list": "{0}",
    "text list": "{0}::text[]",
    "sent": "numeric_send({0})",
    "shown": "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END",  # `inet::text` would add a mask
    "shown list": "{0}::text::text[]",
}
_ODD = "array_ndims({0}) > 1 OR array_lower({0}, 1) <> 1"  # ADBC flattens the first, and fails at some of the second
GUARDS = 50  # arrays whose guards are one expression: a SELECT has at most 1,664, a function 100 arguments


@dataclass(frozen=True)
class SelectedExpression:
    """One selected expression of a column."""

    column: Column
    sql: str
    is_sent: bool = False
    """A numeric in its binary form, or a decimal where the session decodes them."""


@dataclass(frozen=True)
class Guard:
    """NULL where Arrow can hold the arrays of these columns; else their texts as a JSON list, NULL for those that it can hold."""

    columns: tuple[Column, ...]

    @property
    def sql(self) -> str:
        odd = [_ODD.format(name) for name in self._names]
        texts = [f"CASE WHEN {test} THEN {name}::text END" for test, name in zip(odd, self._names, strict=True)]
        return f"CASE WHEN {' OR '.join(odd)} THEN json_build_array({', '.join(texts)})::text END"

    @property
    def _names(self) -> list[str]:
        return [quoted(column.name) for column in self.columns]


@dataclass(frozen=True)
class Selection:
    expressions: list[SelectedExpression]
    guards: list[Guard]

    @property
    def sql(self) -> str:
        parts = [*(item.sql for item in self.expressions), *(guard.sql for guard in self.guards)]
        return ", ".join(f"{sql} AS c{index}" for index, sql in enumerate(parts))


def selection_of(dataset: Dataset, names: list[str], *, decodes_numerics: bool = False) -> Selection:
    """`decodes_numerics`: the session decodes them, where their type can hold them."""
    forms = dataset.facts.get("select")
    expressions: list[SelectedExpression] = []
    arrays: list[Column] = []
    for name in names:
        column = dataset.column(name)
        if column is None:
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        form = str(forms.get(name, "")) if isinstance(forms, dict) else ""
        sql = _FORMS["" if form == "sent" and decodes_numerics else form].format(quoted(name))
        if form.endswith("list"):
            arrays.append(column)
            sql = f"CASE WHEN {_ODD.format(quoted(name))} THEN NULL ELSE {sql} END"
        expressions.append(SelectedExpression(column, sql, is_sent=form == "sent"))
    guards = [Guard(tuple(arrays[start : start + GUARDS])) for start in range(0, len(arrays), GUARDS)]
    return Selection(expressions, guards)


def fetch_rows(session: Session, dataset: Dataset, source: str, context: ReadContext) -> Iterator[FetchedBatch]:
    decodes_numerics = postgres_session(session).decodes_numerics
    selection = selection_of(dataset, context.schema.names, decodes_numerics=decodes_numerics)
    options = {"adbc.postgresql.batch_size_hint_bytes": str(context.page_bytes)}
    for batch in session.batches(f"SELECT {selection.sql} {source}", options):
        if batch.num_rows:
            yield FetchedBatch(convert_batch(batch, selection, context), batch.num_rows)


def convert_batch(batch: pa.RecordBatch, selection: Selection, context: ReadContext) -> pa.RecordBatch:
    """The batch in the declared types; rows that Arrow cannot hold go to quarantine with their raw values."""
    misfits, arrays = Misfits(), []
    odd_arrays = read_guards(batch, selection, misfits)
    for index, item in enumerate(selection.expressions):
        array = storage(batch.column(index))
        target = context.schema.field(index).type
        if item.is_sent and pa.types.is_binary(array.type):
            arrays.append(decode_numeric(array, target, item.column.name, misfits))
            continue
        for row, reason in wrapped_times(array):
            misfits.add(row, reason, item.column.name)
        arrays.append(fit_array(array, target, item.column.name, misfits, as_declared))
    for row, (reason, column) in sorted(misfits.reasons.items()):
        context.reject(raw_row(batch, selection, odd_arrays.get(row, {}), row), reason, column)
    return without_misfits(arrays, context.schema, misfits, batch.num_rows)


def read_guards(batch: pa.RecordBatch, selection: Selection, misfits: Misfits) -> dict[int, dict[str, str]]:
    """Row -> column -> text of the arrays that Arrow cannot hold."""
    found: dict[int, dict[str, str]] = {}
    for index, guard in enumerate(selection.guards, len(selection.expressions)):
        array = storage(batch.column(index))
        for row in rows_where(array.is_valid()):
            texts = json.loads(array[row].as_py())
            for column, text in zip(guard.columns, texts, strict=True):
                if text is not None:
                    misfits.add(row, "an array of several dimensions, or that does not begin at 1", column.name)
                    found.setdefault(row, {})[column.name] = text
    return found


def decode_numeric(sent: pa.Array, target: pa.DataType, column: str, misfits: Misfits) -> pa.Array:
    """Binary numerics as decimals; a batch with a value outside the declared type is converted from text."""
    try:
        values, special = decode_numerics(sent, target)
    except NumericOutOfRange:
        texts = pa.array([None if value is None else numeric_text(value) for value in sent.to_pylist()], pa.string())
        return fit_array(texts, target, column, misfits, as_declared)
    for row in rows_where(special) if special is not None else ():
        misfits.add(row, f"not a value of {target}", column)
    return values


def as_declared(array: pa.Array, target: pa.DataType) -> pa.Array:
    """A safe cast that also reaches through lists and under extension types."""
    array = storage(array)
    if pa.types.is_list(target) and pa.types.is_list(array.type):
        values = as_declared(array.flatten(), target.value_type)
        ends = pc.cumulative_sum(array.value_lengths().fill_null(0)).cast(pa.int32())
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(offsets, values, type=target, mask=mask)
    return array if array.type == target else array.cast(target)


def wrapped_times(array: pa.Array) -> Iterator[tuple[int, str]]:
    """Yields the rows with a time that wrapped around in ADBC, and the reason."""
    kind = array.type
    if pa.types.is_list(kind):
        items = list(wrapped_times(storage(array.flatten())))
        if items:
            parents = pc.list_parent_indices(array)
            yield from ((parents[index].as_py(), reason) for index, reason in items)
    elif pa.types.is_timestamp(kind):
        yield from _below(array, pa.int64(), EARLIEST_US, "a timestamp that Arrow cannot hold")
    elif pa.types.is_date32(kind):
        yield from _below(array, pa.int32(), EARLIEST_DAYS, "an infinite date")
    elif pa.types.is_time64(kind):
        yield from ((row, "time 24:00") for row in rows_where(pc.greater_equal(array.view(pa.int64()), DAY_US)))


def _below(array: pa.Array, plain: pa.DataType, limit: int, reason: str) -> Iterator[tuple[int, str]]:
    values = array.view(plain)
    least = pc.min(values).as_py()
    if least is not None and least < limit:
        yield from ((row, reason) for row in rows_where(pc.less(values, limit)))


def raw_row(batch: pa.RecordBatch, selection: Selection, odd_arrays: dict[str, str], row: int) -> dict[str, JsonValue]:
    raw: dict[str, JsonValue] = {}
    for index, item in enumerate(selection.expressions):
        array = storage(batch.column(index))
        text = odd_arrays.get(item.column.name)
        if item.is_sent and array[row].is_valid:
            value = array[row].as_py()
            text = numeric_text(value) if isinstance(value, bytes) else format(value, "f")
        raw[item.column.name] = text if text is not None else stored_value(array, row)
    return raw


def stored_value(array: pa.Array, row: int) -> JsonValue:
    """The value as PostgreSQL stores it, also where it wrapped around."""
    if pa.types.is_timestamp(array.type) and array[row].is_valid:
        stored = array.view(pa.int64())[row].as_py()
        if stored < EARLIEST_US:
            return _infinite(_wrapped("q", stored - EPOCH_US), 64)
    if pa.types.is_date32(array.type) and array[row].is_valid:
        stored = array.view(pa.int32())[row].as_py()
        if stored < EARLIEST_DAYS:
            return _infinite(_wrapped("i", stored - EPOCH_DAYS), 32)
    if pa.types.is_time64(array.type) and array[row].is_valid and array.view(pa.int64())[row].as_py() >= DAY_US:
        return "24:00:00"
    if pa.types.is_list(array.type) and array[row].is_valid:
        values = storage(array[row].values)
        return [stored_value(values, index) for index in range(len(values))]
    return raw_value(array, row)


def _wrapped(form: str, value: int) -> int:
    """The value in the machine's two's complement."""
    bits = 64 if form == "q" else 32
    return int(struct.unpack(f"<{form}", (value % (1 << bits)).to_bytes(bits // 8, "little"))[0])


def _infinite(value: int, bits: int) -> str:
    if value == (1 << (bits - 1)) - 1:
        return "infinity"
    if value == -(1 << (bits - 1)):
        return "-infinity"
    return f"{value} microseconds since 2000-01-01"
