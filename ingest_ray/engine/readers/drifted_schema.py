"""Reads a dataset as the source has it now, and gives its rows in the types that the unit is staged in.

For what `policy.on_schema_change` makes of a changed dataset: a type that became narrower (every value fits), and, with
`quarantine_row`, one that became another (a row whose value does not fit goes to quarantine, with its raw values).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.engine.steps.unit_layout import staged_schema
from ingest_ray.sdk.contracts import Probe, ReadContext, Strategy
from ingest_ray.sdk.types import Dataset, Interval, Piece, Scope, SegmentState, Slice, UnitSpec


class Fitted:
    """A strategy around the source's own, which sees the dataset as it is."""

    def __init__(self, strategy: Strategy, dataset: Dataset) -> None:
        self.descriptor = strategy.descriptor
        self._strategy = strategy
        self._dataset = dataset

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        return self._strategy.is_unchanged(self._found(spec), known)

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return self._strategy.probe(self._found(spec), known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return self._strategy.scopes(self._found(spec), probe, known)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return self._strategy.cut(self._found(spec), probe, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return self._strategy.between(self._found(spec), probe, known, lower, upper)

    def census(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        schema = staged_schema(spec)
        keys = pa.schema([schema.field(name) for name in spec.key])
        for batch in self._strategy.census(self._found(spec)):
            yield batch.cast(keys)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return self._strategy.proven_gone(self._found(spec), keys)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        found = self._found(spec)
        for batch in self._strategy.read(found, piece, replace(context, schema=staged_schema(found))):
            yield fitted_batch(batch, context)

    def _found(self, spec: UnitSpec) -> UnitSpec:
        return spec.model_copy(update={"dataset": self._dataset})


def fitted_batch(batch: pa.RecordBatch, context: ReadContext) -> pa.RecordBatch:
    """The batch in `context.schema`, column by column; without the rows that do not fit, which are rejected."""
    misfits: dict[int, tuple[str, str]] = {}
    columns = []
    for array, field in zip(batch.columns, context.schema, strict=True):
        column = _cast(array, field, misfits)
        if not field.nullable and column.null_count:
            for row in _true_at(pc.and_(array.is_null(), column.is_null())):
                misfits.setdefault(row, ("is NULL, and the column may not be", field.name))
        columns.append(column)
    shaped = pa.RecordBatch.from_arrays(columns, schema=context.schema)
    if not misfits:
        return shaped
    for row, (reason, name) in sorted(misfits.items()):
        context.reject(batch.slice(row, 1).to_pylist()[0], reason, name)
    good = [row for row in range(batch.num_rows) if row not in misfits]
    return shaped.take(pa.array(good, pa.int64()))


def _cast(array: pa.Array, field: pa.Field, misfits: dict[int, tuple[str, str]]) -> pa.Array:
    """Values that do not fit are NULL in what it returns, and their rows are in `misfits`."""
    try:
        return array if array.type == field.type else array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    values: list[pa.Array] = []
    for row in range(len(array)):
        try:
            values.append(array.slice(row, 1).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values.append(pa.nulls(1, field.type))
            if array[row].is_valid:
                misfits.setdefault(row, (f"a value of {array.type} that does not fit {field.type}", field.name))
    return pa.concat_arrays(values)


def _true_at(mask: pa.Array) -> list[int]:
    return [int(row) for row in pc.indices_nonzero(mask).to_pylist()]
