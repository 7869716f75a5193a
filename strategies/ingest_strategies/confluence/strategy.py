"""The strategy: what a Confluence site needs and can do, method by method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from zoneinfo import ZoneInfo

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
from ingest_strategies.confluence.api.deployment import asked
from ingest_strategies.confluence.api.deployment import known as opened
from ingest_strategies.confluence.discovery import collected, described, unit_of
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.planning import cuts, scopes
from ingest_strategies.confluence.planning.probe import Look, probed
from ingest_strategies.confluence.reading.key_scan import census
from ingest_strategies.confluence.reading.reader import first_items, site_of
from ingest_strategies.confluence.reading.reader import read as read_slice
from ingest_strategies.confluence.reading.rows import RowMaker
from ingest_strategies.confluence.tables import ACLS, ATTACHMENTS, COMMENTS, PAGES, SPACES, TABLES

ASKED_ONE_BY_ONE = {table.name for table in (SPACES, PAGES, ACLS, COMMENTS, ATTACHMENTS)}


class Confluence:
    def __init__(self, descriptor: Descriptor) -> None:
        self.descriptor = descriptor

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        """The login is proved before and after something is listed: where anonymous access is allowed, a lost one still lists."""
        try:
            with asked(endpoint) as api:
                before = api.web.myself()
                spaces = sum(1 for _ in api.spaces())
                version = api.version()
                after = api.web.myself()
                if before.id != after.id:
                    raise SourceDenied(f"the account was '{before.id}' and is '{after.id}'")
        except IngestError as error:
            fault = Diagnostic(level="error", code=error.code, message=error.message, hint=error.hint)
            return ConnectionReport(ok=False, diagnostics=(fault,))
        said = Diagnostic(
            level="info", code="OK", message=f"{api.deployment}, as '{before.displayName}', {spaces} spaces"
        )
        none = Diagnostic(
            level="warning", code="E_SOURCE_DENIED", message="no space can be seen", hint="grant the permission to view"
        )
        return ConnectionReport(
            ok=True,
            version=f"{api.deployment} {version or ''}".strip(),
            diagnostics=(said,) if spaces else (said, none),
        )

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        return collected(endpoint)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return described(endpoint, dataset)

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        schema = schema_of(dataset)

        def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
            pass  # a preview shows what can be shown

        context = ReadContext(schema, 1 << 20, 1 << 30, reject)
        with opened(endpoint, dataset) as api:
            found = first_items(api, dataset, ZoneInfo(str(dataset.facts.get("zone", "UTC"))), limit, context)
            batch = RowMaker(dataset, schema, site_of(dataset)).batch(found, reject)
        return pa.Table.from_batches([batch], schema=schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        found = [unit_of(dataset, self.descriptor.template) for dataset in datasets]
        return [unit for unit in found if unit is not None]

    def check(self, spec: UnitSpec) -> None:
        table = TABLES[spec.dataset.name]
        filter_of(spec)
        policy, is_full = spec.policy, spec.config.run_mode is RunMode.FULL
        if policy.where is not None:
            raise ConfigError(f"{spec.unit_id}: policy.where is for SQL", hint="filters, or space_keys of the endpoint")
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
        return list(scopes.planned(look_of(probe)))

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return cuts.pieces(look_of(probe), spec, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return list(scopes.between(look_of(probe), lower, upper))

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        whole = schema_of(spec.dataset)
        schema = pa.schema([whole.field(name) for name in TABLES[spec.dataset.name].key])
        with census(spec, RowMaker(spec.dataset, whole, site_of(spec.dataset))) as counted:
            for keys in counted.all_keys():
                columns = zip(*keys, strict=True) if keys else [()] * len(schema)
                arrays = [pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A page is gone when asking for it answers 404, for an account that can log in, or when it is in a space that is not
        read. Labels and versions hang on pages, which the census has read whole."""
        if spec.dataset.name not in ASKED_ONE_BY_ONE:
            yield from keys
            return
        with census(spec, RowMaker(spec.dataset, schema_of(spec.dataset), site_of(spec.dataset))) as counted:
            for batch in keys:
                yield batch.filter(pa.array(counted.gone(batch.column(0).to_pylist()), pa.bool_()))

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        with opened(spec.endpoint, spec.dataset) as api:
            yield from read_slice(api, spec, piece, context)


def look_of(probe: Probe) -> Look:
    look: Look = probe.live
    return look
