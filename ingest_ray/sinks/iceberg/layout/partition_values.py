"""The values of partitions as the format stores them: years, months, days and hours are numbers, counted from 1970.

https://iceberg.apache.org/spec/#partition-transforms. A date or time of any year has its number, and only NULL is in the partition of NULL.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.conversions import from_bytes, to_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import PrimitiveType

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Partition
from ingest_ray.sdk.types.layout import ENDPOINT
from ingest_ray.sinks.layout.transforms import partition_values

Encoded = tuple[str | None, ...]
"""One partition: each value as the hexadecimal form of its binary one, as JSON can have it; None for NULL."""

_UNITS = {"year": "Y", "month": "M", "day": "D", "hour": "h"}
_MOST_HOURS = 2**31 - 1


def stored_values(partition: Partition, rows: pa.RecordBatch, endpoint_id: str) -> pa.Array:
    """Numbers for dates and times, also by the column itself. A column that the rows do not have is NULL."""
    if partition.transform != ENDPOINT and partition.column not in rows.schema.names:
        return pa.nulls(rows.num_rows, pa.int32())
    if partition.transform in _UNITS:
        return _counted(partition, rows.column(partition.column))
    found = partition_values(partition, rows, endpoint_id)
    kind = found.type
    if pa.types.is_date32(kind):
        return found.view(pa.int32())
    return found.view(pa.int64()) if pa.types.is_timestamp(kind) or pa.types.is_time64(kind) else found


def value_types(spec: PartitionSpec, schema: Schema) -> list[PrimitiveType]:
    found = [field.field_type for field in spec.partition_type(schema).fields]
    return [kind for kind in found if isinstance(kind, PrimitiveType)]


def encoded(values: Sequence[Any], kinds: Sequence[PrimitiveType]) -> Encoded:
    return tuple(None if one is None else to_bytes(kind, one).hex() for one, kind in zip(values, kinds, strict=True))


def decoded(partition: Sequence[str | None], kinds: Sequence[PrimitiveType]) -> Record:
    pairs = zip(partition, kinds, strict=True)
    return Record(*(None if one is None else from_bytes(kind, bytes.fromhex(one)) for one, kind in pairs))


def partition_of(file: DataFile) -> tuple[Any, ...]:
    """The values of its partition, as the manifest has them."""
    return tuple(file.partition[position] for position in range(len(file.partition)))


def divided(
    rows: pa.RecordBatch, partitions: Sequence[Partition], kinds: Sequence[PrimitiveType], endpoint_id: str
) -> Iterator[tuple[Encoded, pa.RecordBatch]]:
    """The rows of each partition, in their order."""
    if not rows.num_rows:
        return
    columns = [_dictionary(stored_values(one, rows, endpoint_id)) for one in partitions]
    codes = np.zeros(rows.num_rows, np.int64)
    for column in columns:
        numbers = codes * len(column.dictionary) + column.indices.to_numpy(zero_copy_only=False)
        codes = np.unique(numbers, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for first, last in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        row = int(order[first])
        values = [column.dictionary[column.indices[row].as_py()].as_py() for column in columns]
        chosen = rows if len(starts) == 1 else rows.take(pa.array(order[first:last]))
        yield encoded(values, kinds), chosen


def _dictionary(values: pa.Array) -> pa.DictionaryArray:
    return pc.dictionary_encode(values, null_encoding="encode")


def _counted(partition: Partition, column: pa.Array) -> pa.Array:
    unit = _UNITS[partition.transform]
    is_null = column.is_null()
    if pa.types.is_date32(column.type):
        numbers = pc.fill_null(column.view(pa.int32()), 0).to_numpy(zero_copy_only=False).astype("datetime64[D]")
    else:
        numbers = pc.fill_null(column.view(pa.int64()), 0).to_numpy(zero_copy_only=False).astype("datetime64[us]")
    counted = numbers.astype(f"datetime64[{unit}]").astype(np.int64)
    if counted.size and np.abs(counted).max() > _MOST_HOURS:
        raise SinkRejected(
            f"layout.partition_by: {partition}: column '{partition.column}' has a time that is too far away to be counted in hours",
            hint="partition by its day, month or year",
        )
    return pc.if_else(is_null, pa.scalar(None, pa.int32()), pa.array(counted, pa.int64()).cast(pa.int32()))
