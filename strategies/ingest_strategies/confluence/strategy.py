"""Implements the strategy contract for Confluence, method by method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from zoneinfo import ZoneInfo

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.dataset_schema import schema_of
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
    UnitSpec,
)
from ingest_strategies.atlassian.access.connection_report import report_connection
from ingest_strategies.atlassian.policy import check_policy
from ingest_strategies.atlassian.tables import unit_of
from ingest_strategies.confluence.api.contract import Api
from ingest_strategies.confluence.api.deployment import detect_api, open_api
from ingest_strategies.confluence.discovery import collect_datasets, describe_dataset
from ingest_strategies.confluence.filters import filter_of
from ingest_strategies.confluence.operations import OPERATIONS
from ingest_strategies.confluence.planning import cuts, scopes
from ingest_strategies.confluence.planning.points import open_priced_probe
from ingest_strategies.confluence.planning.probe import SiteProbe
from ingest_strategies.confluence.reading import lookup
from ingest_strategies.confluence.reading.key_scan import open_key_scan
from ingest_strategies.confluence.reading.reader import read_first_items, read_slice, site_of
from ingest_strategies.confluence.reading.rows import RowBuilder
from ingest_strategies.confluence.tables import (
    ACLS,
    ATTACHMENT_ACLS,
    ATTACHMENTS,
    COMMENTS,
    LABELS,
    PAGES,
    REVISIONS,
    SPACES,
    TABLES,
)

PROVED_ONE_BY_ONE = {
    table.name for table in (SPACES, PAGES, ACLS, ATTACHMENT_ACLS, COMMENTS, ATTACHMENTS, LABELS, REVISIONS)
}


class Confluence:
    def __init__(self, descriptor: Descriptor) -> None:
        self.descriptor = descriptor

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        def inspect(api: Api) -> tuple[int, str]:
            return sum(1 for _ in api.list_spaces()), api.read_version() or ""

        return report_connection(detect_api(endpoint), inspect, OPERATIONS, "space", "the permission to view")

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        return collect_datasets(endpoint)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return describe_dataset(endpoint, dataset)

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        schema = schema_of(dataset)

        def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
            pass  # a preview leaves out rows that do not fit

        context = ReadContext(schema, 1 << 20, 1 << 30, reject)
        with open_api(endpoint, dataset) as api:
            items = read_first_items(api, dataset, ZoneInfo(str(dataset.facts.get("zone", "UTC"))), limit, context)
            batch = RowBuilder(dataset, schema, site_of(dataset)).batch(items, reject)
        return pa.Table.from_batches([batch], schema=schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        units = [unit_of(dataset, TABLES.get(dataset.name), self.descriptor.template) for dataset in datasets]
        return [unit for unit in units if unit is not None]

    def check(self, spec: UnitSpec) -> None:
        filter_of(spec)
        check_policy(spec, TABLES[spec.dataset.name], where_hint="filters, or space_keys of the endpoint")

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return open_priced_probe(spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return list(scopes.plan_scopes(site_probe_of(probe)))

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return cuts.cut_gap(site_probe_of(probe), spec, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return list(scopes.plan_interval(site_probe_of(probe), lower, upper))

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        whole = schema_of(spec.dataset)
        schema = pa.schema([whole.field(name) for name in TABLES[spec.dataset.name].key])
        with open_key_scan(spec, row_builder(spec)) as key_scan:
            for keys in key_scan.list_all_keys():
                columns = zip(*keys, strict=True) if keys else [()] * len(schema)
                arrays = [pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A page is gone when its request answers 404, for an account that can log in, or when it is in a space that is not read.
        Labels and versions are gone unless their page is archived: the key scan has read every current page whole."""
        if spec.dataset.name not in PROVED_ONE_BY_ONE:
            yield from keys
            return
        with open_key_scan(spec, row_builder(spec)) as key_scan:
            for batch in keys:
                yield batch.filter(pa.array(key_scan.are_gone(batch.column(0).to_pylist()), pa.bool_()))

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        return TABLES[spec.dataset.name].key

    def version_columns(self, spec: UnitSpec) -> Sequence[str] | None:
        return lookup.version_columns(spec)

    def look_up(
        self, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
    ) -> Iterator[pa.RecordBatch]:
        with open_api(spec.endpoint, spec.dataset) as api:
            yield from lookup.look_up(api, spec, keys, context, known)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        with open_api(spec.endpoint, spec.dataset) as api:
            yield from read_slice(api, spec, piece, context)


def row_builder(spec: UnitSpec) -> RowBuilder:
    return RowBuilder(spec.dataset, schema_of(spec.dataset), site_of(spec.dataset))


def site_probe_of(probe: Probe) -> SiteProbe:
    site_probe: SiteProbe = probe.live
    return site_probe
