"""What a row of a model tells of the source row that it was made from: its key as text, and its version as a number."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ingest_ray.cdm.models import READ_VERSIONS, READ_VERSIONS_END, SOURCE_KEY

KEY_CHARS = 200  # of a source key; what is longer keeps its beginning and gets a hash


def source_keys(page: pa.RecordBatch, names: Sequence[str]) -> list[str | None]:
    """One column as it is, more as a JSON list; None where the unit has no key."""
    if not names:
        return [None] * page.num_rows
    return [key_text(values) for values in zip(*(page.column(name).to_pylist() for name in names), strict=True)]


def key_text(values: Sequence[Any]) -> str:
    text = str(values[0]) if len(values) == 1 else json.dumps([None if v is None else str(v) for v in values])
    if len(text) <= KEY_CHARS:
        return text
    return f"{text[: KEY_CHARS - 33]}#{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def source_versions(page: pa.RecordBatch, cursor: str | None, read_at: int) -> list[int]:
    """The cursor as a number that grows with it; where a row has none, a version by the time at which its run began to read.

    Versions of the two kinds are not comparable: between them, the later arrival wins.
    """
    by_reading = READ_VERSIONS + read_at
    if cursor is None or cursor not in page.schema.names:
        return [by_reading] * page.num_rows
    values = page.column(cursor)
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    return [by_reading if number is None else _bounded(number) for number in _numbers(values)]


def _numbers(column: pa.Array) -> list[int | None]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return list(column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).to_pylist())
    if pa.types.is_date(kind):
        return list(column.cast(pa.date32()).cast(pa.int32()).to_pylist())
    if pa.types.is_integer(kind):
        return list(column.to_pylist())
    convert = next((convert for fits, convert in _CONVERSIONS if fits(kind)), None)
    if convert is None:
        return [None] * len(column)
    return [None if value is None else convert(value) for value in column.to_pylist()]


def _of_fraction(value: float | Decimal) -> int | None:
    return int(value * 10**6 // 1) if math.isfinite(value) else None


def _of_bytes(value: bytes) -> int | None:
    """A row version of at most eight bytes, such as SQL Server's."""
    return int.from_bytes(value, "big") if len(value) <= 8 else None


def _of_text(value: str) -> int | None:
    """A time in ISO form, as SQLite keeps it; without a zone it counts as UTC."""
    if not _ISO_TIME.match(value):
        return None
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


_ISO_TIME = re.compile(r"\s*\d{4}-\d\d-\d\d([ T]\d\d:\d\d|\s*$)")
_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], int | None]], ...] = (
    (pa.types.is_floating, _of_fraction),
    (pa.types.is_decimal, _of_fraction),
    (lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind), _of_text),
    (lambda kind: pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind), _of_bytes),
)


def _bounded(number: int) -> int:
    return max(READ_VERSIONS_END, min(number, 2**63 - 1))


def keys_as_text(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The keys of source rows, as `_source_key` has them."""
    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array(source_keys(batch, names), pa.string())], names=[SOURCE_KEY])


def keys_from_text(batches: Iterable[pa.RecordBatch], keys: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The other way. Keys that were too long to be kept whole are left out: nothing is derived from them."""
    for batch in batches:
        texts = [text for text in batch.column(0).to_pylist() if len(text) < KEY_CHARS]
        rows = [[text] for text in texts] if len(keys) == 1 else [json.loads(text) for text in texts]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(keys)
        arrays = [pa.array(list(values), pa.string()).cast(f.type) for values, f in zip(columns, keys, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=keys)
