"""Arrow types as text: the canonical form in the catalog.

The text is close to that of `pyarrow`, and can be parsed: `timestamp[us, UTC]`, `decimal128(12, 2)`,
`list<int32>`, `struct<a: int32 !, "odd name": string>`. A `!` says that a nested field is never NULL; a name that is not a
plain identifier is a JSON string. `from_text(to_text(x)) == x`; the metadata of nested fields is not part of a type.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache

import pyarrow as pa

from ingest_ray.sdk.errors import ConfigError

_PLAIN: dict[str, pa.DataType] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "month_day_nano_interval": pa.month_day_nano_interval(),
}
_NAMES = {kind: name for name, kind in _PLAIN.items()}
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z0-9_/+.\-]+|[<>\[\](),:!])')
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_/+.\-]*\Z")


def to_text(kind: pa.DataType) -> str:
    """Returns the text of a type.

    Raises:
        ConfigError: the type cannot be staged (dictionaries, unions, extensions).
    """
    if kind in _NAMES:
        return _NAMES[kind]
    types = pa.types
    if types.is_decimal128(kind) or types.is_decimal256(kind):
        return f"decimal{kind.bit_width}({kind.precision}, {kind.scale})"
    if types.is_timestamp(kind):
        return f"timestamp[{kind.unit}{f', {_name(kind.tz)}' if kind.tz else ''}]"
    if types.is_time32(kind) or types.is_time64(kind):
        return f"time{kind.bit_width}[{kind.unit}]"
    if types.is_duration(kind):
        return f"duration[{kind.unit}]"
    if types.is_fixed_size_binary(kind):
        return f"fixed_size_binary[{kind.byte_width}]"
    if types.is_list(kind) or types.is_large_list(kind):
        name = "list" if types.is_list(kind) else "large_list"
        field = kind.value_field
        return f"{name}<{_slot_text(field) if field.name == 'item' else _field_text(field)}>"
    if types.is_struct(kind):
        return f"struct<{', '.join(_field_text(kind.field(i)) for i in range(kind.num_fields))}>"
    raise ConfigError(f"Arrow type '{kind}' has no text form here")


@lru_cache(4096)  # catalogs of 10,000 tables have some hundred types
def from_text(text: str) -> pa.DataType:
    """Returns the type of a text that `to_text` wrote. Raises `ConfigError` for any other text."""
    return _Parser(text).parse()


def _name(text: str) -> str:
    return text if _BARE.match(text) else json.dumps(text)


def _field_text(field: pa.Field) -> str:
    return f"{_name(field.name)}: {_slot_text(field)}"


def _slot_text(field: pa.Field) -> str:
    return f"{to_text(field.type)}{'' if field.nullable else ' !'}"


class _Parser:
    """Reads one type by recursive descent."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [match.group(1) for match in _TOKEN.finditer(text)]
        if "".join(self.tokens) != _without_blanks(text):
            raise self.error()
        self.position = 0

    def error(self) -> ConfigError:
        return ConfigError(f"'{self.text}' is not the text of an Arrow type")

    def parse(self) -> pa.DataType:
        try:
            kind = self.kind()
        except (ValueError, TypeError, IndexError, pa.ArrowException):
            raise self.error() from None
        if self.position != len(self.tokens):
            raise self.error()
        return kind

    def next(self, expected: str | None = None) -> str:
        token = self.tokens[self.position]
        if expected is not None and token != expected:
            raise self.error()
        self.position += 1
        return token

    def peek(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def kind(self) -> pa.DataType:
        word = self.next()
        if word in _PLAIN:
            return _PLAIN[word]
        match word:
            case "decimal128" | "decimal256":
                return (pa.decimal128 if word == "decimal128" else pa.decimal256)(
                    *map(int, self.arguments("(", ")", 2))
                )
            case "timestamp":
                unit, *zone = self.arguments("[", "]", 1, 2)
                return pa.timestamp(unit, _unquoted(zone[0]) if zone else None)
            case "time32" | "time64" | "duration":
                return getattr(pa, word)(self.arguments("[", "]", 1)[0])
            case "fixed_size_binary":
                return pa.binary(int(self.arguments("[", "]", 1)[0]))
            case "list" | "large_list":
                return self.list_kind(pa.list_ if word == "list" else pa.large_list)
            case "struct":
                return self.struct_kind()
        raise self.error()

    def arguments(self, opening: str, closing: str, least: int, most: int | None = None) -> list[str]:
        self.next(opening)
        arguments = [self.next()]
        while self.peek() == ",":
            self.next()
            arguments.append(self.next())
        self.next(closing)
        if not least <= len(arguments) <= (most or least):
            raise self.error()
        return arguments

    def slot(self, name: str) -> pa.Field:
        kind = self.kind()
        is_nullable = self.peek() != "!"
        if not is_nullable:
            self.next()
        return pa.field(name, kind, is_nullable)

    def list_kind(self, make: Callable[[pa.Field], pa.DataType]) -> pa.DataType:
        self.next("<")
        name = "item"
        if self.tokens[self.position + 1] == ":":
            name = _unquoted(self.next())
            self.next(":")
        field = self.slot(name)
        self.next(">")
        return make(field)

    def struct_kind(self) -> pa.DataType:
        self.next("<")
        fields = []
        while self.peek() != ">":
            name = _unquoted(self.next())
            self.next(":")
            fields.append(self.slot(name))
            if self.peek() == ",":
                self.next()
        self.next(">")
        return pa.struct(fields)


def _unquoted(token: str) -> str:
    return str(json.loads(token)) if token.startswith('"') else token


def _without_blanks(text: str) -> str:
    """The text without the blanks between tokens; those inside a quoted name stay."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda match: match.group(1) or "", text)
