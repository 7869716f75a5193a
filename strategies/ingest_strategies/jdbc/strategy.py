"""The strategy of every SQL database: the contract's methods over one dialect."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa

from ingest_ray.sdk.arrow_types import schema_of
from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.errors import IngestError, SourceDenied
from ingest_ray.sdk.types import (
    Axis,
    ConnectionReport,
    Dataset,
    Diagnostic,
    Effect,
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
from ingest_strategies.jdbc.checks import check, units
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.key_scan import census
from ingest_strategies.jdbc.planning.backfill import between
from ingest_strategies.jdbc.planning.cuts import pieces
from ingest_strategies.jdbc.planning.probe import SEGMENT, Look, probed
from ingest_strategies.jdbc.planning.scopes import planned
from ingest_strategies.jdbc.planning.unchanged import is_at_rest, may_rest
from ingest_strategies.jdbc.reader import read
from ingest_strategies.jdbc.sessions.queries import asked, leave

PREVIEW_BYTES = 4 * 1024 * 1024  # a few rows: more than that is not for a screen


class SqlStrategy:
    """Holds no state; see `contracts.Strategy`."""

    def __init__(self, descriptor: Descriptor, dialect: Dialect) -> None:
        self.descriptor = descriptor
        self._dialect = dialect

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        try:
            with self._dialect.open(endpoint) as session:
                return ConnectionReport(ok=True, version=self._dialect.version(session))
        except IngestError as error:
            code = "denied" if isinstance(error, SourceDenied) else "unreachable"
            found = Diagnostic(level="error", code=code, message=error.message, hint=error.hint)
            return ConnectionReport(ok=False, diagnostics=(found,))

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        with self._dialect.open(endpoint) as session:
            yield from self._dialect.collect(endpoint, session)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return asked(self._dialect, endpoint, lambda session: self._dialect.describe(endpoint, session, dataset))

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        schema = schema_of(dataset)
        config = UnitConfig(endpoint_id=endpoint.endpoint_id, unit_id=dataset.name, sink_id="")
        spec = UnitSpec(endpoint=endpoint, dataset=dataset, config=config)
        context = ReadContext(schema, PREVIEW_BYTES, PREVIEW_BYTES, reject=lambda raw, reason, column: None)
        piece = Slice(segment=SEGMENT, scope_id="preview", rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)
        source = f"FROM {self._dialect.table(dataset)} {self._dialect.page(int(limit))}"
        with self._dialect.open(endpoint) as session:
            self._dialect.check_columns(session, dataset, schema.names)
            batches = [found.batch for found in self._dialect.read(session, spec, piece, source, context)]
        return pa.Table.from_batches(batches, schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        return units(self._dialect, endpoint, datasets)

    def check(self, spec: UnitSpec) -> None:
        check(self._dialect, spec)

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        state = known.get(SEGMENT)
        if state is None or not may_rest(spec, state):
            return False
        return asked(self._dialect, spec.endpoint, lambda session: is_at_rest(self._dialect, session, spec, state))

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        check(self._dialect, spec)
        leave(spec.endpoint)
        return probed(self._dialect, spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return planned(look_of(probe), known.get(SEGMENT))

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return between(look_of(probe), lower, upper)

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        return census(self._dialect, spec)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from keys  # one statement has seen the whole table

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return pieces(look_of(probe).relearned(spec), scope, gap)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        return read(self._dialect, spec, piece, context)


def look_of(probe: Probe) -> Look:
    look: Look = probe.live
    return look
