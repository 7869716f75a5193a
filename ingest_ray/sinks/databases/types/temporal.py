"""Maps times, timestamps, durations and intervals for databases that count microseconds: what they have no type for becomes text."""

from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sinks.type_mapping import TypeMapping, instant_note, refused, widened


@dataclass(frozen=True)
class TemporalTypes:
    """The names that one database has for these types. `instant` is its timestamp with a time zone."""

    database: str
    timestamp: str
    instant: str
    time: str
    text: str
    instant_is_widened: str | None = None
    """The note, where the database keeps an instant in a type without a zone."""
    nanoseconds: str = "text with nine decimals"
    interval: str = "ISO 8601 text: nanoseconds would not fit an interval"


def map_temporal(kind: pa.DataType, types: TemporalTypes) -> TypeMapping:
    """The last step of a leaf mapping: any other type is refused."""
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        if kind.tz is None:
            return TypeMapping(pa.timestamp("us"), types.timestamp)
        if types.instant_is_widened is not None:
            return widened(pa.timestamp("us", "UTC"), types.instant, types.instant_is_widened)
        return TypeMapping(pa.timestamp("us", "UTC"), types.instant, note=instant_note(kind))
    if pa.types.is_time(kind) and kind.unit != "ns":
        return TypeMapping(pa.time64("us"), types.time)
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return widened(pa.string(), types.text, types.nanoseconds)
    if pa.types.is_duration(kind):
        return widened(pa.int64(), "bigint", f"a number of '{kind.unit}'")
    if pa.types.is_interval(kind):
        return widened(pa.string(), types.text, types.interval)
    return refused(kind, f"{types.database} has no type for '{kind}'")
