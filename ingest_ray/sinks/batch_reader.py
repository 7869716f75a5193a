"""Rows as a stream of Arrow for a library that takes them by place.

`pa.RecordBatchReader.from_batches` does not compare the batches with the schema that it is given
(https://arrow.apache.org/docs/python/generated/pyarrow.RecordBatchReader.html): columns in another order would be written under each
other's names.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa


def read_batches_as(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatchReader:
    """Reading raises `TypeError` at the first batch whose names or types are not those of `schema`, in its order."""
    return pa.RecordBatchReader.from_batches(schema, _checked(schema, batches))


def _checked(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found = batch.schema
        if found is not schema and (found.names != schema.names or found.types != schema.types):
            raise TypeError(f"rows of columns {_text(found)} came where {_text(schema)} were said")
        yield batch


def _text(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
