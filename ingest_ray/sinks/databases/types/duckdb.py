"""Maps Arrow types to DuckDB's: https://duckdb.org/docs/stable/sql/data_types/overview"""

import pyarrow as pa

from ingest_ray.sinks.databases.types.temporal import TemporalTypes, map_temporal
from ingest_ray.sinks.type_mapping import TypeMapping, TypeRules, is_bytes, is_text, map_decimal, widened
from ingest_ray.sinks.value_limits import ValueLimits

_TEMPORAL = TemporalTypes(database="DuckDB", timestamp="timestamp", instant="timestamptz", time="time", text="varchar")
_LONG_DECIMAL = widened(pa.string(), "varchar", "DuckDB keeps 38 digits: text in full digits")
_SAME = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "utinyint",
    pa.uint16(): "usmallint",
    pa.uint32(): "uinteger",
    pa.uint64(): "ubigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.timestamp("ns"): "timestamp_ns",
}


def map_leaf(kind: pa.DataType) -> TypeMapping:
    if kind in _SAME:
        return TypeMapping(kind, _SAME[kind])
    if isinstance(kind, pa.BaseExtensionType) and str(kind.extension_name) == "arrow.uuid":
        return TypeMapping(pa.string(), "uuid")
    if isinstance(kind, pa.BaseExtensionType) or is_text(kind):
        return TypeMapping(pa.string(), "varchar")
    if is_bytes(kind):
        return TypeMapping(pa.binary(), "blob")
    if pa.types.is_float16(kind):
        return widened(pa.float32(), "float", "DuckDB has no half floats")
    if pa.types.is_date64(kind):
        return TypeMapping(pa.date32(), "date")
    if pa.types.is_decimal(kind):
        return map_decimal(kind, "decimal", 38, _LONG_DECIMAL)
    if pa.types.is_null(kind):
        return widened(pa.string(), "varchar", "a column that is always NULL")
    return map_temporal(kind, _TEMPORAL)


def nested_type(kind: pa.DataType) -> str:
    if pa.types.is_map(kind):
        return f"map({nested_type(kind.key_type)}, {nested_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        fields = ", ".join('"' + field.name.replace('"', '""') + '" ' + nested_type(field.type) for field in kind)
        return f"struct({fields})"
    if pa.types.is_nested(kind):
        return f"{nested_type(kind.value_type)}[]"
    return map_leaf(kind).sink_type


DUCKDB_TYPES = TypeRules(map_leaf)
DUCKDB_LIMITS = ValueLimits(
    "DuckDB", days=(-(2**31) + 2, 2**31 - 2)
)  # the first and last numbers are infinity and -infinity
