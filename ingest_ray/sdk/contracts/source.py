"""The source contract: how one family of sources is described, planned and read."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import JsonValue

from ingest_ray.sdk.contracts.descriptor import Descriptor
from ingest_ray.sdk.types import (
    ConnectionReport,
    Dataset,
    Endpoint,
    Horizon,
    Interval,
    Piece,
    Scope,
    SegmentState,
    Slice,
    Unit,
    UnitSpec,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Probe:
    """What one cheap look at the source found, and the door it holds open.

    `snapshot` is a token that readers use to see the same rows; it is good while the probe's context is open.
    `facts` are printed by `plan`; `live` is the strategy's own and never leaves the planner's process.
    """

    strategy: str
    rows: int | None = None
    bytes: int | None = None
    horizon: Horizon | None = None
    snapshot: str | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    live: Any = None


@dataclass(frozen=True)
class ReadContext:
    """What a reader gets besides its slice.

    `budget_bytes`: stop with `SliceTooLarge` when the slice holds more than this. `reject(raw, reason, column)` puts
    one row into quarantine; the row must then not be yielded, and counts as read.
    """

    schema: pa.Schema
    page_bytes: int
    budget_bytes: int
    reject: Callable[[Mapping[str, JsonValue], str, str | None], None]
    is_stopping: Callable[[], bool] = lambda: False


class Strategy(Protocol):
    """How one family of sources is described, planned and read.

    Holds no state between calls: any method may run in any process, and a slice may be read on any node, twice, in
    any order. Errors are those of `ingest_ray.sdk.errors`; a driver's own exception never escapes.
    """

    descriptor: Descriptor

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        """Never raises for what a person can fix: says it in the report."""
        ...

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        """Yields every dataset with exact column types; one that cannot be described is named in its `facts`."""
        ...

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        """The dataset as the source has it now, described as `collect` does; None where it is gone."""
        ...

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table: ...

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        """Only from catalog datasets; never invents one. Makes no request to the source."""
        ...

    def check(self, spec: UnitSpec) -> None:
        """Raises a `GateError` or `ConfigError` for a policy that this unit cannot have. Makes no request to the source."""
        ...

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        """True only where a probe would find nothing to read now, and much cheaper than one: else False, which says nothing."""
        ...

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        """Cheap: horizon, counts, ranges, statistics; reads no rows. The horizon is captured before the snapshot."""
        ...

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        """What has to be read now, given what is already committed. Pure.

        Returns new scopes, and the unfinished ones of `known` that are to go on (same id). One of `known` that is
        not returned is dropped, with what was done of it.
        """
        ...

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        """Cuts one gap of a scope into pieces that touch, in axis order, and together are the gap.

        Lazy and deterministic: equal arguments under one snapshot give equal pieces. Boundaries are chosen by the
        source or by arithmetic, never by comparing keys here.
        """
        ...

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        """The scopes of a person's own interval `[lower, upper)` of the cursor, effect AHEAD: they move nothing.

        Raises:
            ConfigError: a bound is no value of the cursor.
        """
        ...

    def census(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        """Yields every key that the dataset has now, as its key columns in the types of the schema: all, or raises.

        It is what deletes are derived from: never ends early, never takes "may not see" for "is not there".
        """
        ...

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Of keys that a census did not have, those that the source proves not to exist. Never takes a refusal for proof.

        Where a census is itself the proof (one statement over a table), all of them.
        """
        ...

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        """Yields the rows of `piece.interval`, and no others, as `context.schema`, in batches of about `page_bytes`.

        Raises:
            SourceUnavailable: try the slice again; nothing that was yielded before counts.
            SnapshotLost: the source cannot show `piece.snapshot` any more, to no slice.
            SliceTooLarge: what was yielded up to `error.position` counts; plan the rest again.
        """
        ...
