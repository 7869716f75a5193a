"""How one value of Jira becomes one value of a column: what its JSON is, what is taken of it, and its Arrow type."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Raw, Struct

from ingest_strategies.jira.api.responses import Field, Person, instant

NUMBERS = {"decimal": "decimal", "float64": "float", "text": "number"}
"""Config word -> shape."""


class Named(Struct):
    id: str | None = None
    name: str | None = None


class Category(Struct):
    key: str | None = None


class Status(Struct):
    name: str | None = None
    statusCategory: Category | None = None


class Option(Struct):
    value: str | None = None


class Project(Struct):
    id: str
    key: str


@dataclass(frozen=True)
class Shape:
    """`take` gets a value that is not null, already decoded as `wire`. It raises ValueError for what it cannot hold."""

    arrow: str
    wire: Any
    take: Callable[[Any], Any]
    logical: str | None = None


def same(value: Any) -> Any:
    return value


def json_text(value: Raw) -> bytes | None:
    """The very text that came, in UTF-8 as it came: Arrow refuses anything else."""
    text = bytes(value)
    return None if text == b"null" else text


def number_text(value: Raw) -> bytes | None:
    text = json_text(value)
    if text is not None:
        Decimal(text.decode())
    return text


def exact_float(value: Decimal) -> float:
    found = float(value)
    if Decimal(repr(found)) != value:
        raise ValueError(f"{value} is not a 64-bit float; the endpoint's number_type can be 'decimal' or 'text'")
    return found


SHAPES: dict[str, Shape] = {
    "text": Shape("string", str, same),
    "bool": Shape("bool", bool, same),
    "int": Shape("int64", int, same),
    "json": Shape("string", Raw, json_text, "json"),
    "number": Shape("string", Raw, number_text, "number"),
    "decimal": Shape("decimal128(38, 16)", Decimal, same),
    "float": Shape("float64", Decimal, exact_float),
    "instant": Shape("timestamp[us, UTC]", str, instant),
    "day": Shape("date32", str, date.fromisoformat),
    "person": Shape("string", Person, lambda person: person.id),
    "people": Shape("list<string>", list[Person], lambda people: [person.id for person in people]),
    "texts": Shape("list<string>", list[str], same),
    "option": Shape("string", Option, lambda option: option.value),
    "options": Shape("list<string>", list[Option], lambda options: [option.value for option in options]),
    "name": Shape("string", Named, lambda named: named.name),
    "names": Shape("list<string>", list[Named], lambda named: [one.name for one in named]),
    "id": Shape("string", Named, lambda named: named.id),
    "status name": Shape("string", Status, lambda status: status.name),
    "category": Shape("string", Status, lambda status: status.statusCategory.key if status.statusCategory else None),
    "project key": Shape("string", Project, lambda project: project.key),
    "project id": Shape("string", Project, lambda project: project.id),
}

_BY_TYPE = {
    "date": "day",
    "datetime": "instant",
    "user": "person",
    "option": "option",
    "version": "name",
    "group": "name",
    "project": "name",
}
_BY_ITEMS = {
    "string": "texts",
    "user": "people",
    "option": "options",
    "version": "names",
    "group": "names",
    "component": "names",
}


def shape_of(field: Field, *, is_cloud: bool, numbers: str) -> str:
    """The shape of a custom field. What is not known stays the JSON text that came."""
    schema = field.schema or {}
    kind, custom = str(schema.get("type", "")), str(schema.get("custom", ""))
    match kind:
        case "string":
            return "json" if is_cloud and custom.endswith(":textarea") else "text"
        case "number":
            return NUMBERS[numbers]
        case "array":
            return _BY_ITEMS.get(str(schema.get("items", "")), "json")
        case _:
            return _BY_TYPE.get(kind, "json")


def schema_text(field: Field) -> str:
    """`array<user> multiuserpicker`: changes when the type of a field does."""
    schema = field.schema or {}
    items = f"<{schema['items']}>" if schema.get("items") else ""
    custom = str(schema.get("custom", "")).rpartition(":")[2]
    return f"{schema.get('type', 'any')}{items} {custom}".strip()
