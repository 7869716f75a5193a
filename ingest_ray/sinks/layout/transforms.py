"""The values of partitions: Iceberg's transforms (https://iceberg.apache.org/spec/#partition-transforms) over Arrow columns.

`year` is a whole number, `month` a text such as `2026-11`, `day` a date, `hour` a text such as `2026-11-30-15`, of a time with a zone
in UTC; `bucket` a whole number; `truncate` has the type of its column. NULL stays NULL; so does a date or time outside the years 1 to
9999, of which months and days have no agreed text.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.sdk.types.layout import ENDPOINT, Partition
from ingest_ray.sinks.layout.murmur3 import hash_bytes, hash_longs
from ingest_ray.sinks.parquet import FIRST_DAY, LAST_DAY, units_per_day

_TIMES = {"year": pa.int32(), "month": pa.string(), "day": pa.date32(), "hour": pa.string()}
_FORMATS = {"month": "%Y-%m", "hour": "%Y-%m-%d-%H"}


def partition_type(partition: Partition, kind: pa.DataType) -> pa.DataType | None:
    """The type of the partition's values for a column of type `kind`; None where the transform does not take it."""
    is_date, is_time = pa.types.is_date32(kind), pa.types.is_timestamp(kind)
    if partition.transform == ENDPOINT:
        return pa.string()
    if partition.transform in _TIMES:
        return _TIMES[partition.transform] if is_time or (is_date and partition.transform != "hour") else None
    is_plain = pa.types.is_integer(kind) or pa.types.is_string(kind)
    if partition.transform == "bucket":
        is_hashed = is_plain or is_date or is_time or pa.types.is_decimal128(kind) or pa.types.is_binary(kind)
        return pa.int32() if is_hashed else None
    if partition.transform == "truncate":
        return kind if is_plain else None
    return kind


def partition_values(partition: Partition, batch: pa.RecordBatch, endpoint_id: str) -> pa.Array:
    if partition.transform == ENDPOINT:
        return pa.repeat(pa.scalar(endpoint_id, pa.string()), batch.num_rows)
    column = batch.column(partition.column)
    if partition.transform in _TIMES:
        return _time_values(partition.transform, column)
    if partition.transform == "bucket":
        return _buckets(column, partition.parameter or 1)
    if partition.transform == "truncate":
        return _truncated(column, partition.parameter or 1)
    return column


def _time_values(transform: str, column: pa.Array) -> pa.Array:
    units = units_per_day(column.type)
    numbers = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    is_known = pc.and_(pc.greater_equal(numbers, FIRST_DAY * units), pc.less(numbers, (LAST_DAY + 1) * units))
    column = pc.if_else(is_known, column, pa.scalar(None, column.type))
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp(column.type.unit))  # the same instants, in UTC
    if transform == "year":
        return pc.year(column).cast(pa.int32())
    if transform == "day":
        return (
            column.cast(pa.date32())
            if pa.types.is_date32(column.type)
            else pc.floor_temporal(column, unit="day").cast(pa.date32())
        )
    seconds = (
        column.cast(pa.timestamp("s"), safe=False)
        if not pa.types.is_timestamp(column.type)
        else pc.floor_temporal(column, unit="hour").cast(pa.timestamp("s"))
    )
    return pc.strftime(seconds, format=_FORMATS[transform])


def _buckets(column: pa.Array, count: int) -> pa.Array:
    kind, is_null = column.type, column.is_null()
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        hashes = _hash_texts(column)
    elif pa.types.is_decimal(kind):
        hashes = _hash_texts(pa.array([_unscaled(value, kind.scale) for value in column.to_pylist()], pa.binary()))
    else:
        whole = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        numbers = column.cast(whole) if not pa.types.is_integer(kind) else column
        hashes = hash_longs(pc.fill_null(numbers.cast(pa.int64()), 0).to_numpy(zero_copy_only=False))
    buckets = pa.array((hashes & np.int32(0x7FFFFFFF)) % np.int32(count), pa.int32())
    return pc.if_else(is_null, pa.scalar(None, pa.int32()), buckets)


def _hash_texts(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    plain = pa.concat_arrays([column.cast(pa.large_binary())])  # an array of its own: without an offset
    _, offsets, data = plain.buffers()
    ends = np.frombuffer(offsets, np.int64, len(plain) + 1, plain.offset * 8) if len(plain) else np.zeros(1, np.int64)
    return hash_bytes(np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), ends)


def _unscaled(value: object, scale: int) -> bytes | None:
    """The number without its point, in as few bytes as hold it, the highest first."""
    if value is None:
        return None
    number = int(value.scaleb(scale))  # type: ignore[attr-defined]
    return number.to_bytes(((number if number >= 0 else ~number).bit_length() // 8) + 1, "big", signed=True)


def _truncated(column: pa.Array, width: int) -> pa.Array:
    if pa.types.is_string(column.type):
        return pc.utf8_slice_codeunits(column, 0, width)
    numbers = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    rest, lowest = np.mod(numbers, np.int64(width)), np.int64(np.iinfo(column.type.to_pandas_dtype()).min)
    with np.errstate(over="ignore"):  # a multiple below the type's lowest number becomes that number
        floored = np.where(numbers < lowest + rest, lowest, numbers - rest)
    return pc.if_else(column.is_null(), pa.scalar(None, column.type), pa.array(floored, pa.int64()).cast(column.type))
