"""The strategy of every SQL database: the contract's methods over one dialect."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa

from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import IngestError, SourceChanged, SourceDenied
from ingest_ray.sdk.key_sums import KeyRange, KeySum
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
from ingest_ray.sdk.types.dataset import FAULT
from ingest_strategies.jdbc.checks import check_policy, list_units
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.key_scan import scan_keys
from ingest_strategies.jdbc.lookup import find_key_span, look_up, sum_keys
from ingest_strategies.jdbc.planning.backfill import backfill_scopes
from ingest_strategies.jdbc.planning.cuts import cut_gap
from ingest_strategies.jdbc.planning.probe import SEGMENT, TableProbe, open_probe
from ingest_strategies.jdbc.planning.scopes import plan_scopes
from ingest_strategies.jdbc.planning.unchanged import can_be_unchanged, has_no_newer_rows
from ingest_strategies.jdbc.reader import read
from ingest_strategies.jdbc.sessions.queries import drop_session, query_session

PREVIEW_BYTES = 4 * 1024 * 1024  # a preview is a few rows for a screen


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
            diagnostic = Diagnostic(level="error", code=code, message=error.message, hint=error.hint)
            return ConnectionReport(ok=False, diagnostics=(diagnostic,))

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        with self._dialect.open(endpoint) as session:
            yield from self._dialect.collect(endpoint, session)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        """A dataset whose name was changed in the catalog, because two had one, keeps that name."""
        found = query_session(
            self._dialect, endpoint, lambda session: self._dialect.describe(endpoint, session, dataset)
        )
        if found is not None and FAULT in found.facts:
            raise SourceChanged(f"{dataset.name}: it cannot be described any more: {found.facts[FAULT]}")
        return None if found is None else found.model_copy(update={"name": dataset.name})

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        schema = schema_of(dataset)
        config = UnitConfig(endpoint_id=endpoint.endpoint_id, unit_id=dataset.name, sink_id="")
        spec = UnitSpec(endpoint=endpoint, dataset=dataset, config=config)
        context = ReadContext(schema, PREVIEW_BYTES, PREVIEW_BYTES, reject=lambda raw, reason, column: None)
        piece = Slice(segment=SEGMENT, scope_id="preview", rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)
        source = f"FROM {self._dialect.table(dataset)} {self._dialect.limit_clause(int(limit))}"
        with self._dialect.open(endpoint) as session:
            self._dialect.check_columns(session, dataset, schema.names)
            batches = [fetched.batch for fetched in self._dialect.read(session, spec, piece, source, context)]
        return pa.Table.from_batches(batches, schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        return list_units(self._dialect, endpoint, datasets)

    def check(self, spec: UnitSpec) -> None:
        check_policy(self._dialect, spec)

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        state = known.get(SEGMENT)
        if state is None or not can_be_unchanged(spec, state):
            return False
        return query_session(
            self._dialect, spec.endpoint, lambda session: has_no_newer_rows(self._dialect, session, spec, state)
        )

    def notes(self, spec: UnitSpec) -> Sequence[str]:
        found = query_session(self._dialect, spec.endpoint, lambda session: self._dialect.notes(session, spec))
        return [str(note) for note in found.values()]

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        check_policy(self._dialect, spec)
        drop_session(spec.endpoint)
        return open_probe(self._dialect, spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return plan_scopes(table_probe_of(probe), known.get(SEGMENT))

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return backfill_scopes(table_probe_of(probe), lower, upper)

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        return scan_keys(self._dialect, spec)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from keys  # the key scan was one statement over the whole table

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        return spec.key

    def version_columns(self, spec: UnitSpec) -> Sequence[str] | None:
        return None

    def look_up(
        self, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
    ) -> Iterator[pa.RecordBatch]:
        return look_up(self._dialect, spec, keys, context, known)

    def key_span(self, spec: UnitSpec) -> tuple[int, int] | None:
        return find_key_span(self._dialect, spec)

    def sum_keys(self, spec: UnitSpec, keys: KeyRange) -> Mapping[int, KeySum]:
        return sum_keys(self._dialect, spec, keys)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return cut_gap(table_probe_of(probe).with_learned(spec), scope, gap)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        return read(self._dialect, spec, piece, context)


def table_probe_of(probe: Probe) -> TableProbe:
    table_probe: TableProbe = probe.live
    return table_probe
