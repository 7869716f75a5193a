"""One text for equal JSON and nested values, however a database writes them: for a comparison, never for storing.

Keys of objects are sorted; of a key that comes twice the last value counts, as databases take it. Numbers are equal where their values
are: `1`, `1.0` and `1e0`. Moments are in UTC.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ingest_ray.sinks.value_conversion import convert, convert_back, json_value

_FORM = {b"ingest_ray:form": b"canonical json"}


def comparable_field(field: pa.Field) -> pa.Field | None:
    """The column in a form in which source and sink have equal values; None where a database has a form of its own."""
    if isinstance(field.type, pa.BaseExtensionType) and str(field.type.extension_name) != "arrow.uuid":
        return pa.field(field.name, pa.string(), metadata=_FORM)
    if not pa.types.is_nested(field.type):
        return field
    return pa.field(field.name, pa.string(), metadata=_FORM) if _is_plain(field.type) else None


def _is_plain(kind: pa.DataType) -> bool:
    """Whether every driver returns its values as they are."""
    if pa.types.is_nested(kind):
        return all(_is_plain(kind.field(index).type) for index in range(kind.num_fields))
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_time = pa.types.is_date32(kind) or pa.types.is_timestamp(kind)
    return bool(is_number or is_text or is_time or pa.types.is_boolean(kind))


def comparable(column: pa.Array, field: pa.Field) -> pa.Array:
    """A column of the source in the form of `comparable_field`."""
    return canonical(column) if field.metadata == _FORM else convert(column, field.type)


def comparable_back(column: pa.Array, field: pa.Field) -> pa.Array:
    """A column of the sink in that form."""
    return canonical(column) if field.metadata == _FORM else convert_back(column, field.type)


def canonical(column: pa.Array) -> pa.Array:
    """Texts of a column of JSON or of nested values."""
    values = column.storage if isinstance(column, pa.ExtensionArray) else column
    is_nested = pa.types.is_nested(values.type)
    items = [value if value is None or not is_nested else json_value(_in_utc(value)) for value in values.to_pylist()]
    texts = [None if item is None else _text(item if is_nested else _parsed(item)) for item in items]
    return pa.array(texts, pa.string())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=str)
    except ValueError:
        return text


def _in_utc(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_utc(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_in_utc(item) for item in value)
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def _text(value: Any) -> str:
    return json.dumps(_tagged(value), sort_keys=True, ensure_ascii=False)


def _tagged(value: Any) -> Any:
    """Numbers apart from texts, by their digits without zeros at the end."""
    if isinstance(value, dict):
        return {str(name): _tagged(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    sign, digits, exponent = Decimal(repr(value) if isinstance(value, float) else value).as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    if not kept or not isinstance(exponent, int):
        return {"#": "0" if not kept else f"{sign}{text}{exponent}"}
    return {"#": f"{'-' if sign else ''}{kept.lstrip('0')}e{exponent + len(text) - len(kept)}"}
