"""From rows to batches of one schema. A value that does not fit its column costs its row, never its NULL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import JsonValue

Reject = Callable[[Mapping[str, JsonValue], str, str | None], None]
I = TypeVar("I")  # noqa: E741
Row = Sequence[Any]


@dataclass(frozen=True)
class Misfit(Exception):
    column: str | None
    reason: str


def batch_of(
    schema: pa.Schema,
    items: Sequence[I],
    values: Callable[[I], Row],
    raw_of: Callable[[I], Mapping[str, JsonValue]],
    reject: Reject,
) -> pa.RecordBatch:
    """`values` gives an item's row in the order of the schema, or raises `Misfit`."""
    rows = []
    for item in items:
        try:
            rows.append((item, values(item)))
        except Misfit as misfit:
            reject(raw_of(item), misfit.reason, misfit.column)
    try:
        return _arrow(schema, [row for _, row in rows])
    except (pa.ArrowException, ValueError, OverflowError):
        return _arrow(schema, list(_good(schema, rows, raw_of, reject)))


def _good(
    schema: pa.Schema,
    rows: Sequence[tuple[I, Row]],
    raw_of: Callable[[I], Mapping[str, JsonValue]],
    reject: Reject,
) -> Iterator[Row]:
    for item, row in rows:
        for field, value in zip(schema, row, strict=True):
            try:
                pa.array([value], field.type)
            except (pa.ArrowException, ValueError, OverflowError) as error:
                is_text = isinstance(value, bytes | memoryview)
                reason = "what came is not UTF-8" if is_text else f"{value} is no {field.type}: {error}"
                reject(raw_of(item), reason, field.name)
                break
        else:
            yield row


def _arrow(schema: pa.Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
