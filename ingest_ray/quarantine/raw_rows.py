"""A row of a record batch as Python values, also where Python has no such value."""

from typing import Any

import pyarrow as pa

from ingest_ray.sinks.value_conversion import steps_per_day


def raw_row(batch: pa.RecordBatch, row: int) -> dict[str, Any]:
    return {name: raw_value(column[row]) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def raw_value(value: pa.Scalar) -> Any:
    """Text for a date beyond the years 1 to 9999 or for 24:00:00, bytes for text that is no UTF-8, parts for nested values."""
    if pa.types.is_time(value.type) and value.is_valid and value.value == steps_per_day(value.type):
        return "24:00:00"
    try:
        return value.as_py()
    except (ValueError, OverflowError):  # UnicodeDecodeError is a ValueError
        pass
    kind = value.type
    if isinstance(kind, pa.BaseExtensionType):
        return raw_value(value.value)
    if pa.types.is_struct(kind):
        return {field.name: raw_value(value[index]) for index, field in enumerate(kind)}
    if pa.types.is_map(kind) or pa.types.is_nested(kind):
        return [raw_value(item) for item in value.values]
    if pa.types.is_dictionary(kind):
        return raw_value(value.value)
    as_stored = pa.array([value], kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return as_stored.cast(pa.binary())[0].as_py()
    text = str(as_stored.cast(pa.string())[0].as_py())
    return (
        text if text[:1] != "<" else f"{as_stored.view(pa.int32() if kind.bit_width == 32 else pa.int64())[0]} ({kind})"
    )
