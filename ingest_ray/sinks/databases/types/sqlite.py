"""Maps Arrow types to SQLite's five storage classes: https://www.sqlite.org/datatype3.html

Decimals, times and dates become text. Floats get a column without a type (`any`): a column of type REAL stores -0.0 as 0.
"""

import pyarrow as pa

from ingest_ray.sinks.type_mapping import TypeMapping, TypeRules, is_bytes, is_text, refused, widened
from ingest_ray.sinks.value_limits import ValueLimits

_WIDE_INTEGERS = "integers above 2^63 do not fit: text"


def map_leaf(kind: pa.DataType) -> TypeMapping:
    if pa.types.is_uint64(kind):
        return widened(pa.string(), "text", _WIDE_INTEGERS)
    if pa.types.is_integer(kind):
        return TypeMapping(kind if pa.types.is_signed_integer(kind) else pa.int64(), "integer")
    if pa.types.is_boolean(kind):
        return widened(pa.int64(), "integer", "0 and 1")
    if pa.types.is_floating(kind):
        return TypeMapping(pa.float64(), "any", note="NaN goes to quarantine, for SQLite would store NULL")
    if isinstance(kind, pa.BaseExtensionType) or is_text(kind):
        return TypeMapping(pa.string(), "text")
    if is_bytes(kind):
        return TypeMapping(pa.binary(), "blob")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "integer", f"a number of '{kind.unit}'")
    if pa.types.is_decimal(kind):
        return widened(pa.string(), "text", "text in full digits")
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return widened(pa.string(), "text", "text YYYY-MM-DD HH:MM:SS.ffffff" + (" in UTC" if kind.tz else ""))
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return widened(pa.string(), "text", "ISO 8601 text")
    if pa.types.is_interval(kind):
        return widened(pa.string(), "text", "ISO 8601 text")
    if pa.types.is_null(kind):
        return widened(pa.string(), "text", "a column that is always NULL")
    return refused(kind, f"SQLite has no type for '{kind}'")


def map_nested(kind: pa.DataType) -> TypeMapping:
    return widened(pa.string(), "text", "JSON: decimals and times as text, bytes as hexadecimal digits")


SQLITE_TYPES = TypeRules(map_leaf, map_nested)
SQLITE_LIMITS = ValueLimits("SQLite", has_nan=False)
