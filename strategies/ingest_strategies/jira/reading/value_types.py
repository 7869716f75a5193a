"""Converts one JSON value of Jira to one column value: the JSON type, the conversion, and the Arrow type."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ingest_strategies.atlassian.instants import instant
from ingest_strategies.jira.api.responses import Field, Person

NUMBERS = {"decimal": "decimal", "float64": "float", "text": "number"}
"""`number_type` of the configuration -> shape."""


class NamedObject(Struct, gc=False):
    id: str | None = None
    name: str | None = None


class Category(Struct, gc=False):
    key: str | None = None


class Status(Struct, gc=False):
    name: str | None = None
    statusCategory: Category | None = None


class Option(Struct, gc=False):
    value: str | None = None


class Project(Struct, gc=False):
    id: str | None = None
    key: str | None = None
    projectTypeKey: str | None = None


class Location(Struct, gc=False):
    projectKey: str | None = None


class PermissionHolder(Struct, gc=False):
    type: str | None = None
    parameter: str | None = None
    value: str | None = None


class RemoteObject(Struct, gc=False):
    url: str | None = None
    title: str | None = None


class RequestStatus(Struct, gc=False):
    status: str | None = None
    statusCategory: str | None = None


class RequestDate(Struct, gc=False):
    iso8601: str | None = None


class Links(Struct, gc=False):
    web: str | None = None


@dataclass(frozen=True)
class Shape:
    """`convert` gets a value that is not null, decoded as `json_type`. It raises ValueError for a value that the column cannot hold."""

    arrow: str
    json_type: Any
    convert: Callable[[Any], Any]
    logical: str | None = None


def unconverted(value: Any) -> Any:
    return value


def json_text(value: Raw) -> bytes | None:
    """The bytes of the answer, unchanged. Arrow refuses them where they are not UTF-8."""
    text = bytes(value)
    return None if text == b"null" else text


def free_text(value: Raw) -> str | bytes | None:
    """Text; any other JSON value as its own text: apps declare string fields and fill them with objects."""
    text = json_text(value)
    return msgspec.json.decode(text, type=str) if text is not None and text.startswith(b'"') else text


def number_text(value: Raw) -> bytes | None:
    text = json_text(value)
    if text is not None:
        Decimal(text.decode())
    return text


def exact_float(value: Decimal) -> float:
    nearest = float(value)
    if Decimal(repr(nearest)) != value:
        raise ValueError(f"{value} is not a 64-bit float; the endpoint's number_type can be 'decimal' or 'text'")
    return nearest


SHAPES: dict[str, Shape] = {
    "text": Shape("string", str, unconverted),
    "free text": Shape("string", Raw, free_text),
    "bool": Shape("bool", bool, unconverted),
    "int": Shape("int64", int, unconverted),
    "json": Shape("string", Raw, json_text, "json"),
    "number": Shape("string", Raw, number_text, "number"),
    "decimal": Shape("decimal128(38, 16)", Decimal, unconverted),
    "float": Shape("float64", Decimal, exact_float),
    "instant": Shape("timestamp[us, UTC]", str, instant),
    "day": Shape("date32", str, date.fromisoformat),
    "person": Shape("string", Person, lambda person: person.id),
    "people": Shape("list<string>", list[Person | None], lambda people: [person and person.id for person in people]),
    "texts": Shape("list<string>", list[str | None], unconverted),
    "option": Shape("string", Option, lambda option: option.value),
    "options": Shape(
        "list<string>", list[Option | None], lambda options: [option and option.value for option in options]
    ),
    "name": Shape("string", NamedObject, lambda named: named.name),
    "names": Shape("list<string>", list[NamedObject | None], lambda objects: [item and item.name for item in objects]),
    "id": Shape("string", NamedObject, lambda named: named.id),
    "status name": Shape("string", Status, lambda status: status.name),
    "category": Shape("string", Status, lambda status: status.statusCategory.key if status.statusCategory else None),
    "project key": Shape("string", Project, lambda project: project.key),
    "int text": Shape("string", int | str, str),
    "lower text": Shape("string", str, str.lower),
    "day of": Shape("date32", str, lambda text: date.fromisoformat(text[:10])),
    "date of": Shape(
        "timestamp[us, UTC]", RequestDate, lambda found: instant(found.iso8601) if found.iso8601 else None
    ),
    "location key": Shape("string", Location, lambda location: location.projectKey),
    "holder type": Shape("string", PermissionHolder, lambda holder: holder.type),
    "holder parameter": Shape("string", PermissionHolder, lambda holder: holder.value or holder.parameter),
    "remote url": Shape("string", RemoteObject, lambda found: found.url),
    "remote title": Shape("string", RemoteObject, lambda found: found.title),
    "request status": Shape("string", RequestStatus, lambda found: found.status),
    "request category": Shape("string", RequestStatus, lambda found: found.statusCategory),
    "web link": Shape("string", Links, lambda links: links.web),
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
    """The shape of a custom field, as the catalog keeps it. A field of an unknown type stays JSON text."""
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
    """Jira's type of a field as text, such as `array<user> multiuserpicker`."""
    schema = field.schema or {}
    items = f"<{schema['items']}>" if schema.get("items") else ""
    custom = str(schema.get("custom", "")).rpartition(":")[2]
    return f"{schema.get('type', 'any')}{items} {custom}".strip()
