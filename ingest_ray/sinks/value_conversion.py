"""Converts Arrow columns to a sink's types without changing a value: a type that the sink does not have becomes exact text.

Text forms: times as `HH:MM:SS.ffffff`, intervals as ISO 8601 (`P1M2DT-3.5S`: months, days and seconds are never mixed), decimals
in full digits, timestamps as `YYYY-MM-DD HH:MM:SS.ffffff` (nine digits for nanoseconds) in UTC, uuids in their usual form. Durations become the
integer number of their unit. In a sink without lists, structs and maps these become JSON.
"""

import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

STEPS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def steps_per_day(kind: pa.DataType) -> int:
    """How many steps of a date, a timestamp or a time of day make a day."""
    if pa.types.is_date32(kind):
        return 1
    return 86_400_000 if pa.types.is_date64(kind) else 86_400 * STEPS_PER_SECOND[kind.unit]


def convert_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Columns by position. Lists, structs and maps are rebuilt only where a type within them changes."""
    columns = [convert(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def convert(column: pa.Array, target: pa.DataType) -> pa.Array:
    kind = column.type
    if kind == target:
        return column
    if isinstance(target, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(target, convert(column, target.storage_type))
    if pa.types.is_nested(kind) and pa.types.is_string(target):
        return _json_text(column)
    if isinstance(kind, pa.BaseExtensionType):
        if str(kind.extension_name) == "arrow.uuid" and not pa.types.is_binary(target):
            return _uuid_text(column.storage)
        return convert(column.storage, target)
    if pa.types.is_dictionary(kind):
        return convert(column.dictionary_decode(), target)
    if pa.types.is_run_end_encoded(kind):
        return convert(pc.run_end_decode(column), target)
    if pa.types.is_struct(kind):
        children = [convert(child, field.type) for child, field in zip(column.flatten(), target, strict=True)]
        return pa.StructArray.from_arrays(children, fields=list(target), mask=column.is_null())
    if pa.types.is_map(kind):
        return _convert_map(column, target)
    if pa.types.is_nested(kind):
        return _convert_list(column, target)
    if pa.types.is_string(target):
        return _text(column)
    if pa.types.is_duration(kind):
        return column.cast(pa.int64())
    if pa.types.is_float16(kind) or pa.types.is_date64(kind):
        return column.cast(target)
    if pa.types.is_decimal(target) and pa.types.is_integer(kind):
        return column.cast(pa.decimal128(20, 0)).cast(target)
    return column.cast(target)  # a safe cast: it raises where a value would change


def convert_back(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A sink's column of a leaf type, in the source's type again."""
    if column.type == kind:
        return column
    if isinstance(column.type, pa.BaseExtensionType):  # a type of the database, which the driver returns as text
        return convert_back(column.storage, kind)
    if pa.types.is_duration(column.type) and pa.types.is_time(kind):  # PyMySQL has times of the day as intervals
        return column.cast(pa.duration("us")).cast(pa.int64()).view(pa.time64("us")).cast(kind)
    if pa.types.is_timestamp(kind) and kind.tz and pa.types.is_string(column.type):
        return column.cast(pa.timestamp(kind.unit)).cast(kind)
    return column.cast(kind)


def _text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_interval(kind):
        return _interval_text(column)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("ns" if kind.unit == "ns" else "us")).cast(pa.string())
    if pa.types.is_time(kind):
        return time_text(column)
    if pa.types.is_decimal(kind) and kind.scale < 0:
        return column.cast(pa.decimal256(kind.precision - kind.scale, 0)).cast(pa.string())
    if pa.types.is_decimal(kind):
        return _plain_digits(column)
    return column.cast(pa.string())


def time_text(column: pa.Array) -> pa.Array:
    """The midnight at the end of a day, which SQL databases have, is `24:00:00`; Arrow has no text for it."""
    kind = column.type
    steps = steps_per_day(kind)
    numbers = column.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    is_end = pc.equal(numbers, pa.scalar(steps, numbers.type))
    if not pc.any(is_end).as_py():
        return column.cast(pa.string())
    digits = len(str(STEPS_PER_SECOND[kind.unit])) - 1
    end = "24:00:00" + ("." + "0" * digits if digits else "")
    starts = pc.if_else(is_end, pa.scalar(0, numbers.type), numbers).view(kind)
    return pc.if_else(is_end, pa.scalar(end), starts.cast(pa.string()))


def _plain_digits(column: pa.Array) -> pa.Array:
    """Arrow writes small decimals as `1E-8`; Python's formatting writes all digits."""
    text = column.cast(pa.string())
    if not pc.any(pc.match_substring(text, "E")).as_py():
        return text
    return pa.array([None if value is None else f"{value:f}" for value in column.to_pylist()], pa.string())


def _uuid_text(column: pa.Array) -> pa.Array:
    texts: list[str | None] = []
    for value in column.to_pylist():
        digits = None if value is None else value.hex()
        texts.append(digits and "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))
    return pa.array(texts, pa.string())


def _interval_text(column: pa.Array) -> pa.Array:
    texts: list[str | None] = []
    for value in column.to_pylist():
        if value is None:
            texts.append(None)
            continue
        sign = "-" if value.nanoseconds < 0 else ""
        seconds, nanoseconds = divmod(abs(value.nanoseconds), 1_000_000_000)
        fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
        texts.append(f"P{value.months}M{value.days}DT{sign}{seconds}{fraction}S")
    return pa.array(texts, pa.string())


def _json_text(column: pa.Array) -> pa.Array:
    texts = [
        None if value is None else json.dumps(json_value(value), ensure_ascii=False) for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def json_value(value: Any) -> Any:
    """Decimals and times as text, bytes as hexadecimal digits, NaN and infinities as text, because JSON would round or reject them."""
    if isinstance(value, dict):
        return {name: json_value(item) for name, item in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and isinstance(item[0], str) for item in value):  # a map
            return {name: json_value(item) for name, item in value}
        return [json_value(item) for item in value]
    if isinstance(value, tuple) and not isinstance(value, pa.MonthDayNano):
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, float) else value.isoformat() if hasattr(value, "isoformat") else str(value)


def _convert_list(column: pa.Array, target: pa.DataType) -> pa.Array:
    kind = column.type
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return _convert_list(column.cast(pa.large_list(kind.value_field)), target)
    values = convert(column.flatten(), target.value_type)
    return pa.ListArray.from_arrays(_offsets(column), values, type=target, mask=column.is_null())


def _convert_map(column: pa.Array, target: pa.DataType) -> pa.Array:
    kind = column.type
    entries = column.view(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    keys, items = entries.flatten().flatten()
    rebuilt = pa.StructArray.from_arrays(
        [convert(keys, target.key_type), convert(items, target.item_type)], fields=[target.key_field, target.item_field]
    )
    lists = pa.ListArray.from_arrays(_offsets(entries), rebuilt, mask=column.is_null())
    return lists.cast(target)


def _offsets(column: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
