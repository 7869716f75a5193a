"""Reads one slice of SQLite through ADBC, which infers a column's type from its first rows: so an anchor row of the right
types is selected first and cut off again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Column, Dataset, Slice
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.sqlite.types import SqliteCarrier, carrier_of
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
FACTORS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
_WHOLE = r"^-?[0-9]+$"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


@dataclass(frozen=True)
class SelectedColumn:
    column: Column
    carrier: SqliteCarrier
    name: str
    """Quoted."""


def fetch_rows(
    session: Session, dataset: Dataset, piece: Slice, source: str, context: ReadContext, unit: str
) -> Iterator[FetchedBatch]:
    items = []
    for name in context.schema.names:
        column = dataset.column(name)
        if column is None:
            raise SourceChanged(f"{dataset.name}: column '{name}' is not in the catalog")
        items.append(SelectedColumn(column, carrier_of(column.source_type), quoted(name)))
    row_bytes = piece.hints.get("row_bytes")
    rows = int(context.page_bytes / max(1.0, float(row_bytes if isinstance(row_bytes, int | float) else 256)))
    options = {"adbc.sqlite.query.batch_rows": str(max(1, min(MAX_ROWS, rows)))}
    is_first = True
    for batch in session.batches(statement(items, source), options):
        if is_first:
            batch, is_first = batch.slice(1), False
        if batch.num_rows:
            yield FetchedBatch(convert_batch(batch, items, context, unit), batch.num_rows)


def statement(items: list[SelectedColumn], source: str) -> str:
    """Values, then SQLite's literals of the rows that do not fit (NULL for all others)."""
    groups = [items[start : start + RAW_PER_ARRAY] for start in range(0, len(items), RAW_PER_ARRAY)]
    fits = conjunction([item.carrier.fits.format(item.name) for item in items])
    values = [
        f"CASE WHEN {item.carrier.fits.format(item.name)} THEN {item.carrier.value.format(item.name)} END"
        for item in items
    ]
    raws = [
        f"CASE WHEN {fits} THEN NULL ELSE json_array({', '.join(f'quote({item.name})' for item in group)}) END"
        for group in groups
    ]
    named = [f"{sql} AS c{index}" for index, sql in enumerate([*values, *raws])]
    anchor = [*(item.carrier.wire for item in items), *("''" for _ in groups)]
    anchors = [f"{sql} AS c{index}" for index, sql in enumerate(anchor)]
    return f"SELECT {', '.join(anchors)} UNION ALL SELECT * FROM (SELECT {', '.join(named)} {source})"


def convert_batch(
    batch: pa.RecordBatch, items: list[SelectedColumn], context: ReadContext, unit: str
) -> pa.RecordBatch:
    misfits, arrays = Misfits(), []
    raws = batch.columns[len(items) :]
    if raws:
        for row in rows_where(raws[0].is_valid()):
            column = misfit_column(batch, items, raw_row(batch, items, raws, row), row)
            misfits.add(row, "stored as another type than the column declares", column)
    for index, item in enumerate(items):
        target = context.schema.field(index).type
        arrays.append(
            fit_array(batch.column(index), target, item.column.name, misfits, lambda a, t: convert_array(a, t, unit))
        )
    for row, (reason, column) in sorted(misfits.reasons.items()):
        context.reject(raw_row(batch, items, raws, row), reason, column)
    return without_misfits(arrays, context.schema, misfits, batch.num_rows)


def convert_array(array: pa.Array, target: pa.DataType, unit: str) -> pa.Array:
    """Raises where any value does not fit."""
    if pa.types.is_string(target):
        array.validate(full=True)  # SQLite does not check that text is UTF-8
        return array
    if pa.types.is_boolean(target):
        return array.cast(pa.bool_())
    if pa.types.is_timestamp(target):
        return times_of(array, FACTORS[unit])
    if pa.types.is_date32(target):
        return dates_of(times_of(array, FACTORS[unit]))
    if pa.types.is_time64(target):
        return times_of_day(array, target)
    return cast_exactly(array, target)


def times_of(array: pa.Array, factor: int) -> pa.Array:
    """Times as text to microseconds: whole numbers since 1970, ISO 8601 without a zone, and with one as UTC."""
    is_number = pc.match_substring_regex(array, _WHOLE)
    has_zone = pc.and_not(pc.match_substring_regex(array, _ZONE), pc.match_substring_regex(array, _DATE))
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(pc.or_(is_number, has_zone), nothing, array)
    times = plain.cast(pa.timestamp("us"))
    if pc.any(is_number).as_py():
        numbers = pc.if_else(is_number, array, nothing).cast(pa.int64())
        micros = pc.multiply_checked(numbers, pa.scalar(factor, pa.int64()))
        times = pc.coalesce(times, micros.cast(pa.timestamp("us")))
    if pc.any(has_zone).as_py():
        zoned = pc.if_else(has_zone, array, nothing).cast(pa.timestamp("us", "UTC"))
        times = pc.coalesce(times, zoned.cast(pa.timestamp("us")))
    return times


def dates_of(moments: pa.Array) -> pa.Array:
    """Raises where there is a time of day, which a date cannot hold."""
    dates = moments.cast(pa.date32())
    if pc.any(pc.not_equal(dates.cast(pa.timestamp("us")), moments)).as_py():
        raise ValueError("a date with a time of day")
    return dates


def times_of_day(array: pa.Array, target: pa.DataType) -> pa.Array:
    """`HH:MM`, with seconds and a fraction or without. Arrow reads a time of day only as part of a timestamp."""
    return pc.binary_join_element_wise("1970-01-01", array, "T").cast(pa.timestamp("us")).cast(target)


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
    """A literal of SQLite's `quote()` as JSON; a blob as its hexadecimal digits, as `X'..'`."""
    if literal == "NULL":
        return None
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
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
