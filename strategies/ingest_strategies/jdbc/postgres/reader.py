"""Reads one slice of PostgreSQL through ADBC's binary COPY and makes sure that nothing changed on the way."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Column, Dataset
from ingest_strategies.jdbc.dialect import Fetched, Session
from ingest_strategies.jdbc.postgres.numeric import OddNumeric, decimals, spelled
from ingest_strategies.jdbc.values.convert import Misfits, fitted, kept, places, raw_value, storage

if TYPE_CHECKING:
    from ingest_strategies.jdbc.postgres.dialect import Postgres

# ADBC adds the distance between 2000 and 1970 without a check, so whatever PostgreSQL stores above Arrow's range, and
# infinity, wraps around to below the year 4713 BC, where PostgreSQL has no values: those are recognised exactly.
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
}


@dataclass(frozen=True)
class Item:
    """One selected expression: a column, or the guard of an array column (its text where Arrow cannot hold it)."""

    column: Column
    sql: str
    is_guard: bool = False
    is_sent: bool = False
    """A numeric in its binary form."""


def items(dialect: "Postgres", dataset: Dataset, names: list[str]) -> list[Item]:
    forms = dataset.facts.get("select")
    found: list[Item] = []
    guards: list[Item] = []
    for name in names:
        column = dataset.column(name)
        if column is None:
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        quoted = dialect.quote(name)
        form = str(forms.get(name, "")) if isinstance(forms, dict) else ""
        found.append(Item(column, _FORMS[form].format(quoted), is_sent=form == "sent"))
        if form.endswith("list"):
            odd = f"array_ndims({quoted}) > 1 OR array_lower({quoted}, 1) <> 1"
            guards.append(Item(column, f"CASE WHEN {odd} THEN {quoted}::text END", is_guard=True))
    return [*found, *guards]


def fetched(
    dialect: "Postgres", session: Session, dataset: Dataset, source: str, context: ReadContext
) -> Iterator[Fetched]:
    selected = items(dialect, dataset, context.schema.names)
    columns = ", ".join(f"{item.sql} AS c{index}" for index, item in enumerate(selected))
    options = {"adbc.postgresql.batch_size_hint_bytes": str(context.page_bytes)}
    for batch in session.batches(f"SELECT {columns} {source}", options):
        if batch.num_rows:
            yield Fetched(checked(batch, selected, context), batch.num_rows)


def checked(batch: pa.RecordBatch, selected: list[Item], context: ReadContext) -> pa.RecordBatch:
    """The batch in the declared types; rows that Arrow cannot hold go to quarantine with their raw values."""
    misfits, arrays = Misfits(), []
    count = len(context.schema)
    for index, item in enumerate(selected):
        array = storage(batch.column(index))
        if item.is_guard:
            for row in places(array.is_valid()):
                misfits.add(row, "an array of several dimensions, or that does not begin at 1", item.column.name)
            continue
        target = context.schema.field(index).type
        if item.is_sent:
            arrays.append(decoded(array, target, item.column.name, misfits))
            continue
        for row, reason in beyond(array):
            misfits.add(row, reason, item.column.name)
        arrays.append(fitted(array, target, item.column.name, misfits, as_declared))
    if misfits.reasons:
        guards = {item.column.name: index for index, item in enumerate(selected) if item.is_guard}
        for row, (reason, column) in sorted(misfits.reasons.items()):
            context.reject(raw_row(batch, selected[:count], guards, row), reason, column)
    return kept(arrays, context.schema, misfits, batch.num_rows)


def decoded(sent: pa.Array, target: pa.DataType, column: str, misfits: Misfits) -> pa.Array:
    """Binary numerics as decimals; a batch with a value that the declared type does not allow goes by way of text."""
    try:
        values, special = decimals(sent, target)
    except OddNumeric:
        texts = pa.array([None if value is None else spelled(value) for value in sent.to_pylist()], pa.string())
        return fitted(texts, target, column, misfits, as_declared)
    for row in places(special) if special is not None else ():
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


def beyond(array: pa.Array) -> Iterator[tuple[int, str]]:
    """Yields the rows with a time that wrapped around on the way, and why."""
    kind = array.type
    if pa.types.is_list(kind):
        found = list(beyond(storage(array.flatten())))
        if found:
            parents = pc.list_parent_indices(array)
            yield from ((parents[place].as_py(), reason) for place, reason in found)
    elif pa.types.is_timestamp(kind):
        yield from _below(array, pa.int64(), EARLIEST_US, "a timestamp that Arrow cannot hold")
    elif pa.types.is_date32(kind):
        yield from _below(array, pa.int32(), EARLIEST_DAYS, "an infinite date")
    elif pa.types.is_time64(kind):
        yield from ((row, "time 24:00") for row in places(pc.greater_equal(array.view(pa.int64()), DAY_US)))


def _below(array: pa.Array, plain: pa.DataType, limit: int, reason: str) -> Iterator[tuple[int, str]]:
    values = array.view(plain)
    least = pc.min(values).as_py()
    if least is not None and least < limit:
        yield from ((row, reason) for row in places(pc.less(values, limit)))


def raw_row(batch: pa.RecordBatch, selected: list[Item], guards: dict[str, int], row: int) -> dict[str, JsonValue]:
    raw: dict[str, JsonValue] = {}
    for index, item in enumerate(selected):
        array = storage(batch.column(index))
        guard = guards.get(item.column.name)
        text = batch.column(guard)[row].as_py() if guard is not None else None
        if item.is_sent and array[row].is_valid:
            text = spelled(array[row].as_py())
        raw[item.column.name] = text if text is not None else original(array, row)
    return raw


def original(array: pa.Array, row: int) -> JsonValue:
    """The value that PostgreSQL has, also where it wrapped around."""
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
        return [original(values, place) for place in range(len(values))]
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
