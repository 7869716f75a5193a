"""The five contracts of the system: strategy, staging, sink, KV, and what a reader is given.

They fit on two screens; `ingest_ray.testing` has a behaviour suite for each of the first four.
"""

from __future__ import annotations  # so that only those who hold Arrow data import its library

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, JsonValue

from ingest_ray.sdk.types import (
    ColumnFit,
    ConnectionReport,
    Dataset,
    Endpoint,
    Handle,
    Horizon,
    Interval,
    ModelCounts,
    Piece,
    Prepared,
    Provisioned,
    Receipt,
    Scope,
    SegmentState,
    Slice,
    Target,
    Unit,
    UnitSpec,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Descriptor:
    """What a family of endpoints needs and can do.

    `config_model` is a pydantic model; its `SecretStr` fields are the secrets: they are stored encrypted or as
    references, and shown nowhere.
    """

    template: str
    family: Literal["JDBC", "HTTP", "STREAM"]
    title: str
    vendor: str
    config_model: type[BaseModel]
    description: str = ""
    capabilities: tuple[str, ...] = ()
    docs_url: str | None = None
    default_port: int | None = None
    sample_config: Mapping[str, JsonValue] = field(default_factory=dict)
    supported_cdm_models: tuple[str, ...] = ()
    """Of a sink: exact ids, or all of a family (`cdm.work.*`)."""


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


class StageWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> Handle:
        """Writes the manifest, last, by rename. Before this nothing of the attempt exists for anybody else."""
        ...

    def abort(self) -> None: ...


class Staging(Protocol):
    """Where pages wait between reader and sink. A reader of pages never sees two attempts mixed.

    Raises `StagingUnavailable` when it cannot be written, `StagingLost` when pages are gone or damaged.
    """

    provider: str

    def open(self, run_id: str, slice_id: str, attempt: int, schema: pa.Schema) -> StageWriter: ...

    def read(self, handle: Handle) -> Iterator[pa.RecordBatch]: ...

    def drop(self, handle: Handle) -> None: ...

    def sweep(self, run_id: str) -> int:
        """Removes everything of a run; returns the bytes it freed."""
        ...

    def runs(self) -> Sequence[str]:
        """The runs that have anything staged."""
        ...


class Sink(Protocol):
    """Where rows end up. One object serves one sink endpoint; it may live in several processes at once."""

    def location(self, target: Target) -> str: ...

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        """The sink's half of the fidelity certificate. Makes no request."""
        ...

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        """Creates or evolves the target, fences older epochs, returns the last committed sequence number (0: none).

        Raises:
            Fenced: a newer epoch has it.
        """
        ...

    def is_empty(self, target: Target) -> bool:
        """True where no row is in the target, or there is no target yet."""
        ...

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        """Makes rows durable without showing them. Parallel and repeatable: preparing twice harms nothing."""
        ...

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        """Shows a group, atomically, once: a number that is already there is not applied again.

        Raises:
            Fenced: a newer epoch has the target.
            CommitUnknown: the answer was lost; ask `open` for the last sequence number.
            SinkUnavailable: nothing happened; try again.
            StagingLost: nothing happened, and no commit of this very group can succeed any more, whoever still tries it: some of
                what was prepared is gone. Prepare again what the slices have, and commit that under the same number.
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


@dataclass(frozen=True)
class ModelTable:
    """The table of one CDM model in a sink, as one unit writes to it: `target.model` says which."""

    target: Target
    schema: pa.Schema


class ModelSink(Protocol):
    """A sink of the common data model: one table per model, which many units share, and one number for all of a unit's tables.

    Rows are upserted by `cdm_id`; of two versions (`_source_version`) the newer one wins. What else a source row made before, and
    does not make any more, is erased in the same commit: a row without `cdm_id` tells of a source row that makes none.
    A replacement takes the place of all rows that the unit has in these tables, and of no others.
    """

    def location(self, target: Target) -> str: ...

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]: ...

    def provision(self, table: ModelTable) -> Provisioned:
        """Makes or grows the table of a model. Doing it again changes nothing."""
        ...

    def open(self, tables: Sequence[ModelTable], epoch: int) -> int:
        """Fences older epochs in every table, finishes a commit that reached only some of them, returns the last number.

        Raises:
            Fenced: a newer epoch has them.
            SinkRejected: a table is not there, and this sink wants it provisioned.
        """
        ...

    def prepare(self, table: ModelTable, piece: Slice, batches: Iterable[pa.RecordBatch]) -> Prepared:
        """Makes rows durable without showing them, as `Sink.prepare` does."""
        ...

    def commit(
        self, tables: Sequence[ModelTable], epoch: int, sequence: int, groups: Sequence[Sequence[Prepared]]
    ) -> Sequence[ModelCounts]:
        """Shows a group of each table under one number, once. Where the sink has no transaction over tables, a table that has the
        number already is left alone, and the commit is complete when all have it.

        Raises what `Sink.commit` raises.
        """
        ...

    def abort(self, groups: Sequence[Sequence[Prepared]]) -> None: ...

    def keys(self, tables: Sequence[ModelTable]) -> Iterator[pa.RecordBatch]:
        """The source keys of the unit's rows that are not tombstones, as one column of text, each at least once."""
        ...

    def erase(
        self,
        tables: Sequence[ModelTable],
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Sequence[ModelCounts]:
        """Erases all that was made of source rows, by their keys: one number, with the errors of `commit`."""
        ...


class SinkFamily(Protocol):
    """One template of sinks, as its entry point names it. Importing it must not import the sink's heavy library."""

    descriptor: Descriptor

    def open(self, endpoint: Endpoint) -> Sink: ...

    def open_models(self, endpoint: Endpoint) -> ModelSink:
        """Only of a family whose descriptor names CDM models."""
        ...


class KV(Protocol):
    """Versioned small JSON documents. Raises `StateUnavailable` when the store does not answer."""

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None: ...

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        """Writes only where the stored version is `if_version` (0: no such key); returns the new version.

        Raises:
            StateConflict: somebody else wrote it.
        """
        ...

    def delete(self, key: str, if_version: int) -> None: ...

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """In key order; a literal prefix, without wildcards."""
        ...
