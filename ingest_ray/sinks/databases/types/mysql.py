"""Maps Arrow types to those of MySQL and MariaDB: https://dev.mysql.com/doc/refman/8.4/en/data-types.html"""

import pyarrow as pa

from ingest_ray.sinks.databases.types.temporal import TemporalTypes, map_temporal
from ingest_ray.sinks.type_mapping import TypeMapping, TypeRules, decimal_type, digits_of, is_bytes, is_text, widened

TEXT = "longtext"
_TEMPORAL = TemporalTypes(
    database="MySQL",
    timestamp="datetime(6)",
    instant="datetime(6)",
    time="time(6)",
    text=TEXT,
    instant_is_widened="the instant, in UTC: MySQL's own type ends in 2038",
    interval="ISO 8601 text",
)
_INTEGERS = {8: "tinyint", 16: "smallint", 32: "int", 64: "bigint"}


def map_leaf(kind: pa.DataType) -> TypeMapping:
    if pa.types.is_integer(kind):
        sign = "" if pa.types.is_signed_integer(kind) else " unsigned"
        return TypeMapping(kind, f"{_INTEGERS[kind.bit_width]}{sign}")
    if pa.types.is_boolean(kind):
        return widened(pa.int8(), "boolean", "0 and 1")
    if pa.types.is_float64(kind):
        return widened(pa.float64(), "double", "-0.0 becomes 0; NaN and infinities are refused")
    if pa.types.is_floating(kind):
        return widened(pa.float64(), "double", "as double; -0.0 becomes 0; NaN and infinities are refused")
    if isinstance(kind, pa.BaseExtensionType) or is_text(kind):
        return TypeMapping(pa.string(), TEXT)
    if is_bytes(kind):
        return TypeMapping(pa.binary(), "longblob")
    if pa.types.is_decimal(kind):
        return _map_decimal(kind)
    if pa.types.is_null(kind):
        return widened(pa.string(), TEXT, "a column that is always NULL")
    if pa.types.is_date(kind):
        return TypeMapping(pa.date32(), "date")
    return map_temporal(kind, _TEMPORAL)


def _map_decimal(kind: pa.DataType) -> TypeMapping:
    digits, scale = digits_of(kind)
    if digits > 65 or scale > 30:
        return widened(pa.string(), TEXT, "MySQL keeps 65 digits, 30 of them decimals: text in full digits")
    arrow, sink_type = decimal_type(digits, scale), f"decimal({digits},{scale})"
    return TypeMapping(arrow, sink_type) if kind.scale >= 0 else widened(arrow, sink_type, "no scale below zero")


def map_nested(kind: pa.DataType) -> TypeMapping:
    return widened(pa.string(), TEXT, "JSON: decimals and times as text, bytes as hexadecimal digits")


MYSQL_TYPES = TypeRules(map_leaf, map_nested)
