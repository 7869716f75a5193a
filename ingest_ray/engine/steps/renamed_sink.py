"""A sink whose tables have other names for some columns than the source: `policy.rename`.

Everything before it knows the source's names only: keys, cursors, masks, staging, quarantine, comparisons.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import opened_sink
from ingest_ray.registry import open_sink
from ingest_ray.sdk.contracts import (
    FileStager,
    KeySumReader,
    LocalFileStager,
    Misfit,
    MisfitFinder,
    ProgressReader,
    RowReader,
    Sink,
    SinkProgress,
)
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target

Bounds = tuple[int | None, int | None]


def open_sink_of(order: RunOrder) -> Sink:
    """The sink of a unit's table."""
    return renamed_sink(open_sink(opened_sink(order)), order.spec.policy.renames)


def renamed_sink(sink: Sink, names: Mapping[str, str]) -> Sink:
    """The sink itself where nothing is renamed."""
    return RenamedSink(sink, names) if names else sink


class RenamedSink:
    """Has the optional capabilities of the sink that it wraps: their methods are attributes of the object, where the sink has them."""

    def __init__(self, sink: Sink, names: Mapping[str, str]) -> None:
        self._sink: Any = sink
        self._names = dict(names)
        self._back = {new: old for old, new in names.items()}
        if isinstance(sink, ProgressReader):
            self.read_progress = self._read_progress
        if isinstance(sink, MisfitFinder):
            self.find_misfits = self._find_misfits
        if isinstance(sink, FileStager):
            self.adopts, self.stage_files, self.sweep_files = self._adopts, self._stage_files, self._sweep_files
        if isinstance(sink, LocalFileStager):
            self.stage_in = sink.stage_in
        if isinstance(sink, RowReader):
            self.comparable_schema, self.read_rows = self._comparable_schema, self._read_rows
        if isinstance(sink, KeySumReader):
            self.sum_keys = self._sum_keys

    def location(self, target: Target) -> str:
        return str(self._sink.location(target))

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        found = self._sink.fit(self._schema(schema))
        return [fit.model_copy(update={"column": self._back.get(fit.column, fit.column)}) for fit in found]

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        return int(self._sink.open(self._target(target), self._schema(schema), epoch))

    def is_empty(self, target: Target) -> bool:
        return bool(self._sink.is_empty(self._target(target)))

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        renamed = (self._batch(batch) for batch in batches)
        prepared: Prepared = self._sink.prepare(self._target(target), piece, self._schema(schema), renamed)
        return prepared

    def _adopts(self, target: Target, piece: Slice) -> bool:
        return bool(self._sink.adopts(self._target(target), piece))

    def _sweep_files(self, target: Target, run_id: str) -> int:
        return int(self._sink.sweep_files(self._target(target), run_id))

    def _stage_files(
        self, target: Target, piece: Slice, attempt: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Prepared:
        renamed = (self._batch(batch) for batch in batches)
        prepared: Prepared = self._sink.stage_files(self._target(target), piece, attempt, self._schema(schema), renamed)
        return prepared

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        receipt: Receipt = self._sink.commit(self._target(target), self._schema(schema), epoch, sequence, group)
        return receipt

    def abort(self, group: Sequence[Prepared]) -> None:
        self._sink.abort(group)

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for batch in self._sink.keys(self._target(target), self._schema(schema)):
            yield batch.rename_columns([self._back.get(name, name) for name in batch.schema.names])

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        renamed = (self._batch(batch) for batch in keys)
        receipt: Receipt = self._sink.erase(self._target(target), self._schema(schema), epoch, sequence, renamed, how)
        return receipt

    def _read_progress(self, target: Target) -> SinkProgress:
        progress: SinkProgress = self._sink.read_progress(self._target(target))
        return progress

    def _find_misfits(
        self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False
    ) -> Mapping[int, Misfit]:
        found = self._sink.find_misfits(self._schema(schema), self._batch(batch), converts=converts)
        return {row: Misfit(self._back.get(one.column, one.column), one.reason) for row, one in found.items()}

    def _comparable_schema(self, target: Target, schema: pa.Schema) -> pa.Schema:
        found = self._sink.comparable_schema(self._target(target), self._schema(schema))
        return pa.schema([field.with_name(self._back.get(field.name, field.name)) for field in found])

    def _read_rows(
        self,
        target: Target,
        schema: pa.Schema,
        columns: Sequence[str],
        stored: Sequence[str],
        bounds: Bounds | None = None,
    ) -> Iterator[pa.RecordBatch]:
        wanted = [[self._names.get(name, name) for name in names] for names in (columns, stored)]
        for batch in self._sink.read_rows(self._target(target), self._schema(schema), *wanted, bounds):
            yield batch.rename_columns([*columns, *stored])

    def _sum_keys(
        self, target: Target, schema: pa.Schema, key: str, keys: KeyRange
    ) -> tuple[Mapping[int, KeySum], int]:
        name = self._names.get(key, key)
        sums: tuple[Mapping[int, KeySum], int] = self._sink.sum_keys(
            self._target(target), self._schema(schema), name, keys
        )
        return sums

    def _schema(self, schema: pa.Schema) -> pa.Schema:
        return pa.schema([field.with_name(self._names.get(field.name, field.name)) for field in schema])

    def _batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(batch.columns, schema=self._schema(batch.schema))

    def _target(self, target: Target) -> Target:
        version = target.version_column
        update = {
            "key": tuple(self._names.get(name, name) for name in target.key),
            "version_column": None if version is None else self._names.get(version, version),
            "layout": None if target.layout is None else target.layout.renamed(self._names),
        }
        return target.model_copy(update=update)
