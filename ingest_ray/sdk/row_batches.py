"""Record batches from rows of plain values; a row that does not fit the schema goes to quarantine with its raw values."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext

Row = Mapping[str, Any]
BATCH_ROWS = 1_000


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read: `raw` is kept in quarantine, with the reason and, where it is known, the column."""

    raw: Mapping[str, Any]
    reason: str
    column: str | None = None


def batches_of(rows: Iterable[Row | BadRow], context: ReadContext) -> Iterator[pa.RecordBatch]:
    """Yields the rows in `context.schema`, in batches of at most 1,000 rows and about `context.page_bytes`.

    A field that a row does not have is NULL; a field that the schema does not have is left out. Text is converted to the
    column's type. A row with a value that does not fit, and a `BadRow`, are rejected.
    """
    pending: list[Row] = []
    size = 0
    for row in rows:
        if isinstance(row, BadRow):
            context.reject(_as_json(row.raw), row.reason, row.column)
            continue
        pending.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))
        if len(pending) == BATCH_ROWS or size >= context.page_bytes:
            yield _batch(pending, context)
            pending, size = [], 0
    if pending:
        yield _batch(pending, context)


def _batch(rows: Sequence[Row], context: ReadContext) -> pa.RecordBatch:
    columns = [_column([row.get(field.name) for row in rows], field) for field in context.schema]
    if any(column is None for column in columns):
        good = [values for values in (_fitting_row(row, context) for row in rows) if values is not None]
        columns = [
            pa.array([values[index] for values in good], field.type) for index, field in enumerate(context.schema)
        ]
    return pa.RecordBatch.from_arrays(columns, schema=context.schema)


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array | None:
    """Returns the values in the field's type; None where one of them does not fit."""
    try:
        array = pa.array(values, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        try:
            array = pa.array([None if value is None else str(value) for value in values]).cast(field.type)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return None
    return array if field.nullable or not array.null_count else None


def _fitting_row(row: Row, context: ReadContext) -> list[Any] | None:
    """Returns the row's values in the schema's order and types; None where one does not fit, and the row was rejected."""
    values = []
    for field in context.schema:
        try:
            values.append(_scalar(row.get(field.name), field).as_py())
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            context.reject(_as_json(row), f"{type(error).__name__}: {error}", field.name)
            return None
    return values


def _scalar(value: Any, field: pa.Field) -> pa.Scalar:
    if value is None:
        if not field.nullable:
            raise ValueError("the column has no value, and may not be NULL")
        return pa.scalar(None, field.type)
    try:
        return pa.scalar(value, field.type)
    except (pa.ArrowException, ValueError, TypeError):
        return pa.scalar(str(value)).cast(field.type)


def _as_json(row: Mapping[str, Any]) -> dict[str, JsonValue]:
    return {str(name): _json_value(value) for name, value in row.items()}


def _json_value(value: Any) -> JsonValue:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return _as_json(value)
        case list() | tuple():
            return [_json_value(item) for item in value]
    return str(value)
