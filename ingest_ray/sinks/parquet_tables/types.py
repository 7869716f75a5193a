"""Parquet's types for Arrow's, of those that every usual reader takes: DuckDB, Spark, Trino, Athena, BigQuery, Snowflake.

Parquet has more (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md): unsigned integers, times of day, nanoseconds
and UUIDs, which Spark refuses to read, so that the whole file could not be read there.
"""

import pyarrow as pa

from ingest_ray.sinks.lake_types import INSTANT, MICROSECONDS, LakeTypes
from ingest_ray.sinks.type_mapping import TypeRules
from ingest_ray.sinks.value_limits import ValueLimits

_TYPES = LakeTypes(
    lake="Parquet",
    names={
        pa.bool_(): "BOOLEAN",
        pa.int8(): "INT(8)",
        pa.int16(): "INT(16)",
        pa.int32(): "INT32",
        pa.int64(): "INT64",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        pa.string(): "STRING",
        pa.binary(): "BYTE_ARRAY",
        MICROSECONDS: "TIMESTAMP(MICROS), local",
        INSTANT: "TIMESTAMP(MICROS), UTC",
    },
    decimal="DECIMAL",
    unsigned="not every reader of Parquet takes unsigned integers",
    half_floats="not every reader of Parquet takes half floats",
    long_decimals="readers of Parquet take 38 digits: text in full digits",
    times="not every reader takes times of day: text HH:MM:SS.ffffff",
    nanoseconds="not every reader takes nanoseconds: text with nine decimals",
    intervals="ISO 8601 text",
)
PARQUET_TYPES = TypeRules(_TYPES.map_leaf)
PARQUET_LIMITS = ValueLimits("Parquet")
