"""Maps Arrow types to PostgreSQL's: https://www.postgresql.org/docs/current/datatype.html"""

import pyarrow as pa

from ingest_ray.sinks.databases.types.temporal import TemporalTypes, map_temporal
from ingest_ray.sinks.type_mapping import (
    TypeMapping,
    TypeRules,
    is_bytes,
    is_list,
    is_text,
    map_decimal,
    map_type,
    widened,
)
from ingest_ray.sinks.value_limits import ValueLimits

_TEMPORAL = TemporalTypes(
    database="PostgreSQL",
    timestamp="timestamp",
    instant="timestamp with time zone",
    time="time",
    text="text",
    nanoseconds="PostgreSQL counts microseconds: text with nine decimals",
)
_LONG_DECIMAL = widened(pa.string(), "text", "text in full digits")
_SAME = {
    pa.bool_(): "boolean",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.date32(): "date",
}
_NUMBERS = "PostgreSQL has no such integers"
_WIDER = {
    pa.int8(): widened(pa.int16(), "smallint", _NUMBERS),
    pa.uint8(): widened(pa.int16(), "smallint", _NUMBERS),
    pa.uint16(): widened(pa.int32(), "integer", _NUMBERS),
    pa.uint32(): widened(pa.int64(), "bigint", _NUMBERS),
    pa.uint64(): widened(pa.decimal128(20, 0), "numeric(20,0)", _NUMBERS),
    pa.float16(): widened(pa.float32(), "real", "PostgreSQL has no half floats"),
    pa.null(): widened(pa.string(), "text", "a column that is always NULL"),
}


def map_leaf(kind: pa.DataType) -> TypeMapping:
    if kind in _SAME:
        return TypeMapping(kind, _SAME[kind])
    if kind in _WIDER:
        return _WIDER[kind]
    if isinstance(kind, pa.BaseExtensionType):
        return TypeMapping(kind, "uuid" if str(kind.extension_name) == "arrow.uuid" else "json")
    if is_text(kind):
        return TypeMapping(pa.string(), "text", note="text with a zero character goes to quarantine")
    if is_bytes(kind):
        return TypeMapping(pa.binary(), "bytea")
    if pa.types.is_date64(kind):
        return TypeMapping(pa.date32(), "date")
    if pa.types.is_decimal(kind):
        return map_decimal(kind, "numeric", 76, _LONG_DECIMAL)
    return map_temporal(kind, _TEMPORAL)


def map_nested(kind: pa.DataType) -> TypeMapping:
    """Lists of leaf values become arrays, all other nested types JSON."""
    if is_list(kind) and not pa.types.is_nested(kind.value_type) and not pa.types.is_null(kind.value_type):
        item = map_type(kind.value_type, TypeRules(map_leaf))
        if not isinstance(item.arrow, pa.BaseExtensionType):
            return TypeMapping(pa.list_(item.arrow), f"{item.sink_type}[]", item.fidelity, item.note)
    return widened(pa.json_(), "json", "JSON: decimals and times as text, bytes as hexadecimal digits")


POSTGRES_TYPES = TypeRules(map_leaf, map_nested, has_case_sensitive_names=True)
POSTGRES_LIMITS = ValueLimits(
    "PostgreSQL",
    days=(-2_440_588, 2_145_042_905),  # 4713 BC to the year 5874897; timestamps end before, with Arrow's
    has_zero_character=False,
)
_CODECS = {
    **{f"LATIN{number}": f"latin{number}" for number in range(1, 9)},
    **{f"WIN{number}": f"cp{number}" for number in (866, 874, *range(1250, 1259))},
    **{f"ISO_8859_{number}": f"iso8859_{number}" for number in range(5, 9)},
    "LATIN9": "iso8859_15",
    "LATIN10": "iso8859_16",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
}


def python_codec(encoding: str) -> str | None:
    """Of a database's encoding with one byte a character. None for UTF8 and SQL_ASCII, which take every character, and for encodings
    with several bytes: there the database finds what it cannot hold."""
    return _CODECS.get(encoding)
