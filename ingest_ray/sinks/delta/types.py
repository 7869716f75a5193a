"""Delta's types for Arrow's: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#primitive-types

Delta has neither unsigned integers nor times, intervals or decimals beyond 38 digits; the library would silently map uint32 to a
signed int of the same width, so this module maps every type.
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

_WIDER = {
    pa.uint8(): widened(pa.int16(), "short", "Delta has no unsigned integers"),
    pa.uint16(): widened(pa.int32(), "integer", "Delta has no unsigned integers"),
    pa.uint32(): widened(pa.int64(), "long", "Delta has no unsigned integers"),
    pa.uint64(): widened(pa.decimal128(20, 0), "decimal(20,0)", "Delta has no unsigned integers"),
    pa.float16(): widened(pa.float32(), "float", "Delta has no half floats"),
    pa.null(): widened(pa.string(), "string", "a column that is always NULL"),
}
_LONG_DECIMAL = widened(pa.string(), "string", "Delta keeps 38 digits: text in full digits")
_SAME = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
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
    if isinstance(kind, pa.BaseExtensionType):  # uuid and json
        return TypeMapping(pa.string(), "string", note=f"{kind.extension_name} as text")
    if is_text(kind):
        return TypeMapping(pa.string(), "string")
    if is_bytes(kind):
        return TypeMapping(pa.binary(), "binary")
    if pa.types.is_date64(kind):
        return TypeMapping(pa.date32(), "date")
    if pa.types.is_timestamp(kind):
        return _timestamp(kind)
    if pa.types.is_decimal(kind):
        return map_decimal(kind, "decimal", 38, _LONG_DECIMAL)
    if pa.types.is_time(kind):
        return widened(pa.string(), "string", "Delta has no time of day: text HH:MM:SS.ffffff")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "long", f"Delta has no durations: a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "string", "Delta has no intervals: ISO 8601 text")
    return refused(kind, f"Delta has no type for '{kind}'")


def _timestamp(kind: pa.DataType) -> TypeMapping:
    if kind.unit == "ns":
        return widened(pa.string(), "string", "Delta counts microseconds: text with nine decimals")
    if kind.tz is None:
        return TypeMapping(pa.timestamp("us"), "timestamp_ntz")
    return TypeMapping(pa.timestamp("us", "UTC"), "timestamp", note=instant_note(kind))


DELTA_TYPES = TypeRules(map_leaf)
DELTA_LIMITS = ValueLimits("Delta")
