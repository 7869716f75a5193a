"""Turns JSON objects into batches of one schema, decoding only the fields that the schema has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset
from ingest_strategies.atlassian.batches import Reject, UnfitValue, build_batch
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.json_decoding import MARK, may_have_marks, stored_value, unmarked
from ingest_strategies.jira.api.responses import Person
from ingest_strategies.jira.reading.value_types import SHAPES, unconverted
from ingest_strategies.jira.tables import BODY, ISSUES, TABLES, FieldColumn, issue_columns

Getter = Callable[["Item", Sequence[Any]], Any]
"""Gives one column's value of an item, given the objects that the decoders made of its body."""
HEAD_FIELDS = frozenset({"id", "key"})
"""Of an issue: they are beside its `fields`, not among them."""


@dataclass(frozen=True)
class Item:
    """One object. `context` has values by `issue.x` and `log.x` that are not in its body, as the columns have them."""

    body: Raw
    context: Mapping[str, Any]


def columns_of(dataset: Dataset) -> tuple[FieldColumn, ...]:
    """The dataset's columns as the catalog has them: those of the last metadata collection, not those of Jira now."""
    if dataset.name != ISSUES.name:
        return TABLES[dataset.name].columns
    recorded = dataset.facts.get("custom")
    custom = recorded if isinstance(recorded, dict) else {}
    shapes = {name: "free text" if shape == "text" else str(shape) for name, shape in custom.items()}
    columns = [FieldColumn(name, name, shape, "") for name, shape in shapes.items()]
    return issue_columns(columns, is_cloud=dataset.facts.get("deployment") == CLOUD)


class RowBuilder:
    """Builds rows of one schema."""

    def __init__(self, dataset: Dataset, schema: pa.Schema) -> None:
        self.schema = schema
        by_name = {column.name: column for column in columns_of(dataset)}
        self._columns = [by_name[name] for name in schema.names]
        self._is_issue = dataset.name == ISSUES.name
        self._required = [index for index, column in enumerate(self._columns) if not column.nullable]
        # One field may feed columns of different JSON types: it is then decoded once for each.
        json_types: dict[str, list[Any]] = {}
        for column in self._columns:
            if column.field and "." not in column.field:
                types = json_types.setdefault(column.field, [])
                if _json_type(column) not in types:
                    types.append(_json_type(column))
        passes = max(map(len, json_types.values()), default=0)
        self._decoders = [self._decoder(json_types, number) for number in range(passes)]
        self._getters = [self._getter(column, json_types) for column in self._columns]
        self._person = msgspec.json.Decoder(Person)

    def _decoder(self, json_types: Mapping[str, list[Any]], number: int) -> Any:
        """Decodes every field that has a JSON type of this number."""
        types = {field: types[number] for field, types in json_types.items() if len(types) > number}
        if not self._is_issue:
            return msgspec.json.Decoder(_struct(f"Object{number}", types)).decode
        inner = {field: kind for field, kind in types.items() if field not in HEAD_FIELDS}
        head = {field: kind for field, kind in types.items() if field in HEAD_FIELDS}
        fields = _struct(f"Object{number}", inner)
        return msgspec.json.Decoder(_struct(f"Issue{number}", head, {"fields": fields})).decode

    def _getter(self, column: FieldColumn, json_types: Mapping[str, list[Any]]) -> Getter:
        if column.name == BODY:
            return lambda item, _: memoryview(item.body)  # Arrow copies the bytes, and refuses text that is not UTF-8
        field = column.field
        if not field:
            return lambda item, _: self._person.decode(item.body).id  # a ValueError where it is odd
        if "." in field:
            return lambda item, _: stored_value(item.context.get(field))  # it is of another answer
        number = json_types[field].index(_json_type(column))
        is_inner = self._is_issue and field not in HEAD_FIELDS
        path = f"{_attribute('fields')}.{_attribute(field)}" if is_inner else _attribute(field)
        return _field_getter(number, path, SHAPES[column.shape].convert)

    def row(self, item: Item) -> list[Any]:
        """The values in the order of the schema. Raises `UnfitValue`."""
        if not item.body:
            return self._context_row(item)
        try:
            objects = [decode(item.body) for decode in self._decoders]
        except (ValueError, RecursionError) as error:
            raise UnfitValue(None, str(error)) from None
        row: list[Any] = []
        try:
            is_marked = may_have_marks() and MARK in bytes(item.body)
            for get in self._getters:
                value = get(item, objects)
                row.append(stored_value(value) if is_marked else value)
        except (ValueError, ArithmeticError) as error:
            raise UnfitValue(self._columns[len(row)].name, str(error)) from None
        return self._check_required(row)

    def _context_row(self, item: Item) -> list[Any]:
        """Of an item without an object of its own. Raises `UnfitValue`."""
        row: list[Any] = []
        for column in self._columns:
            try:
                row.append(stored_value(item.context.get(column.field)))
            except ValueError as error:
                raise UnfitValue(column.name, str(error)) from None
        return self._check_required(row)

    def _check_required(self, row: list[Any]) -> list[Any]:
        for index in self._required:
            if row[index] is None:
                raise UnfitValue(self._columns[index].name, "is missing")
        return row

    def batch(self, items: Sequence[Item], reject: Reject) -> pa.RecordBatch:
        return build_batch(self.schema, items, self.row, raw_of, reject)


def _attribute(field: str) -> str:
    """The name of a field as an attribute of a decoded object."""
    return "f_" + "".join(sign if sign.isalnum() else "_" for sign in field)


def _struct(name: str, types: Mapping[str, Any], required: Mapping[str, Any] | None = None) -> Any:
    optional_fields = [(_attribute(field), kind, None) for field, kind in types.items()]
    required_fields = [(_attribute(field), kind) for field, kind in (required or {}).items()]
    json_names = {_attribute(field): field for field in [*types, *(required or {})]}
    return msgspec.defstruct(name, [*required_fields, *optional_fields], rename=json_names, gc=False)  # no cycles


def _json_type(column: FieldColumn) -> Any:
    kind = SHAPES[column.shape].json_type
    return kind if kind is Raw else kind | None


def _field_getter(number: int, path: str, convert: Callable[[Any], Any]) -> Getter:
    get = attrgetter(path)
    if convert is unconverted:
        return lambda _, objects: get(objects[number])

    def get_converted(_: Item, objects: Sequence[Any]) -> Any:
        value = get(objects[number])
        return None if value is None else convert(value)

    return get_converted


def raw_of(item: Item) -> dict[str, JsonValue]:
    """The untouched object, for quarantine."""
    context: dict[str, JsonValue] = {name: str(value) for name, value in item.context.items()}
    return context | {BODY: unmarked(bytes(item.body)).decode(errors="replace")}
