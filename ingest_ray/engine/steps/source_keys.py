"""What a row of a model tells of the source row that it was made from: its key as text, and its version as a number."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from ingest_ray.cdm.models import SOURCE_KEY

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


def source_versions(page: pa.RecordBatch, cursor: str | None) -> list[int | None]:
    """Instants as microseconds, integers as they are; a cursor of another type tells no order, and the later arrival wins."""
    if cursor is None or cursor not in page.schema.names:
        return [None] * page.num_rows
    column = page.column(cursor)
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    elif not pa.types.is_integer(kind) or pa.types.is_uint64(kind):
        return [None] * page.num_rows
    return list(column.cast(pa.int64()).to_pylist())


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
