"""The strategy of a SQL database whose log has the changes of its tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import pyarrow as pa

from ingest_ray.sdk.contracts import Descriptor, KeptLog, LogInventory, LogReaders, LogStatus, Probe, ReadContext
from ingest_ray.sdk.errors import IngestError, ModeUnsupported
from ingest_ray.sdk.types import (
    ConnectionReport,
    Dataset,
    Diagnostic,
    Endpoint,
    Interval,
    Piece,
    RunMode,
    Scope,
    SegmentState,
    Slice,
    Unit,
    UnitConfig,
    UnitSpec,
)
from ingest_strategies.jdbc.dialect import Dialect
from ingest_strategies.jdbc.sessions.queries import drop_session
from ingest_strategies.jdbc.strategy import SqlStrategy


class TableLog(Protocol):
    """How units in run mode CHANGES are planned and read, and what keeps the log for them: the methods of `RowSource` and `ChangeLog`."""

    def has_changes_of(self, dataset: Dataset) -> bool: ...

    def check(self, spec: UnitSpec) -> None: ...

    def open_log(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None: ...

    def advance_log(self, spec: UnitSpec, known: Mapping[str, SegmentState], readers: LogReaders) -> None: ...

    def drop_log(self, spec: UnitSpec, readers: LogReaders) -> Sequence[str]: ...

    def read_log_status(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> LogStatus: ...

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]: ...

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]: ...

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]: ...

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]: ...


@runtime_checkable
class LogDiagnosis(Protocol):
    """Says what is missing at a server for run mode CHANGES; logs that need nothing to be set do not have it."""

    def diagnose(self, endpoint: Endpoint) -> Sequence[Diagnostic]: ...


class LogStrategy(SqlStrategy):
    """Holds no state; see `contracts.Strategy`."""

    def __init__(self, descriptor: Descriptor, dialect: Dialect, log: TableLog) -> None:
        super().__init__(descriptor, dialect)
        self._log = log

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        report = super().test(endpoint)
        if not report.ok or not isinstance(self._log, LogDiagnosis):
            return report
        try:
            found = self._log.diagnose(endpoint)
        except IngestError as error:  # the endpoint itself can be used
            message = f"run_mode CHANGES: what it needs could not be looked at: {error.message}"
            found = [Diagnostic(level="info", code="changes", message=message, hint=error.hint)]
        return report.model_copy(update={"diagnostics": (*report.diagnostics, *found)})

    def list_logs(self, endpoint: Endpoint) -> Sequence[KeptLog]:
        return self._log.list_logs(endpoint) if isinstance(self._log, LogInventory) else ()

    def log_name(self, endpoint: Endpoint, unit: UnitConfig) -> str:
        return self._log.log_name(endpoint, unit) if isinstance(self._log, LogInventory) else ""

    def shared_log_name(self, endpoint: Endpoint) -> str:
        return self._log.shared_log_name(endpoint) if isinstance(self._log, LogInventory) else ""

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        logged = {dataset.name for dataset in datasets if self._log.has_changes_of(dataset)}
        units = super().list_units(endpoint, datasets)
        return [
            unit.model_copy(update={"supported_modes": (*unit.supported_modes, RunMode.CHANGES)})
            if unit.unit_id in logged
            else unit
            for unit in units
        ]

    def check(self, spec: UnitSpec) -> None:
        super().check(spec)
        if spec.reads_log:
            self._log.check(spec)

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        if not spec.reads_log:
            return super().probe(spec, known)
        self.check(spec)
        drop_session(spec.endpoint)
        return self._log.probe(spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return self._log.scopes(spec, probe, known) if spec.reads_log else super().scopes(spec, probe, known)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        if spec.reads_log:
            raise ModeUnsupported(
                f"{spec.unit_id}: changes from a log have no cursor, of which a part could be read again",
                hint="`ingest-ray verify --repair` reads what differs",
            )
        return super().between(spec, probe, known, lower, upper)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return self._log.cut(spec, probe, scope, gap) if spec.reads_log else super().cut(spec, probe, scope, gap)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        return self._log.read(spec, piece, context) if spec.reads_log else super().read(spec, piece, context)

    def open_log(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> None:
        self._log.open_log(spec, known)

    def advance_log(self, spec: UnitSpec, known: Mapping[str, SegmentState], readers: LogReaders) -> None:
        self._log.advance_log(spec, known, readers)

    def drop_log(self, spec: UnitSpec, readers: LogReaders) -> Sequence[str]:
        return self._log.drop_log(spec, readers)

    def read_log_status(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> LogStatus:
        return self._log.read_log_status(spec, known)
