"""From JSON objects to batches of one schema. A value that does not fit its column costs its row, never its NULL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.models import Dataset
from strategies.atlassian.batches import Misfit, Reject, batch_of
from strategies.jira.shapes import SHAPES
from strategies.jira.tables import BODY, ISSUES, TABLES, Part, issue_parts
from strategies.jira.wire import Person

Told = Mapping[str, Any]


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
        self._required = {part.column for part in self._parts if not part.nullable}
        wanted: dict[str, list[Part]] = {}
        for part in self._parts:
            if part.field and "." not in part.field:
                wanted.setdefault(part.field, []).append(part)
        # One field may feed two columns of different shapes: it is then decoded once for each.
        self._decoders = [self._decoder(wanted, turn) for turn in range(max(map(len, wanted.values()), default=0))]
        self._takes = [self._take(part, wanted) for part in self._parts]
        self._person = msgspec.json.Decoder(Person)

    def _decoder(self, wanted: Mapping[str, list[Part]], turn: int) -> Any:
        own = {"id", "key"} if self._nested else set()
        chosen = {field: parts[turn] for field, parts in wanted.items() if len(parts) > turn}
        inner = {field: part for field, part in chosen.items() if field not in own}
        top = {field: part for field, part in chosen.items() if field in own}
        kind = _struct(f"Object{turn}", inner if self._nested else chosen)
        if self._nested:
            kind = _struct(f"Issue{turn}", top, {"fields": kind})
        return msgspec.json.Decoder(kind)

    def _take(self, part: Part, wanted: Mapping[str, list[Part]]) -> Callable[[Item, Sequence[Any]], Any]:
        shape = SHAPES[part.shape]
        if part.column == BODY:
            return lambda item, _: bytes(item.body).decode() or None
        if not part.field:
            return lambda item, _: self._person.decode(item.body).id
        if "." in part.field:
            field = part.field
            return lambda item, _: item.told.get(field)
        turn = wanted[part.field].index(part)
        is_inner = self._nested and part.field not in ("id", "key")
        return partial(_taken, turn, _slot(part.field), is_inner, shape.take)

    def values(self, item: Item) -> list[Any]:
        """One row. Raises `Misfit`."""
        try:
            objects = [decoder.decode(item.body) for decoder in self._decoders] if item.body else [None]
        except msgspec.DecodeError as error:
            raise Misfit(None, str(error)) from None
        row = []
        for part, take in zip(self._parts, self._takes, strict=True):
            try:
                value = item.told[part.field] if not item.body and part.field in item.told else None
                value = take(item, objects) if item.body else value
            except (ValueError, ArithmeticError) as error:
                raise Misfit(part.column, str(error)) from None
            if value is None and part.column in self._required:
                raise Misfit(part.column, "is missing")
            row.append(value)
        return row

    def batch(self, items: Sequence[Item], reject: Reject) -> pa.RecordBatch:
        return batch_of(self.schema, items, self.values, raw_of, reject)


def _struct(name: str, parts: Mapping[str, Part], more: Mapping[str, Any] | None = None) -> Any:
    fields = [(_slot(field), _wire(part), None) for field, part in parts.items()]
    extra = [(_slot(field), kind) for field, kind in (more or {}).items()]
    names = {_slot(field): field for field in [*parts, *(more or {})]}
    return msgspec.defstruct(name, [*extra, *fields], rename=names)


def _wire(part: Part) -> Any:
    kind = SHAPES[part.shape].wire
    return kind if kind is Raw else kind | None


def _taken(turn: int, slot: str, is_inner: bool, take: Callable[[Any], Any], _: Item, objects: Sequence[Any]) -> Any:
    found = objects[turn]
    value = getattr(found.f_fields if is_inner else found, slot)
    return None if value is None else take(value)


def raw_of(item: Item) -> dict[str, JsonValue]:
    """The object as it came, for quarantine."""
    found: dict[str, JsonValue] = {name: str(value) for name, value in item.told.items()}
    return found | {BODY: bytes(item.body).decode(errors="replace")}
