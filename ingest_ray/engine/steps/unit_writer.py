"""Prepares slices at the sink and commits groups of them to the unit's target."""

import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.fitting_rows import SliceOfRows
from ingest_ray.engine.steps.model_writer import ModelWriter
from ingest_ray.engine.steps.renamed_sink import open_sink_of
from ingest_ray.engine.steps.unit_layout import slice_schema, table_schema, target_of
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import FileStager, ProgressReader, Sink, SinkProgress, Staging
from ingest_ray.sdk.types import Handle, Mapped, Prepared, Receipt, Slice, WriteMode


class UnitWriter(Protocol):
    """Prepares slices and commits groups of them to the unit's target. Every call that needs an epoch takes it as argument."""

    @property
    def location(self) -> str: ...

    @property
    def write(self) -> WriteMode: ...

    def read_progress(self) -> SinkProgress | None:
        """None where the sink cannot tell."""
        ...

    def open(self, epoch: int) -> int: ...

    def is_empty(self) -> bool: ...

    def prepare(self, piece: Slice, handle: Handle, mapped: Mapped | None) -> Prepared: ...

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt: ...

    def abort(self, group: Sequence[Prepared]) -> None: ...


@runtime_checkable
class FileSweeper(Protocol):
    """What a writer also is whose sink may have files that readers staged."""

    def sweep_files(self, run_id: str) -> int:
        """See `FileStager.sweep_files`."""
        ...


def writer_for(order: RunOrder, staging: Staging) -> UnitWriter:
    """A writer of the unit's own table, or, in CDM mode, of the tables of its models."""
    return ModelWriter(order, staging) if order.spec.is_cdm else TableWriter(order, staging)


class TableWriter:
    """Writes the staged rows of a unit to its one table."""

    def __init__(self, order: RunOrder, staging: Staging) -> None:
        self._order = order
        self.sink: Sink = open_sink_of(order)
        self._staging = staging
        self.target = target_of(order)
        self._schema = table_schema(order.spec)

    @property
    def location(self) -> str:
        return self.sink.location(self.target)

    @property
    def write(self) -> WriteMode:
        return self.target.write

    def read_progress(self) -> SinkProgress | None:
        return self.sink.read_progress(self.target) if isinstance(self.sink, ProgressReader) else None

    def open(self, epoch: int) -> int:
        return self.sink.open(self.target, self._schema, epoch)

    def is_empty(self) -> bool:
        return self.sink.is_empty(self.target)

    def prepare(self, piece: Slice, handle: Handle, mapped: Mapped | None = None) -> Prepared:
        started = time.monotonic()
        reached("sink:before-prepare")
        schema = slice_schema(self._order.spec, piece)
        rows = SliceOfRows(self._order, self.sink, self.target, schema, self._staging, piece, handle)
        prepared = rows.prepare()
        reached("sink:after-prepare")
        return prepared.model_copy(update={"seconds": time.monotonic() - started})

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        started = time.monotonic()
        reached("sink:before-commit")
        receipt = self.sink.commit(self.target, self._schema, epoch, sequence, group)
        reached("sink:after-commit")
        return receipt.model_copy(update={"seconds": time.monotonic() - started})

    def abort(self, group: Sequence[Prepared]) -> None:
        self.sink.abort(group)

    def sweep_files(self, run_id: str) -> int:
        return self.sink.sweep_files(self.target, run_id) if isinstance(self.sink, FileStager) else 0
