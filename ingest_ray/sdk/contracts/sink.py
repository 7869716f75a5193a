"""The sink contract: where the rows of a unit end up."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SinkProgress:
    """The epoch and the last sequence number that a target has. `exists`: False where there is no table, and both are 0.

    `restored_to`: the commit whose rows the target has, where its rows went back to an earlier version and its number did not.
    """

    epoch: int = 0
    sequence: int = 0
    exists: bool = True
    restored_to: int | None = None
    tables: tuple[tuple[str, int], ...] = field(default=(), compare=False)
    """Where a unit writes several tables: their names, and the last commit whose rows each has (0: none of this unit, or no table)."""

    def of_tables(self, known: Container[str]) -> SinkProgress:
        """The progress of those tables that had the rows of the last commit; others belong to models that the unit got later."""
        rows_of = min((rows for name, rows in self.tables if name in known), default=self.rows_of)
        return replace(self, restored_to=rows_of if rows_of < self.sequence else None)

    @property
    def rows_of(self) -> int:
        """The last commit whose rows the target has."""
        return self.sequence if self.restored_to is None else self.restored_to

    def is_behind(self, sequence: int, committed_by: int) -> bool:
        """True where the target does not have commit `sequence`, which a run of epoch `committed_by` (0: unknown) made."""
        return sequence > 0 and (not self.exists or self.rows_of < sequence or self.epoch < committed_by)


@runtime_checkable
class ProgressReader(Protocol):
    """An optional capability of a sink: by its numbers a run finds out that the state or the table was restored from a copy."""

    def read_progress(self, target: Target) -> SinkProgress:
        """Reads epoch and number of the last commit; changes nothing."""
        ...


@runtime_checkable
class ReachChecker(Protocol):
    """An optional capability of a sink whose ordinary requests are repeated for long: of one in an object store."""

    def check_reach(self) -> None:
        """One short request, at most 10 seconds.

        Raises:
            SinkRejected: a person must change something: the bucket, the keys, the rights.
            SinkUnavailable: the endpoint does not answer.
        """
        ...


@dataclass(frozen=True)
class Misfit:
    """Why a row does not fit a sink: the column, where it is one, and the reason as text for people."""

    column: str | None
    reason: str


@runtime_checkable
class MisfitFinder(Protocol):
    """An optional capability of a sink, also of one of models: it names the rows that it cannot hold before they are prepared."""

    def find_misfits(self, schema: pa.Schema, batch: pa.RecordBatch, *, converts: bool = False) -> Mapping[int, Misfit]:
        """The misfits of a batch by their row's index. `converts`: also finds values that fail while `prepare` converts them,
        which takes longer.

        Raises:
            SinkUnavailable: a limit had to be requested from the sink.
        """
        ...


class Sink(Protocol):
    """Writes the rows of units. One object serves one sink endpoint; it may exist in several processes at once."""

    def location(self, target: Target) -> str: ...

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        """Returns how each column arrives, the sink's half of the fidelity certificate. Makes no request."""
        ...

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        """Creates or evolves the target, fences older epochs, returns the last committed sequence number (0: none).

        Raises:
            Fenced: a newer epoch has the target.
        """
        ...

    def is_empty(self, target: Target) -> bool:
        """True where no row is in the target, or there is no target yet."""
        ...

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        """Makes rows durable without showing them. Parallel and repeatable: preparing twice is no error.

        Raises:
            RowsRejected: values of some rows are refused, and nothing was prepared. The caller finds the rows by preparing parts.
        """
        ...

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        """Shows a group, atomically, once: a number that is already there is not applied again.

        Raises:
            Fenced: a newer epoch has the target.
            CommitUnknown: the answer was lost; `open` returns the last sequence number.
            SinkUnavailable: nothing happened; try again.
            StagingLost: nothing happened, and no later commit of this group can succeed: prepared rows are gone. Prepare the
                slices again, and commit them under another number.
        """
        ...

    def abort(self, group: Sequence[Prepared]) -> None: ...

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yields the keys of all rows that are not tombstones, as `target.key` in the types of `schema`."""
        ...

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        """Marks rows as deleted (`_deleted_at`) or removes them: one numbered commit, with the errors of `commit`.

        `rows_committed` counts the rows that were marked or removed.
        """
        ...
