"""Iceberg's types of format version 2 for Arrow's: https://iceberg.apache.org/spec/#primitive-types

Format version 2 has neither nanoseconds, unsigned or short integers, durations, intervals nor decimals beyond 38 digits.
"""

import pyarrow as pa

from ingest_ray.sinks.type_mapping import TypeMapping, TypeRules, instant_note, is_text, map_decimal, refused, widened
from ingest_ray.sinks.value_limits import ValueLimits

_WIDER = {
    pa.int8(): widened(pa.int32(), "int", "Iceberg has no shorter integers"),
    pa.int16(): widened(pa.int32(), "int", "Iceberg has no shorter integers"),
    pa.uint8(): widened(pa.int32(), "int", "Iceberg has no unsigned integers"),
    pa.uint16(): widened(pa.int32(), "int", "Iceberg has no unsigned integers"),
    pa.uint32(): widened(pa.int64(), "long", "Iceberg has no unsigned integers"),
    pa.uint64(): widened(pa.decimal128(20, 0), "decimal(20,0)", "Iceberg has no unsigned integers"),
    pa.float16(): widened(pa.float32(), "float", "Iceberg has no half floats"),
    pa.null(): widened(pa.string(), "string", "a column that is always NULL"),
}
_LONG_DECIMAL = widened(pa.string(), "string", "Iceberg keeps 38 digits: text in full digits")
_SAME = {
    pa.bool_(): "boolean",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
}


def map_leaf(kind: pa.DataType) -> TypeMapping:
    if kind in _SAME:
        return TypeMapping(kind, _SAME[kind])
    if kind in _WIDER:
        return _WIDER[kind]
    if isinstance(kind, pa.BaseExtensionType):
        is_uuid = str(kind.extension_name) == "arrow.uuid"
        return TypeMapping(pa.uuid(), "uuid") if is_uuid else TypeMapping(pa.string(), "string", note="JSON as text")
    if is_text(kind):
        return TypeMapping(pa.string(), "string")
    if pa.types.is_fixed_size_binary(kind):
        return TypeMapping(kind, f"fixed[{kind.byte_width}]")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return TypeMapping(pa.binary(), "binary")
    if pa.types.is_date64(kind):
        return TypeMapping(pa.date32(), "date")
    if pa.types.is_decimal(kind):
        return map_decimal(kind, "decimal", 38, _LONG_DECIMAL)
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _moment(kind)
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "long", f"Iceberg has no durations: a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "string", "Iceberg has no intervals: ISO 8601 text")
    return refused(kind, f"Iceberg has no type for '{kind}'")


def _moment(kind: pa.DataType) -> TypeMapping:
    if kind.unit == "ns":
        return widened(pa.string(), "string", "format version 2 counts microseconds: text with nine decimals")
    if pa.types.is_time(kind):
        return TypeMapping(
            pa.time64("us"), "time", note="24:00:00 goes to quarantine; Spark reads no table with a time"
        )
    if kind.tz is None:
        return TypeMapping(pa.timestamp("us"), "timestamp")
    return TypeMapping(pa.timestamp("us", "UTC"), "timestamptz", note=instant_note(kind))


ICEBERG_TYPES = TypeRules(map_leaf)
ICEBERG_LIMITS = ValueLimits("Iceberg", has_end_of_day=False)
