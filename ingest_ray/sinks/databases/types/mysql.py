"""Maps Arrow types to those of MySQL and MariaDB: https://dev.mysql.com/doc/refman/8.4/en/data-types.html"""

import pyarrow as pa

from ingest_ray.sinks.databases.types.temporal import TemporalTypes, map_temporal
from ingest_ray.sinks.type_mapping import TypeMapping, TypeRules, decimal_type, digits_of, is_bytes, is_text, widened
from ingest_ray.sinks.value_limits import YEARS_1_TO_9999, ValueLimits

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
        return widened(pa.float64(), "double", "-0.0 becomes 0; NaN and infinities go to quarantine")
    if pa.types.is_floating(kind):
        return widened(pa.float64(), "double", "as double; -0.0 becomes 0; NaN and infinities go to quarantine")
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
MYSQL_LIMITS = ValueLimits("MySQL", days=YEARS_1_TO_9999, has_nan=False, has_infinity=False)

# InnoDB's limits: https://mariadb.com/kb/en/innodb-limitations/, https://dev.mysql.com/doc/refman/8.4/en/column-count-limit.html. A row
# takes at most half a page of 16 KiB, 8,126 bytes, of which its header and the columns of provenance need about 100.
ROW_BYTES = 8_020
_WIDTHS = {"tinyint": 1, "boolean": 1, "smallint": 2, "int": 4, "date": 3, "time(6)": 6}
_DIGITS_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4)


def column_width(sink_type: str) -> float:
    """The bytes of a column in a row, with its bit for NULL. Long text is kept outside of the row, which has its address."""
    name = sink_type.removesuffix(" unsigned")
    if name.startswith("long"):
        return 21.125
    if name.startswith("decimal"):
        digits, scale = (int(part) for part in name[8:-1].split(","))
        return 0.125 + _decimal_bytes(digits - scale) + _decimal_bytes(scale)
    return 0.125 + _WIDTHS.get(name, 8)


def _decimal_bytes(digits: int) -> int:
    return digits // 9 * 4 + _DIGITS_BYTES[digits % 9]
