"""The source contract: how one family of sources is described, planned and read."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    LogHistory,
    Piece,
    Position,
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
    """The result of one cheap request to the source, valid while the probe's context is open.

    `snapshot` is a token with which readers see the same rows. `facts` are printed by `plan`. `live` is the strategy's own
    object; it never leaves the planner's process.
    """

    strategy: str
    rows: int | None = None
    bytes: int | None = None
    horizon: Horizon | None = None
    snapshot: str | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    live: Any = None
    check_connection: Callable[[], None] | None = None
    """Raises the source's error where the connection that holds the snapshot is lost."""
    log_end: int | None = None
    """Of a log: a number of the place where it ends now; such numbers grow along it."""
    log_upper: int | None = None
    """Of the place up to which this plan reads it."""
    unchanged_until: Mapping[str, Position] | None = None
    """Of a log: segments without a change up to a position, to which their watermarks may be moved without a commit."""
    history: LogHistory | None = None
    """Of the log that those positions are of."""


@dataclass(frozen=True)
class ReadContext:
    """What a reader gets besides its slice.

    `budget_bytes`: raise `SliceTooLarge` when the slice holds more than this. `reject(raw, reason, column)` puts one row
    into quarantine; that row must not be yielded, and counts as read.
    """

    schema: pa.Schema
    page_bytes: int
    budget_bytes: int
    reject: Callable[[Mapping[str, JsonValue], str, str | None], None]
    is_stopping: Callable[[], bool] = lambda: False


class MetadataSource(Protocol):
    """Describes a source: its connection, its datasets and the units that can be ingested.

    Errors are those of `ingest_ray.sdk.errors`; an exception of a driver never escapes.
    """

    descriptor: Descriptor

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        """Tries to log in and reports the result. A fault that a person can fix is in the report, not raised."""
        ...

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        """Yields every dataset with exact column types; a dataset that cannot be described is named in its `facts`."""
        ...

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        """Returns the dataset as the source has it now, described as `collect` does; None where it is gone."""
        ...

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        """Returns at most `limit` rows of the dataset, in its columns."""
        ...

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        """Returns the units of the given catalog datasets, and no others. Makes no request to the source.

        A unit that has a CDM mapper names the mapper's models in `cdm_model_ids`.
        """
        ...

    def check(self, spec: UnitSpec) -> None:
        """Raises a `GateError` or `ConfigError` for a policy that this unit cannot have. Makes no request to the source."""
        ...


class RowSource(Protocol):
    """Plans and reads the rows of a unit.

    Holds no state between calls: any method may run in any process, and a slice may be read on any node, twice, in any
    order. Errors are those of `ingest_ray.sdk.errors`; an exception of a driver never escapes.
    """

    descriptor: Descriptor

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        """Reads horizon, counts, ranges and statistics, but no rows. The horizon is captured before the snapshot."""
        ...

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        """Returns what has to be read now, given what is already committed. Pure.

        The result has new scopes, and the unfinished scopes of `known` that are continued (same id). A scope of `known`
        that is not returned is dropped, with the record of what was committed of it.
        """
        ...

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        """Cuts one gap of a scope into pieces that touch, in axis order, and together are the gap.

        Lazy and deterministic: equal arguments under one snapshot give equal pieces. Boundaries are chosen by the
        source or by arithmetic, never by comparing keys in Python.
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


class Strategy(MetadataSource, RowSource, Protocol):
    """One family of sources, as its entry point names it.

    It may also have optional capabilities, see `ingest_ray.sdk.contracts.capabilities`.
    """
