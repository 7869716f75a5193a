"""Oracle's types: the Arrow type of each, how it is selected, whether it orders an axis.

https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/Data-Types.html. Numbers and times are selected as the
server's own text (`TO_CHAR`), because a driver would convert numbers to floats; in it years before Christ have a sign.
The session's TIME_ZONE is UTC, so a local time zone is UTC, too.
"""

import re

from ingest_ray.sdk.types import Fidelity
from ingest_strategies.jdbc.dialect import Kind
from ingest_strategies.jdbc.values.column_carriers import ColumnCarrier, refused

STAMP = 'SYYYY-MM-DD"T"HH24:MI:SS'
NUMBER = "TO_CHAR({0}, 'TM9')"
_TEXTS = frozenset({"VARCHAR2", "NVARCHAR2", "CHAR", "NCHAR"})
_FRACTION = re.compile(r"TIMESTAMP\((\d)\)")
_PADDED = "with the blanks that fill it up, as stored"
_DECIMAL_NOTE = "exact text: a NUMBER without precision holds any; the endpoint's number_scale makes decimals of them"


def type_text(name: str, length: int | None, precision: int | None, scale: int | None, chars: int | None) -> str:
    """The type as CREATE TABLE writes it."""
    if name == "NUMBER" and precision is not None:
        return f"NUMBER({precision},{scale or 0})"
    if name == "NUMBER":
        return "NUMBER" if scale is None else f"NUMBER(*,{scale})"
    if name == "FLOAT":
        return f"FLOAT({precision})"
    if name in _TEXTS:
        return f"{name}({chars})"
    return f"RAW({length})" if name == "RAW" else name


def carrier_of(
    name: str, precision: int | None, scale: int | None, number_scale: int | None, is_own: bool
) -> ColumnCarrier:
    """`name` is DATA_TYPE of ALL_TAB_COLS; `is_own`: a type of the server, not a user-defined one."""
    if not is_own:
        return refused(f"object type '{name}' is not read: select it as text in a view")
    if name == "NUMBER":
        return number_carrier(precision, scale, number_scale)
    if name == "FLOAT":
        return ColumnCarrier("string", "decimal", NUMBER, "decimal", note="exact text: FLOAT is a NUMBER of Oracle's")
    if name in ("BINARY_FLOAT", "BINARY_DOUBLE"):
        return ColumnCarrier("float32" if name == "BINARY_FLOAT" else "float64", "float", cast=name)
    if name in _TEXTS:
        return ColumnCarrier("string", "text", note=_PADDED if name.endswith("CHAR") else None, cast=name)
    if name == "DATE" or name.startswith("TIMESTAMP"):
        return time_carrier(name)
    return _OTHERS.get(name) or _interval(name) or refused(f"type '{name}' is not read: select it as text in a view")


def number_carrier(precision: int | None, scale: int | None, number_scale: int | None) -> ColumnCarrier:
    if precision is None and scale is None:
        if number_scale is None:
            return ColumnCarrier("string", "decimal", NUMBER, "decimal", note=_DECIMAL_NOTE)
        note = f"what has more than {number_scale} digits behind the point goes to quarantine"
        return ColumnCarrier(f"decimal128(38, {number_scale})", "decimal", NUMBER, note=note)
    digits, scale = precision or 38, scale or 0
    if scale < 0:
        digits, scale = digits - scale, 0
    digits = max(digits, scale)
    if scale == 0 and digits <= 18:
        width = next(width for most, width in ((4, 16), (9, 32), (18, 64)) if digits <= most)
        return ColumnCarrier(f"int{width}", "int", NUMBER)
    if digits > 76:
        return ColumnCarrier("string", "decimal", NUMBER, "decimal", note=_DECIMAL_NOTE)
    return ColumnCarrier(f"decimal{128 if digits <= 38 else 256}({digits}, {scale})", "decimal", NUMBER)


def time_carrier(name: str) -> ColumnCarrier:
    """DATE has a time of day. Beyond microseconds a time is text, which orders as the times do."""
    if name == "DATE":
        note = "a DATE of Oracle's has a time of day"
        return ColumnCarrier("timestamp[us]", "timestamp", stamp("{0}", 0), note=note, cast=name)
    size = _FRACTION.match(name)
    digits = int(size[1]) if size else 6
    if name.endswith("WITH TIME ZONE"):
        exactness = "the moment is exact" if digits <= 6 else "the moment is cut to microseconds"
        return ColumnCarrier(
            "timestamp[us, UTC]", "timestamptz", cut_to_micros(stamp("SYS_EXTRACT_UTC({0})", digits), digits), None,
            Fidelity.LOSSY, f"{exactness}; the zone that it was written in is not kept", "TIMESTAMP WITH TIME ZONE",
        )  # fmt: skip
    is_local = name.endswith("WITH LOCAL TIME ZONE")
    kind: Kind = "timestamptz" if is_local else "timestamp"
    cast = "TIMESTAMP WITH LOCAL TIME ZONE" if is_local else "TIMESTAMP"
    if digits > 6:
        note = f"exact text with {digits} digits of a second{', in UTC' if is_local else ''}"
        return ColumnCarrier("string", kind, stamp("{0}", digits), "timestamp", Fidelity.WIDENED, note, cast)
    return ColumnCarrier(f"timestamp[us{', UTC' if is_local else ''}]", kind, stamp("{0}", digits), cast=cast)


def stamp(sql: str, digits: int) -> str:
    """ISO 8601; with a sign before Christ, which no Arrow type here can hold."""
    return f"LTRIM(TO_CHAR({sql}, '{STAMP}{f'.FF{digits}' if digits else ''}'))"


def cut_to_micros(sql: str, digits: int) -> str:
    return sql if digits <= 6 else f"SUBSTR({sql}, 1, 26)"


def _interval(name: str) -> ColumnCarrier | None:
    return ColumnCarrier("string", "other", "TO_CHAR({0})", "interval") if name.startswith("INTERVAL ") else None


_OTHERS = {
    "RAW": ColumnCarrier("binary", "bytes"),
    "BLOB": ColumnCarrier("binary"),
    "LONG RAW": ColumnCarrier("binary"),
    "CLOB": ColumnCarrier("string"),
    "NCLOB": ColumnCarrier("string"),
    "LONG": ColumnCarrier("string"),
    "ROWID": ColumnCarrier("string", select="ROWIDTOCHAR({0})", logical="rowid"),
    "BOOLEAN": ColumnCarrier("bool", select="CASE WHEN {0} IS NULL THEN NULL WHEN {0} THEN 1 ELSE 0 END"),
    "JSON": ColumnCarrier(
        "string", select="JSON_SERIALIZE({0} RETURNING CLOB)", logical="json", fidelity=Fidelity.WIDENED,
        note="as the server spells it",
    ),
    "XMLTYPE": ColumnCarrier(
        "string", select="XMLSERIALIZE(CONTENT {0} AS CLOB NO INDENT)", logical="xml", fidelity=Fidelity.WIDENED,
        note="as the server spells it",
    ),
}  # fmt: skip
"""XMLTYPE belongs to SYS and PUBLIC; the catalog treats it as a type of the server."""
