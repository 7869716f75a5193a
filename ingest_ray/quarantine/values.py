"""Encodes the values of rejected rows as JSON, and decodes them without a change."""

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa


def encode_value(value: Any) -> Any:
    """JSON for any value: a type that JSON does not have becomes an object with one `$` key, an unknown type its text."""
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    for tag, kind in _TEXT_KINDS.items():
        if isinstance(value, kind):
            return {tag: str(value)}
    if isinstance(value, timedelta):
        return {"$duration": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, pa.MonthDayNano):
        return {"$interval": [value.months, value.days, value.nanoseconds]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: encode_value(item) for key, item in value.items()}
        return {"$map": [[encode_value(key), encode_value(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [encode_value(item) for item in value]}
    if isinstance(value, list):
        return [encode_value(item) for item in value]
    return {"$text": str(value)}


def decode_value(value: Any) -> Any:
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (tag := next(iter(value))).startswith("$"):
        return _DECODERS[tag](value[tag])
    return {key: decode_value(item) for key, item in value.items()}


_TEXT_KINDS: dict[str, type[Any]] = {"$decimal": Decimal, "$date": date, "$time": time, "$uuid": UUID}

_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$bytes": base64.b64decode,
    "$date": date.fromisoformat,
    "$datetime": datetime.fromisoformat,
    "$decimal": Decimal,
    "$duration": lambda parts: timedelta(*parts),
    "$float": float,
    "$interval": lambda parts: pa.MonthDayNano(parts),
    "$map": lambda pairs: {decode_value(key): decode_value(item) for key, item in pairs},
    "$text": str,
    "$time": time.fromisoformat,
    "$tuple": lambda items: tuple(decode_value(item) for item in items),
    "$uuid": UUID,
}
