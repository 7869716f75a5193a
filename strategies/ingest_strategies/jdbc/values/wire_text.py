"""Reads values as the server's own text and converts them to the declared types, a column at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.types import Column, Slice
from ingest_strategies.jdbc.dialect import FetchedBatch, Session
from ingest_strategies.jdbc.values.convert import Misfits, cast_exactly, fit_array, without_misfits

FIRST_ROWS = 4_096


@dataclass(frozen=True)
class SelectedColumn:
    column: Column
    sql: str


def fetch_columns(
    session: Session, selected: Sequence[SelectedColumn], piece: Slice, source: str, context: ReadContext
) -> Iterator[FetchedBatch]:
    for batch in session.batches(select_statement(selected, source), batch_options(piece, context)):
        yield FetchedBatch(convert_batch(batch, selected, context), batch.num_rows)


def select_statement(selected: Sequence[SelectedColumn], source: str) -> str:
    columns = ", ".join(f"{item.sql} AS c{index}" for index, item in enumerate(selected))
    return f"SELECT {columns} {source}"


def batch_options(piece: Slice, context: ReadContext) -> Mapping[str, str]:
    """How many rows are fetched first, by the planned bytes per row, and how many bytes a page may hold."""
    row_bytes = piece.hints.get("row_bytes")
    planned = float(row_bytes) if isinstance(row_bytes, int | float) else 256.0
    first = max(1, min(FIRST_ROWS, int(context.page_bytes / max(1.0, planned))))
    return {"first_rows": str(first), "page_bytes": str(context.page_bytes)}


def convert_batch(batch: pa.RecordBatch, selected: Sequence[SelectedColumn], context: ReadContext) -> pa.RecordBatch:
    """The batch in the declared types; rows that Arrow cannot hold go to quarantine with the server's text."""
    misfits = Misfits()
    arrays = [
        fit_array(batch.column(index), context.schema.field(index).type, item.column.name, misfits, parse_text)
        for index, item in enumerate(selected)
    ]
    for row, (reason, column) in sorted(misfits.reasons.items()):
        context.reject(raw_row(batch, selected, row), reason, column)
    return without_misfits(arrays, context.schema, misfits, batch.num_rows)


def parse_text(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Text converted to the target; raises where a value is not of that type. Values that are of the type already stay."""
    if array.type == target:
        return array
    text = array.cast(pa.string())  # checks that it is UTF-8
    if pa.types.is_timestamp(target) and target.tz:
        return cast_exactly(text, pa.timestamp(target.unit)).cast(target)
    if pa.types.is_time64(target):  # Arrow reads a time of day only as part of a timestamp
        return pc.binary_join_element_wise("1970-01-01", text, "T").cast(pa.timestamp("us")).cast(target)
    if pa.types.is_date32(target):
        _refuse_short_years(text)
    return cast_exactly(text, target)


def _refuse_short_years(text: pa.Array) -> None:
    """Every server writes a date of the years 1 to 9999 with ten characters."""
    if pc.any(pc.not_equal(pc.binary_length(text), 10)).as_py():
        raise ValueError("a date that is not written with ten characters")


def raw_row(batch: pa.RecordBatch, selected: Sequence[SelectedColumn], row: int) -> dict[str, JsonValue]:
    raw: dict[str, JsonValue] = {}
    for index, item in enumerate(selected):
        value = batch.column(index)[row].as_py()
        if isinstance(value, bytes):
            raw[item.column.name] = value.hex() if item.column.arrow == "binary" else _text(value)
        else:
            raw[item.column.name] = None
    return raw


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"X'{value.hex()}'"
