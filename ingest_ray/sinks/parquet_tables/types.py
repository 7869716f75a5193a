"""Parquet's types for Arrow's, of those that every usual reader takes: DuckDB, Spark, Trino, Athena, BigQuery, Snowflake.

Parquet has more (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md): unsigned integers, times of day, nanoseconds
and UUIDs, which Spark refuses to read, so that the whole file could not be read there.
"""

import pyarrow as pa

from ingest_ray.sinks.type_mapping import (
    TypeMapping,
    TypeRules,
    instant_note,
    is_bytes,
    is_text,
    map_decimal,
    refused,
    widened,
)
from ingest_ray.sinks.value_limits import ValueLimits

_UNSIGNED = "not every reader of Parquet takes unsigned integers"
_WIDER = {
    pa.uint8(): widened(pa.int16(), "INT(16)", _UNSIGNED),
    pa.uint16(): widened(pa.int32(), "INT32", _UNSIGNED),
    pa.uint32(): widened(pa.int64(), "INT64", _UNSIGNED),
    pa.uint64(): widened(pa.decimal128(20, 0), "DECIMAL(20,0)", _UNSIGNED),
    pa.float16(): widened(pa.float32(), "FLOAT", "not every reader of Parquet takes half floats"),
    pa.null(): widened(pa.string(), "STRING", "a column that is always NULL"),
}
_LONG_DECIMAL = widened(pa.string(), "STRING", "readers of Parquet take 38 digits: text in full digits")
_SAME = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "INT(8)",
    pa.int16(): "INT(16)",
    pa.int32(): "INT32",
    pa.int64(): "INT64",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
}


def map_leaf(kind: pa.DataType) -> TypeMapping:
    if kind in _SAME:
        return TypeMapping(kind, _SAME[kind])
    if kind in _WIDER:
        return _WIDER[kind]
    if isinstance(kind, pa.BaseExtensionType):  # uuid and json
        return TypeMapping(pa.string(), "STRING", note=f"{kind.extension_name} as text")
    if is_text(kind):
        return TypeMapping(pa.string(), "STRING")
    if is_bytes(kind):
        return TypeMapping(pa.binary(), "BYTE_ARRAY")
    if pa.types.is_date64(kind):
        return TypeMapping(pa.date32(), "DATE")
    if pa.types.is_timestamp(kind):
        return _timestamp(kind)
    if pa.types.is_decimal(kind):
        return map_decimal(kind, "DECIMAL", 38, _LONG_DECIMAL)
    if pa.types.is_time(kind):
        return widened(pa.string(), "STRING", "not every reader takes times of day: text HH:MM:SS.ffffff")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "INT64", f"Parquet has no durations: a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "STRING", "ISO 8601 text")
    return refused(kind, f"Parquet has no type for '{kind}'")


def _timestamp(kind: pa.DataType) -> TypeMapping:
    if kind.unit == "ns":
        return widened(pa.string(), "STRING", "not every reader takes nanoseconds: text with nine decimals")
    if kind.tz is None:
        return TypeMapping(pa.timestamp("us"), "TIMESTAMP(MICROS), local")
    return TypeMapping(pa.timestamp("us", "UTC"), "TIMESTAMP(MICROS), UTC", note=instant_note(kind))


PARQUET_TYPES = TypeRules(map_leaf)
PARQUET_LIMITS = ValueLimits("Parquet")
