"""The contract of a sink of the common data model."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from ingest_ray.sdk.contracts.sink import SinkProgress
from ingest_ray.sdk.types import ColumnFit, ModelCounts, Prepared, Provisioned, Slice, Target

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ModelTable:
    """The table of one CDM model in a sink, as one unit writes to it; `target.model` is the model."""

    target: Target
    schema: pa.Schema


@runtime_checkable
class ModelProgressReader(Protocol):
    """The optional capability `ProgressReader` of a sink of models."""

    def read_progress(self, tables: Sequence[ModelTable]) -> SinkProgress:
        """The highest epoch and number of all tables; `exists` where there is any of them. Changes nothing."""
        ...


class ModelSink(Protocol):
    """A sink of the common data model: one table per model, which many units share, and one number for all of a unit's tables.

    Rows are upserted by `cdm_id`; of two versions (`_source_version`) the newer one wins. Rows that a source row made before
    and no longer makes are erased in the same commit: a row without `cdm_id` marks a source row that makes none.
    A replacement replaces all rows that the unit has in these tables, and no others.
    """

    def location(self, target: Target) -> str: ...

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]: ...

    def provision(self, table: ModelTable) -> Provisioned:
        """Creates or extends the table of a model. Repeating it changes nothing."""
        ...

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        """Fences older epochs in every table, finishes a commit that reached only some of them, returns the last number.

        Raises:
            Fenced: a newer epoch has the tables.
            SinkRejected: a table is missing, and this sink requires it to be provisioned.
        """
        ...

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        """Makes rows durable without showing them, as `Sink.prepare` does."""
        ...

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        """Shows a group of each table under one number, once. Where the sink has no transaction over tables, a table that
        already has the number is not changed, and the commit is complete when all tables have it.

        Raises what `Sink.commit` raises.
        """
        ...

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None: ...

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        """Yields the source keys of the unit's rows that are not tombstones, as one column of text, each at least once."""
        ...

    def erase(
        self,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Sequence[ModelCounts]:
        """Erases all rows that were made of source rows, by their keys: one number, with the errors of `commit`."""
        ...
