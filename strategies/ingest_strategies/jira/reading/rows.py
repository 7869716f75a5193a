"""From JSON objects to batches of one schema. A value that does not fit its column costs its row, never its NULL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset
from ingest_strategies.atlassian.batches import Misfit, Reject, batch_of
from ingest_strategies.jira.api.responses import Person
from ingest_strategies.jira.reading.value_types import SHAPES, same
from ingest_strategies.jira.tables import BODY, ISSUES, TABLES, Part, issue_parts

Told = Mapping[str, Any]
Take = Callable[["Item", Sequence[Any]], Any]
"""One column's value of an item, given what the decoders made of it."""


@dataclass(frozen=True)
class Item:
    """One object, and what is known of it besides: values by `issue.x` and `log.x`, already as columns have them."""

    body: Raw
    told: Told


def parts_of(dataset: Dataset) -> tuple[Part, ...]:
    """The dataset's columns, as the catalog has them: what `collect` found, not what Jira says now."""
    if dataset.name != ISSUES.name:
        return TABLES[dataset.name].parts
    known = dataset.facts.get("custom")
    custom = known if isinstance(known, dict) else {}
    parts = [Part(name, name, str(shape), "") for name, shape in custom.items()]
    return issue_parts(parts, is_cloud=dataset.facts.get("deployment") == "Cloud")


def _slot(field: str) -> str:
    return "f_" + "".join(sign if sign.isalnum() else "_" for sign in field)


class RowMaker:
    """Decodes only what the schema has; everything else passes by untouched."""

    def __init__(self, dataset: Dataset, schema: pa.Schema) -> None:
        self.schema = schema
        by_name = {part.column: part for part in parts_of(dataset)}
        self._parts = [by_name[name] for name in schema.names]
        self._nested = dataset.name == ISSUES.name
        self._required = [place for place, part in enumerate(self._parts) if not part.nullable]
        wanted: dict[str, list[Any]] = {}
        for part in self._parts:
            if part.field and "." not in part.field and _wire(part) not in wanted.setdefault(part.field, []):
                wanted[part.field].append(_wire(part))
        # One field may feed columns of different JSON types: it is then decoded once for each.
        self._decoders = [self._decoder(wanted, turn) for turn in range(max(map(len, wanted.values()), default=0))]
        self._takes = [self._take(part, wanted) for part in self._parts]
        self._person = msgspec.json.Decoder(Person)

    def _decoder(self, wanted: Mapping[str, list[Any]], turn: int) -> Any:
        own = {"id", "key"} if self._nested else set()
        chosen = {field: kinds[turn] for field, kinds in wanted.items() if len(kinds) > turn}
        inner = {field: kind for field, kind in chosen.items() if field not in own}
        top = {field: kind for field, kind in chosen.items() if field in own}
        kind = _struct(f"Object{turn}", inner if self._nested else chosen)
        if self._nested:
            kind = _struct(f"Issue{turn}", top, {"fields": kind})
        return msgspec.json.Decoder(kind).decode

    def _take(self, part: Part, wanted: Mapping[str, list[Any]]) -> Take:
        shape = SHAPES[part.shape]
        if part.column == BODY:
            return lambda item, _: memoryview(item.body)  # Arrow takes the bytes, and refuses what is not UTF-8
        if not part.field:
            return lambda item, _: self._person.decode(item.body).id
        if "." in part.field:
            field = part.field
            return lambda item, _: item.told.get(field)
        turn = wanted[part.field].index(_wire(part))
        is_inner = self._nested and part.field not in ("id", "key")
        return _taker(turn, f"f_fields.{_slot(part.field)}" if is_inner else _slot(part.field), shape.take)

    def values(self, item: Item) -> list[Any]:
        """One row. Raises `Misfit`."""
        if not item.body:
            return self._told(item)
        try:
            objects = [decode(item.body) for decode in self._decoders]
        except msgspec.DecodeError as error:
            raise Misfit(None, str(error)) from None
        row: list[Any] = []
        try:
            for take in self._takes:
                row.append(take(item, objects))
        except (ValueError, ArithmeticError) as error:
            raise Misfit(self._parts[len(row)].column, str(error)) from None
        return self._complete(row)

    def _told(self, item: Item) -> list[Any]:
        """The row of an object that did not come, only what is known of it."""
        return self._complete([item.told.get(part.field) for part in self._parts])

    def _complete(self, row: list[Any]) -> list[Any]:
        for place in self._required:
            if row[place] is None:
                raise Misfit(self._parts[place].column, "is missing")
        return row

    def batch(self, items: Sequence[Item], reject: Reject) -> pa.RecordBatch:
        return batch_of(self.schema, items, self.values, raw_of, reject)


def _struct(name: str, kinds: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> Any:
    fields = [(_slot(field), kind, None) for field, kind in kinds.items()]
    extra = [(_slot(field), kind) for field, kind in (more or {}).items()]
    names = {_slot(field): field for field in [*kinds, *(more or {})]}
    return msgspec.defstruct(name, [*extra, *fields], rename=names)


def _wire(part: Part) -> Any:
    kind = SHAPES[part.shape].wire
    return kind if kind is Raw else kind | None


def _taker(turn: int, path: str, shape: Callable[[Any], Any]) -> Take:
    get = attrgetter(path)
    if shape is same:
        return lambda _, objects: get(objects[turn])

    def taken(_: Item, objects: Sequence[Any]) -> Any:
        value = get(objects[turn])
        return None if value is None else shape(value)

    return taken


def raw_of(item: Item) -> dict[str, JsonValue]:
    """The object as it came, for quarantine."""
    found: dict[str, JsonValue] = {name: str(value) for name, value in item.told.items()}
    return found | {BODY: bytes(item.body).decode(errors="replace")}
