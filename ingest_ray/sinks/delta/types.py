"""Delta's types for Arrow's: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#primitive-types

Delta has neither unsigned integers nor times, intervals or decimals beyond 38 digits; the library would silently map uint32 to a
signed int of the same width, so every type is mapped here.
"""

import pyarrow as pa

from ingest_ray.sinks.lake_types import INSTANT, MICROSECONDS, LakeTypes
from ingest_ray.sinks.type_mapping import TypeRules
from ingest_ray.sinks.value_limits import ValueLimits

_TYPES = LakeTypes(
    lake="Delta",
    names={
        pa.bool_(): "boolean",
        pa.int8(): "byte",
        pa.int16(): "short",
        pa.int32(): "integer",
        pa.int64(): "long",
        pa.float32(): "float",
        pa.float64(): "double",
        pa.date32(): "date",
        pa.string(): "string",
        pa.binary(): "binary",
        MICROSECONDS: "timestamp_ntz",
        INSTANT: "timestamp",
    },
    decimal="decimal",
    unsigned="Delta has no unsigned integers",
    half_floats="Delta has no half floats",
    long_decimals="Delta keeps 38 digits: text in full digits",
    times="Delta has no time of day: text HH:MM:SS.ffffff",
    nanoseconds="Delta counts microseconds: text with nine decimals",
    intervals="Delta has no intervals: ISO 8601 text",
)
DELTA_TYPES = TypeRules(_TYPES.map_leaf)
DELTA_LIMITS = ValueLimits("Delta")
