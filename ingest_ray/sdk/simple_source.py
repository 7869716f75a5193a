"""A base class for a small source: every dataset is one segment, and each run reads all of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import ClassVar

import pyarrow as pa

from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import (
    ConfigError,
    IngestError,
    ModeUnsupported,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from ingest_ray.sdk.row_batches import BadRow, Row, batches_of
from ingest_ray.sdk.types import (
    Axis,
    Column,
    ConnectionReport,
    Dataset,
    Diagnostic,
    Effect,
    Endpoint,
    Interval,
    Piece,
    RunMode,
    Scope,
    SegmentState,
    Slice,
    Unit,
    UnitSpec,
)

__all__ = ["BadRow", "Column", "Dataset", "Descriptor", "Endpoint", "Row", "SimpleSource"]


class SimpleSource(ABC):
    """Has every method of the strategy contract. A subclass sets `descriptor` and implements `datasets` and `rows`.

    A unit is one dataset, read whole in one slice by every run (`run_mode: FULL`), so the sink replaces its rows. An `OSError`
    or `UnicodeError` of `datasets` and `rows` becomes a typed error of the source.
    """

    descriptor: Descriptor
    version: ClassVar[str] = "1"
    """The version that a connection test reports."""
    cdm_models: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """By dataset: the models that its CDM mapper fills. A unit without models cannot run in CDM mode."""

    @abstractmethod
    def datasets(self, endpoint: Endpoint) -> Iterable[Dataset]:
        """Yields every dataset of the source, with its columns."""

    @abstractmethod
    def rows(self, endpoint: Endpoint, dataset: Dataset) -> Iterable[Row | BadRow]:
        """Yields every row as values by column name, or a `BadRow` for a row that cannot be read.

        Text is converted to the column's type; a row with a value that does not fit goes to quarantine.
        """

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        try:
            for _ in self.collect(endpoint):
                break
        except IngestError as error:
            fault = Diagnostic(level="error", code=error.code, message=error.message, hint=error.hint)
            return ConnectionReport(ok=False, diagnostics=(fault,))
        return ConnectionReport(ok=True, version=self.version)

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        with _typed_errors(endpoint):
            yield from self.datasets(endpoint)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return next((now for now in self.collect(endpoint) if now.name == dataset.name), None)

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        context = ReadContext(schema_of(dataset), 1 << 20, 1 << 30, reject=lambda raw, reason, column: None)
        with _typed_errors(endpoint):
            batches = list(batches_of(islice(self.rows(endpoint, dataset), limit), context))
        return pa.Table.from_batches(batches, context.schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        return [
            Unit(
                endpoint_id=endpoint.endpoint_id,
                unit_id=dataset.name,
                dataset_id=dataset.dataset_id,
                kind=dataset.kind,
                display_name=dataset.name,
                driver_id=self.descriptor.template,
                supported_modes=(RunMode.FULL,),
                cdm_model_ids=self.cdm_models.get(dataset.name, ()),
            )
            for dataset in datasets
        ]

    def check(self, spec: UnitSpec) -> None:
        if spec.config.run_mode is not RunMode.FULL:
            raise ModeUnsupported(f"unit '{spec.unit_id}' is read whole by every run", hint="run_mode: FULL")
        for name in ("cursor", "where"):
            if getattr(spec.policy, name) is not None:
                raise ConfigError(f"unit '{spec.unit_id}' is read whole: it has no policy.{name}", hint="leave it out")

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        yield Probe(strategy="full read", rows=spec.dataset.estimated_rows, bytes=spec.dataset.estimated_bytes)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        axis = Axis(kind="whole")
        return [Scope(scope_id="load", segment="all", axis=axis, effect=Effect.LOAD, is_resumable=False)]

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        yield Piece(interval=gap, estimated_rows=probe.rows, estimated_bytes=probe.bytes)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        with _typed_errors(spec.endpoint):
            yield from batches_of(self.rows(spec.endpoint, spec.dataset), context)


@contextmanager
def _typed_errors(endpoint: Endpoint) -> Iterator[None]:
    """Turns errors of files and connections into those of the contract."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise _source_error(error)(f"endpoint '{endpoint.endpoint_id}': {error}") from error


def _source_error(error: OSError | UnicodeError) -> type[SourceError]:
    if isinstance(error, PermissionError):
        return SourceDenied
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeError)):
        return SourceChanged
    return SourceUnavailable
