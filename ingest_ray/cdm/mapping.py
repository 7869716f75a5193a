"""The contract of a mapper: a pure function from a page of source rows to rows of CDM models.

`RowMapper` makes a mapper from a function of a single row, which suits most sources. A source row that cannot be mapped is
rejected as a whole, with a reason: it goes to quarantine, and none of its rows to any model.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from ingest_ray.cdm.models import ID_CHARS, KEY, CdmModel, FieldType, model_of
from ingest_ray.sdk.errors import RecordError
from ingest_ray.sdk.types import Dataset, Endpoint

Row = Mapping[str, Any]
CdmRow = tuple[str, Mapping[str, Any]]
"""A model's id, and values by field; fields that are left out are NULL."""


@dataclass(frozen=True)
class MapContext:
    """The input of a mapper besides the page. Secrets of the endpoint are masked.

    `system` is part of every id: units that share one have users, items and pages in common. `reject(row, reason, column)` sends
    a row of the page, by its position, to quarantine.
    """

    endpoint: Endpoint
    dataset: Dataset
    system: str
    reject: Callable[[int, str, str | None], None]


@dataclass(frozen=True)
class ModelRows:
    """Rows of one model in its schema, and for each row the position of its source row in the page."""

    batch: pa.RecordBatch
    origins: Sequence[int]


class CdmMapper(Protocol):
    """Holds no state between pages: any page may be mapped in any process, twice, in any order."""

    @property
    def version(self) -> str:
        """The mapper's name and version, which every row records. When it differs from that of stored rows, `remap` would change them."""
        ...

    @property
    def models(self) -> tuple[str, ...]: ...

    @property
    def keeps(self) -> tuple[str, ...]:
        """Models whose rows stay when the mapper no longer makes them from their source row, such as a history."""
        ...

    def map(self, page: pa.RecordBatch, context: MapContext) -> Mapping[str, ModelRows]: ...


@dataclass(frozen=True)
class RowMapper:
    """`row` may raise any exception for a row that it cannot map: the row is rejected, with the exception as the reason."""

    version: str
    models: tuple[str, ...]
    row: Callable[[Row, MapContext], Iterable[CdmRow]]
    keeps: tuple[str, ...] = ()

    def map(self, page: pa.RecordBatch, context: MapContext) -> Mapping[str, ModelRows]:
        mapped: dict[str, tuple[list[list[Any]], list[int]]] = {name: ([], []) for name in self.models}
        for position, row in enumerate(page.to_pylist()):
            try:
                made = [(name, row_values(model_of(name), values)) for name, values in self.row(row, context)]
            except Exception as error:  # any fault of one record: the others are mapped
                column = error.column if isinstance(error, RecordError) else None
                context.reject(position, rejection_reason(error), column)
                continue
            for name, values in made:
                mapped[name][0].append(values)
                mapped[name][1].append(position)
        return {
            name: ModelRows(batch_of(model_of(name), rows), positions) for name, (rows, positions) in mapped.items()
        }


def rejection_reason(error: Exception) -> str:
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


def row_values(model: CdmModel, values: Mapping[str, Any]) -> list[Any]:
    """One row's values, checked, in the order of the model's columns. Raises `RecordError`, naming the column."""
    unknown = values.keys() - model.columns.keys()
    if unknown:
        raise RecordError(f"model '{model.model_id}' has no field '{min(unknown)}'", column=min(unknown))
    row = [_field_value(name, kind, values.get(name)) for name, kind in model.columns.items()]
    row_id = values.get(KEY)
    if not row_id:
        raise RecordError("the row has no id", column=KEY)
    if len(row_id) > ID_CHARS:
        raise RecordError(
            f"the id has {len(row_id)} characters, {ID_CHARS} is the most: '{row_id[:60]}...'", column=KEY
        )
    return row


def _field_value(name: str, kind: FieldType, value: Any) -> Any:
    if value is None:
        return None
    match kind, value:
        case "text", str():
            return _clean_text(name, value)
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case "instant", datetime() if value.tzinfo is not None:
            return value.astimezone(UTC)
        case "list", list() | tuple() if all(isinstance(item, str) for item in value):
            return [_clean_text(name, item) for item in value]
        case "json", dict() | list():
            return _clean_text(name, json.dumps(value, ensure_ascii=False, separators=(",", ":"))) if value else None
        case "json", str():
            return _clean_text(name, value)
    raise RecordError(f"field '{name}' takes {kind}, and got a {type(value).__name__}", column=name)


def _clean_text(name: str, text: str) -> str:
    """Removes zero characters, because some databases do not store them; refuses half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"field '{name}' has text that is no Unicode: {error.reason}", column=name) from None
    return text.replace("\0", "") if "\0" in text else text
