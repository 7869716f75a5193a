"""Reads one slice of SQLite through ADBC, which infers a column's type from its first rows: so an anchor row of the right
types is selected first and cut off again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Column, Dataset, Slice
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.sqlite.times import IntegerTime, dates_of, times_of, times_of_day, unit_of
from ingest_strategies.jdbc.sqlite.types import SqliteCarrier, carrier_of, effective_type
from ingest_strategies.jdbc.standard_sql import quoted
from ingest_strategies.jdbc.values.convert import (
    Misfits,
    cast_exactly,
    fit_array,
    raw_value,
    rows_where,
    without_misfits,
)

RAW_PER_ARRAY = 50  # SQLite's functions take at most 127 arguments in older builds
MAX_ROWS = 65_536
SHORT_CHAIN = 50  # terms of a conjunction that are simply written one after the other


@dataclass(frozen=True)
class SelectedColumn:
    column: Column
    carrier: SqliteCarrier
    name: str
    """Quoted."""
    integers: IntegerTime


def fetch_rows(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext, integer_time: str | None
) -> Iterator[FetchedBatch]:
    """`integer_time`: what the person declared for all columns; None: what `dataset.facts` says for each."""
    items = []
    for name in context.schema.names:
        column = dataset.column(name)
        if column is None:
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        carrier = carrier_of(effective_type(dataset, column))
        items.append(SelectedColumn(column, carrier, quoted(name), unit_of(dataset, name, integer_time)))
    row_bytes = piece.hints.get("row_bytes")
    rows = int(context.page_bytes / max(1.0, float(row_bytes if isinstance(row_bytes, int | float) else 256)))
    options = {"adbc.sqlite.query.batch_rows": str(max(1, min(MAX_ROWS, rows)))}
    is_first = True
    for batch in session.batches(statement(items, source), options):
        if is_first:
            batch, is_first = batch.slice(1), False
        if batch.num_rows:
            yield FetchedBatch(convert_batch(batch, items, context), batch.num_rows)


def statement(items: list[SelectedColumn], source: str) -> str:
    """Values, then SQLite's literals of the rows that do not fit (NULL for all others)."""
    groups = [items[start : start + RAW_PER_ARRAY] for start in range(0, len(items), RAW_PER_ARRAY)]
    fits = conjunction([item.carrier.fits.format(item.name) for item in items])
    values = [
        f"CASE WHEN {item.carrier.fits.format(item.name)} THEN {item.carrier.value.format(item.name)} END"
        for item in items
    ]
    raws = [
        f"CASE WHEN {fits} THEN NULL ELSE json_array({', '.join(stored_literal(item.name) for item in group)}) END"
        for group in groups
    ]
    named = [f"{sql} AS c{index}" for index, sql in enumerate([*values, *raws])]
    anchor = [*(item.carrier.wire for item in items), *("''" for _ in groups)]
    anchors = [f"{sql} AS c{index}" for index, sql in enumerate(anchor)]
    return f"SELECT {', '.join(anchors)} UNION ALL SELECT * FROM (SELECT {', '.join(named)} {source})"


def stored_literal(name: str) -> str:
    """`quote()` ends a text at its first NUL, so texts travel as the digits of their bytes."""
    return f"CASE typeof({name}) WHEN 'text' THEN 'T' || hex(CAST({name} AS BLOB)) ELSE quote({name}) END"


def convert_batch(batch: pa.RecordBatch, items: list[SelectedColumn], context: ReadContext) -> pa.RecordBatch:
    misfits, arrays = Misfits(), []
    raws = batch.columns[len(items) :]
    if raws:
        for row in rows_where(raws[0].is_valid()):
            column = misfit_column(batch, items, raw_row(batch, items, raws, row), row)
            misfits.add(row, "stored as another type than the column declares", column)
    for index, item in enumerate(items):
        target = context.schema.field(index).type
        convert = partial(convert_array, integers=item.integers)
        arrays.append(fit_array(batch.column(index), target, item.column.name, misfits, convert))
    for row, (reason, column) in sorted(misfits.reasons.items()):
        context.reject(raw_row(batch, items, raws, row), reason, column)
    return without_misfits(arrays, context.schema, misfits, batch.num_rows)


def convert_array(array: pa.Array, target: pa.DataType, integers: IntegerTime) -> pa.Array:
    """Raises where any value does not fit."""
    if pa.types.is_string(target):
        array.validate(full=True)  # SQLite does not check that text is UTF-8
        return array
    if pa.types.is_boolean(target):
        return array.cast(pa.bool_())
    if pa.types.is_timestamp(target):
        return times_of(array, integers)
    if pa.types.is_date32(target):
        return dates_of(times_of(array, integers))
    if pa.types.is_time64(target):
        return times_of_day(array, target)
    return cast_exactly(array, target)


def misfit_column(batch: pa.RecordBatch, items: list[SelectedColumn], raw: dict[str, JsonValue], row: int) -> str:
    """The first column with a value that the test in SQL refused."""
    for index, item in enumerate(items):
        if raw[item.column.name] is not None and not batch.column(index)[row].is_valid:
            return item.column.name
    return items[0].column.name


def raw_row(batch: pa.RecordBatch, items: list[SelectedColumn], raws: list[pa.Array], row: int) -> dict[str, JsonValue]:
    """The stored values: as SQLite's own literals where the row was refused in SQL, else as they were read."""
    if not raws[0][row].is_valid:
        return {item.column.name: raw_value(batch.column(index), row) for index, item in enumerate(items)}
    literals = [literal for raw in raws for literal in json.loads(raw[row].as_py())]
    return {item.column.name: stored_value(literal) for item, literal in zip(items, literals, strict=True)}


def stored_value(literal: str) -> JsonValue:
    """A `stored_literal` as JSON; a blob, and a text that is no UTF-8, as its hexadecimal digits, as `X'..'`."""
    if literal == "NULL":
        return None
    if literal.startswith("T"):
        stored = bytes.fromhex(literal[1:])
        try:
            return stored.decode()
        except UnicodeDecodeError:
            return f"X'{stored.hex().upper()}'"
    try:
        return int(literal)
    except ValueError:
        return literal


def conjunction(terms: Sequence[str]) -> str:
    """SQLite's expressions are at most 1,000 deep, and a chain of AND is as deep as it is long: so it is built by halves.

    https://www.sqlite.org/limits.html
    """
    if len(terms) <= SHORT_CHAIN:
        return " AND ".join(terms)
    middle = len(terms) // 2
    return f"({conjunction(terms[:middle])}) AND ({conjunction(terms[middle:])})"
