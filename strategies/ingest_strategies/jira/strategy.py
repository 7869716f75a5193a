"""The strategy: what a Jira site needs and can do, method by method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.arrow_types import schema_of
from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.errors import ConfigError, IngestError, ModeUnsupported, SourceDenied
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
    UnitSpec,
    WriteMode,
)
from ingest_strategies.jira.api.deployment import asked
from ingest_strategies.jira.api.deployment import known as opened
from ingest_strategies.jira.discovery import collected, described, unit_of
from ingest_strategies.jira.filters import filter_of
from ingest_strategies.jira.planning import cuts, scopes
from ingest_strategies.jira.planning.probe import Look, probed
from ingest_strategies.jira.reading.key_scan import census
from ingest_strategies.jira.reading.reader import first_items
from ingest_strategies.jira.reading.reader import read as read_slice
from ingest_strategies.jira.reading.rows import RowMaker
from ingest_strategies.jira.tables import ISSUES, TABLES


class Jira:
    def __init__(self, descriptor: Descriptor) -> None:
        self.descriptor = descriptor

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        """The login is proved before and after something is listed: without one, Cloud lists nothing and says 200."""
        try:
            with asked(endpoint) as api:
                before = api.web.myself()
                info = api.web.server()
                projects = sum(1 for _ in api.projects())
                after = api.web.myself()
                if before.id != after.id:
                    raise SourceDenied(f"the account was '{before.id}' and is '{after.id}'")
        except IngestError as error:
            fault = Diagnostic(level="error", code=error.code, message=error.message, hint=error.hint)
            return ConnectionReport(ok=False, diagnostics=(fault,))
        said = Diagnostic(
            level="info", code="OK", message=f"{api.deployment}, as '{before.displayName}', {projects} projects"
        )
        none = Diagnostic(
            level="warning", code="E_SOURCE_DENIED", message="no project can be seen", hint="grant 'Browse projects'"
        )
        return ConnectionReport(
            ok=True,
            version=f"{api.deployment} {info.version or 'unknown'}",
            diagnostics=(said,) if projects else (said, none),
        )

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        return collected(endpoint)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return described(endpoint, dataset)

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        schema = schema_of(dataset)
        rejected: list[str] = []

        def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
            rejected.append(f"{column}: {reason}")

        with opened(endpoint, dataset) as api:
            batch = RowMaker(dataset, schema).batch(first_items(api, dataset, limit), reject)
        return pa.Table.from_batches([batch], schema=schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        found = [unit_of(dataset, self.descriptor.template) for dataset in datasets]
        return [unit for unit in found if unit is not None]

    def check(self, spec: UnitSpec) -> None:
        table = TABLES[spec.dataset.name]
        filter_of(spec)
        policy, is_full = spec.policy, spec.config.run_mode is RunMode.FULL
        if not table.is_unit:
            raise ModeUnsupported(f"'{spec.unit_id}' feeds filter options and is no unit")
        if policy.where is not None:
            raise ConfigError(f"{spec.unit_id}: policy.where is for SQL", hint="jql_filter of the endpoint, or filters")
        if is_full:
            return
        if table.cursor is None:
            raise ModeUnsupported(f"{spec.unit_id} has no time of change", hint="run_mode: FULL")
        if policy.cursor not in (None, table.cursor):
            raise ConfigError(f"{spec.unit_id}: policy.cursor can only be '{table.cursor}'")
        if policy.write not in (None, WriteMode.UPSERT):
            raise ModeUnsupported(
                f"{spec.unit_id}: an incremental run reads its look-back again: rows would be doubled",
                hint="write: upsert",
            )
        if policy.primary_key not in ((), table.key):
            raise ConfigError(f"{spec.unit_id}: policy.primary_key can only be '{', '.join(table.key)}'")

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return probed(spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return list(scopes.planned(look_of(probe), known))

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return cuts.pieces(look_of(probe), spec, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return list(scopes.between(look_of(probe), lower, upper))

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        key = schema_of(spec.dataset).field(TABLES[spec.dataset.name].key[0])
        with census(spec) as counted:
            for numbers in counted.whole():
                yield pa.RecordBatch.from_arrays([pa.array(numbers, key.type)], schema=pa.schema([key]))

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """An issue is gone when asking for it answers 404, for an account that can log in. The rest hangs on issues, which the
        census has read whole."""
        if spec.dataset.name != ISSUES.name:
            yield from keys
            return
        with census(spec) as counted:
            for batch in keys:
                yield batch.filter(
                    pa.array([counted.is_gone(str(key)) for key in batch.column(0).to_pylist()], pa.bool_())
                )

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        with opened(spec.endpoint, spec.dataset) as api:
            yield from read_slice(api, spec, piece, context)


def look_of(probe: Probe) -> Look:
    look: Look = probe.live
    return look
