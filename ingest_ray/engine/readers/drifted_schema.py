"""Reads a dataset as the source has it now, and converts its rows to the types in which the unit is staged.

Two cases of `policy.on_schema_change` need it: a type became narrower (every value fits), or, with `quarantine_row`, a type
became another (a row whose value does not fit goes to quarantine, with its raw values).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.engine.masking.masked_dataset import read_schema
from ingest_ray.quarantine.raw_rows import raw_row
from ingest_ray.sdk.changes import CHANGE_FIELDS
from ingest_ray.sdk.contracts import (
    Backfill,
    KeyScan,
    KeySums,
    Notes,
    Probe,
    QuickCheck,
    ReadContext,
    RowLookup,
    RowSource,
    capability,
    find_capability,
)
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import Dataset, Interval, Piece, Scope, SegmentState, Slice, UnitSpec


class DriftedSource:
    """Wraps the strategy of the source and gives it the dataset as the source has it now."""

    def __init__(self, strategy: RowSource, dataset: Dataset) -> None:
        self.descriptor = strategy.descriptor
        self._strategy = strategy
        self._dataset = dataset

    def has_capability(self, kind: type) -> bool:
        return find_capability(self._strategy, kind) is not None

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        return capability(self._strategy, QuickCheck).is_unchanged(self._as_read(spec), known)

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return self._strategy.probe(self._as_read(spec), known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return self._strategy.scopes(self._as_read(spec), probe, known)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return self._strategy.cut(self._as_read(spec), probe, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return capability(self._strategy, Backfill).between(self._as_read(spec), probe, known, lower, upper)

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        schema = read_schema(spec)
        keys = pa.schema([schema.field(name) for name in spec.key])
        for batch in capability(self._strategy, KeyScan).scan_keys(self._as_read(spec)):
            yield batch.cast(keys)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return capability(self._strategy, KeyScan).proven_gone(self._as_read(spec), keys)

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        return capability(self._strategy, RowLookup).lookup_columns(self._as_read(spec))

    def version_columns(self, spec: UnitSpec) -> Sequence[str] | None:
        return capability(self._strategy, RowLookup).version_columns(self._as_read(spec))

    def look_up(
        self, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
    ) -> Iterator[pa.RecordBatch]:
        as_read = self._as_read(spec)
        schema = read_schema(as_read)
        read = replace(context, schema=pa.schema([schema.field(name) for name in context.schema.names]))
        for batch in capability(self._strategy, RowLookup).look_up(as_read, keys, read, known):
            yield fitted_batch(batch, context)

    def notes(self, spec: UnitSpec) -> Sequence[str]:
        return capability(self._strategy, Notes).notes(self._as_read(spec))

    def key_span(self, spec: UnitSpec) -> tuple[int, int] | None:
        return capability(self._strategy, KeySums).key_span(self._as_read(spec))

    def sum_keys(self, spec: UnitSpec, keys: KeyRange) -> Mapping[int, KeySum]:
        return capability(self._strategy, KeySums).sum_keys(self._as_read(spec), keys)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        as_read = self._as_read(spec)
        schema = read_schema(as_read)
        as_staged = pa.schema(
            [field if field in CHANGE_FIELDS else schema.field(field.name) for field in context.schema]
        )
        for batch in self._strategy.read(as_read, piece, replace(context, schema=as_staged)):
            yield fitted_batch(batch, context)

    def _as_read(self, spec: UnitSpec) -> UnitSpec:
        return spec.model_copy(update={"dataset": self._dataset})


def fitted_batch(batch: pa.RecordBatch, context: ReadContext) -> pa.RecordBatch:
    """Returns the batch in `context.schema`, without the rows that do not fit: those are rejected."""
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
        context.reject(raw_row(batch, row), reason, name)
    good = [row for row in range(batch.num_rows) if row not in misfits]
    return shaped.take(pa.array(good, pa.int64()))


def _cast(array: pa.Array, field: pa.Field, misfits: dict[int, tuple[str, str]]) -> pa.Array:
    """Returns the array in the field's type. A value that does not fit is NULL there, and its row is added to `misfits`."""
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
