"""What a mapper is: a pure function from a page of source rows to rows of CDM models.

`RowMapper` makes one from a function of a single row, which most sources want. A source row that cannot be mapped is
rejected as a whole, with a reason: it goes to quarantine, and none of its rows to any model.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from ingest_ray.cdm.models import ID_CHARS, KEY, CdmModel, Kind, model_of
from ingest_ray.sdk.errors import RecordError
from ingest_ray.sdk.types import Dataset, Endpoint

Row = Mapping[str, Any]
CdmRow = tuple[str, Mapping[str, Any]]
"""A model's id, and values by field; fields that are left out are NULL."""


@dataclass(frozen=True)
class MapContext:
    """What a mapper knows besides the page. Secrets of the endpoint are masked.

    `system` stands in every id: units that share one have users, items and pages in common. `reject(row, reason, column)`
    takes a row of the page, by its place, out of what is mapped.
    """

    endpoint: Endpoint
    dataset: Dataset
    system: str
    reject: Callable[[int, str, str | None], None]


@dataclass(frozen=True)
class ModelRows:
    """Rows of one model in its schema, and for each the place of the source row in the page."""

    batch: pa.RecordBatch
    origins: Sequence[int]


class CdmMapper(Protocol):
    """Holds no state between pages: any page may be mapped in any process, twice, in any order."""

    @property
    def version(self) -> str:
        """Names the mapper and its version; it stands on every row. Another one says that `remap` would change rows."""
        ...

    @property
    def models(self) -> tuple[str, ...]: ...

    @property
    def keeps(self) -> tuple[str, ...]:
        """Models whose rows stay when their source row does not make them any more, such as a history."""
        ...

    def map(self, page: pa.RecordBatch, context: MapContext) -> Mapping[str, ModelRows]: ...


@dataclass(frozen=True)
class RowMapper:
    """`row` may raise anything for a row that it cannot map: the row is rejected with that as its reason."""

    version: str
    models: tuple[str, ...]
    row: Callable[[Row, MapContext], Iterable[CdmRow]]
    keeps: tuple[str, ...] = ()

    def map(self, page: pa.RecordBatch, context: MapContext) -> Mapping[str, ModelRows]:
        kept: dict[str, tuple[list[list[Any]], list[int]]] = {name: ([], []) for name in self.models}
        for place, row in enumerate(page.to_pylist()):
            try:
                made = [(name, checked(model_of(name), values)) for name, values in self.row(row, context)]
            except Exception as error:  # one record's fault, whatever it is: the others are mapped
                column = error.column if isinstance(error, RecordError) else None
                context.reject(place, said(error), column)
                continue
            for name, values in made:
                kept[name][0].append(values)
                kept[name][1].append(place)
        return {name: ModelRows(batch_of(model_of(name), rows), places) for name, (rows, places) in kept.items()}


def said(error: Exception) -> str:
    text = str(error)
    return text if isinstance(error, RecordError) and text else f"{type(error).__name__}: {text}"


def batch_of(model: CdmModel, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(model.schema)
    arrays = [_array(values, field.type) for values, field in zip(columns, model.schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=model.schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return pa.array(values, kind)


def checked(model: CdmModel, values: Mapping[str, Any]) -> list[Any]:
    """One row's values in the order of the model's columns. Raises `RecordError`, naming the column."""
    unknown = values.keys() - model.columns.keys()
    if unknown:
        raise RecordError(f"model '{model.model_id}' has no field '{min(unknown)}'", column=min(unknown))
    row = [fitted(name, kind, values.get(name)) for name, kind in model.columns.items()]
    found = values.get(KEY)
    if not found:
        raise RecordError("the row has no id", column=KEY)
    if len(found) > ID_CHARS:
        raise RecordError(f"the id has {len(found)} characters, {ID_CHARS} is the most: '{found[:60]}...'", column=KEY)
    return row


def fitted(name: str, kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    match kind, value:
        case "text", str():
            return _sound(name, value)
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case "instant", datetime() if value.tzinfo is not None:
            return value.astimezone(UTC)
        case "list", list() | tuple() if all(isinstance(item, str) for item in value):
            return [_sound(name, item) for item in value]
        case "json", dict() | list():
            return _sound(name, json.dumps(value, ensure_ascii=False, separators=(",", ":"))) if value else None
        case "json", str():
            return _sound(name, value)
    raise RecordError(f"field '{name}' takes {kind}, and got a {type(value).__name__}", column=name)


def _sound(name: str, text: str) -> str:
    """Zero characters are taken out, as no database keeps them all; half of a surrogate pair is no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"field '{name}' has text that is no Unicode: {error.reason}", column=name) from None
    return text.replace("\0", "") if "\0" in text else text
