"""Types of MySQL and MariaDB for Arrow's: https://dev.mysql.com/doc/refman/8.4/en/data-types.html"""

import pyarrow as pa

from ingest_ray.sinks.type_mapping import Fit, TypeRules, digits_of, is_bytes, is_text, refused, widened

TEXT = "longtext"
_INTEGERS = {8: "tinyint", 16: "smallint", 32: "int", 64: "bigint"}


def leaf(kind: pa.DataType) -> Fit:
    if pa.types.is_integer(kind):
        sign = "" if pa.types.is_signed_integer(kind) else " unsigned"
        return Fit(kind, f"{_INTEGERS[kind.bit_width]}{sign}")
    if pa.types.is_boolean(kind):
        return widened(pa.int8(), "boolean", "0 and 1")
    if pa.types.is_float64(kind):
        return widened(pa.float64(), "double", "-0.0 becomes 0; NaN and infinities are refused")
    if pa.types.is_floating(kind):
        return widened(pa.float64(), "double", "as double; -0.0 becomes 0; NaN and infinities are refused")
    if isinstance(kind, pa.BaseExtensionType) or is_text(kind):
        return Fit(pa.string(), TEXT)
    if is_bytes(kind):
        return Fit(pa.binary(), "longblob")
    if pa.types.is_decimal(kind):
        digits, scale = digits_of(kind)
        if digits > 65 or scale > 30:
            return widened(pa.string(), TEXT, "MySQL keeps 65 digits, 30 of them decimals: text in full digits")
        made = pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
        exact = Fit(made, f"decimal({digits},{scale})")
        return exact if kind.scale >= 0 else widened(exact.arrow, exact.sink_type, "no scale below zero")
    if pa.types.is_null(kind):
        return widened(pa.string(), TEXT, "a column that is always NULL")
    return _moment(kind)


def _moment(kind: pa.DataType) -> Fit:
    if pa.types.is_date(kind):
        return Fit(pa.date32(), "date")
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        if kind.tz is None:
            return Fit(pa.timestamp("us"), "datetime(6)")
        return widened(pa.timestamp("us", "UTC"), "datetime(6)", "the instant, in UTC: MySQL's own type ends in 2038")
    if pa.types.is_time(kind) and kind.unit != "ns":
        return Fit(pa.time64("us"), "time(6)")
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return widened(pa.string(), TEXT, "text with nine decimals")
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "bigint", f"a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), TEXT, "ISO 8601 text")
    return refused(kind, f"MySQL has no type for '{kind}'")


def nested(kind: pa.DataType) -> Fit:
    return widened(pa.string(), TEXT, "JSON: decimals and times as text, bytes as hexadecimal digits")


MYSQL = TypeRules(leaf, nested)
