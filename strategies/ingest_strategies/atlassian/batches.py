"""Builds Arrow batches of one schema from source objects.

A value that does not fit its column sends its row to quarantine; it never becomes NULL.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SliceTooLarge
from ingest_ray.sdk.types import Slice

Reject = Callable[[Mapping[str, JsonValue], str, str | None], None]
I = TypeVar("I")  # noqa: E741
Row = Sequence[Any]


@dataclass(frozen=True)
class UnfitValue(Exception):
    """A value that its column cannot hold. `column` is None where the whole object cannot be decoded."""

    column: str | None
    reason: str


def build_batch(
    schema: pa.Schema,
    items: Sequence[I],
    row_of: Callable[[I], Row],
    raw_of: Callable[[I], Mapping[str, JsonValue]],
    reject: Reject,
) -> pa.RecordBatch:
    """`row_of` gives an item's values in the order of the schema, or raises `UnfitValue`."""
    rows = []
    for item in items:
        try:
            rows.append((item, row_of(item)))
        except UnfitValue as unfit:
            reject(raw_of(item), unfit.reason, unfit.column)
    try:
        return _to_arrow(schema, [row for _, row in rows])
    except (pa.ArrowException, ValueError, OverflowError):
        return _to_arrow(schema, list(_fitting_rows(schema, rows, raw_of, reject)))


def _fitting_rows(
    schema: pa.Schema,
    rows: Sequence[tuple[I, Row]],
    raw_of: Callable[[I], Mapping[str, JsonValue]],
    reject: Reject,
) -> Iterator[Row]:
    """Converts each value by itself to find the rows that Arrow refuses."""
    for item, row in rows:
        for field, value in zip(schema, row, strict=True):
            try:
                pa.array([value], field.type)
            except (pa.ArrowException, ValueError, OverflowError) as error:
                is_text = isinstance(value, bytes | memoryview)
                reason = "the source's text is not UTF-8" if is_text else f"{value} is no {field.type}: {error}"
                reject(raw_of(item), reason, field.name)
                break
        else:
            yield row


def _to_arrow(schema: pa.Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [_array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Text that is bytes of an answer is checked as a whole column: a check of each value costs four times as much."""
    first = next((value for value in values if value is not None), None)
    if pa.types.is_string(kind) and isinstance(first, bytes | memoryview):
        return pa.array(values, pa.binary()).cast(kind)
    return pa.array(values, kind)


def slice_batches(
    pages: Iterable[Sequence[I]],
    piece: Slice,
    context: ReadContext,
    build: Callable[[Sequence[I], Reject], pa.RecordBatch],
    bytes_of: Callable[[I], int],
    count: Callable[[Sequence[I]], int],
    *,
    is_divisible: bool,
) -> Iterator[pa.RecordBatch]:
    """Yields batches of about `page_bytes`. `count` gives how many of the planner's items (issues, pages) a page holds.

    Raises:
        SliceTooLarge: the slice exceeds its budget and can be divided.
    """
    pending: list[I] = []
    pending_bytes = total_bytes = items = 0
    for page in pages:
        pending += page
        page_bytes = sum(map(bytes_of, page))
        pending_bytes, total_bytes, items = pending_bytes + page_bytes, total_bytes + page_bytes, items + count(page)
        if total_bytes > context.budget_bytes and is_divisible:
            # The planner divides by its own items, which need not be rows: comments are planned by their issues.
            raise SliceTooLarge(f"{piece.slice_id}: {total_bytes} bytes", bytes_per_row=total_bytes / max(1, items))
        if pending_bytes >= context.page_bytes:
            yield build(pending, context.reject)
            pending, pending_bytes = [], 0
    yield build(pending, context.reject)
