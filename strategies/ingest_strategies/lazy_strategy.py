"""A strategy that has its descriptor at once, and imports the module of its implementation at the first call of a method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from ingest_ray.sdk.contracts import (
    Backfill,
    ChangeLog,
    Descriptor,
    KeptLog,
    KeyScan,
    KeySums,
    LogInventory,
    LogReaders,
    LogStatus,
    Notes,
    Probe,
    QuickCheck,
    ReadContext,
    RowLookup,
    Strategy,
    capability,
    find_capability,
)
from ingest_ray.sdk.errors import StrategyMissing
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import (
    ConnectionReport,
    Dataset,
    Endpoint,
    Interval,
    Piece,
    Scope,
    SegmentState,
    Slice,
    Unit,
    UnitConfig,
    UnitSpec,
)

if TYPE_CHECKING:
    import pyarrow as pa


class LazyModule:
    """`target` is `module:name` of a callable that makes the strategy from its descriptor; `extra` installs its libraries."""

    def __init__(self, descriptor: Descriptor, target: str, extra: str) -> None:
        self.descriptor = descriptor
        self._target = target
        self._extra = extra

    @cached_property
    def _strategy(self) -> Strategy:
        module, _, name = self._target.partition(":")
        try:
            strategy: Strategy = getattr(import_module(module), name)(self.descriptor)
        except ImportError as error:
            raise StrategyMissing(
                f"template '{self.descriptor.template}' needs a library that is not installed: {error}",
                hint=f"pip install 'ingest-ray[{self._extra}]'",
            ) from None
        return strategy

    def has_capability(self, kind: type) -> bool:
        return find_capability(self._strategy, kind) is not None

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        return self._strategy.test(endpoint)

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        return self._strategy.collect(endpoint)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return self._strategy.describe(endpoint, dataset)

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> "pa.Table":
        return self._strategy.preview(endpoint, dataset, limit)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        return self._strategy.list_units(endpoint, datasets)

    def check(self, spec: UnitSpec) -> None:
        self._strategy.check(spec)

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        return capability(self._strategy, QuickCheck).is_unchanged(spec, known)

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return self._strategy.probe(spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return self._strategy.scopes(spec, probe, known)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return self._strategy.cut(spec, probe, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return capability(self._strategy, Backfill).between(spec, probe, known, lower, upper)

    def scan_keys(self, spec: UnitSpec) -> "Iterator[pa.RecordBatch]":
        return capability(self._strategy, KeyScan).scan_keys(spec)

    def proven_gone(self, spec: UnitSpec, keys: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        return capability(self._strategy, KeyScan).proven_gone(spec, keys)

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        return capability(self._strategy, RowLookup).lookup_columns(spec)

    def version_columns(self, spec: UnitSpec) -> Sequence[str] | None:
        return capability(self._strategy, RowLookup).version_columns(spec)

    def look_up(
        self, spec: UnitSpec, keys: "pa.RecordBatch", context: ReadContext, known: Mapping[str, SegmentState] | None
    ) -> "Iterator[pa.RecordBatch]":
        return capability(self._strategy, RowLookup).look_up(spec, keys, context, known)

    def notes(self, spec: UnitSpec) -> Sequence[str]:
        return capability(self._strategy, Notes).notes(spec)

    def open_log(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        capability(self._strategy, ChangeLog).open_log(spec, known)

    def advance_log(self, spec: UnitSpec, known: Mapping[str, SegmentState], readers: LogReaders) -> None:
        capability(self._strategy, ChangeLog).advance_log(spec, known, readers)

    def drop_log(self, spec: UnitSpec, readers: LogReaders) -> Sequence[str]:
        return capability(self._strategy, ChangeLog).drop_log(spec, readers)

    def read_log_status(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> LogStatus:
        return capability(self._strategy, ChangeLog).read_log_status(spec, known)

    def list_logs(self, endpoint: Endpoint) -> Sequence[KeptLog]:
        return capability(self._strategy, LogInventory).list_logs(endpoint)

    def log_name(self, endpoint: Endpoint, unit: UnitConfig) -> str:
        return capability(self._strategy, LogInventory).log_name(endpoint, unit)

    def shared_log_name(self, endpoint: Endpoint) -> str:
        return capability(self._strategy, LogInventory).shared_log_name(endpoint)

    def key_span(self, spec: UnitSpec) -> tuple[int, int] | None:
        return capability(self._strategy, KeySums).key_span(spec)

    def sum_keys(self, spec: UnitSpec, keys: KeyRange) -> Mapping[int, KeySum]:
        return capability(self._strategy, KeySums).sum_keys(spec, keys)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> "Iterator[pa.RecordBatch]":
        return self._strategy.read(spec, piece, context)
