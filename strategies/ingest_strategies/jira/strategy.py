"""Implements the strategy contract for Jira, method by method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

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
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.deployment import detect_api, open_api
from ingest_strategies.jira.discovery import collect_datasets, describe_dataset
from ingest_strategies.jira.filters import filter_of
from ingest_strategies.jira.operations import OPERATIONS
from ingest_strategies.jira.planning import cuts, scopes
from ingest_strategies.jira.planning.points import open_priced_probe
from ingest_strategies.jira.planning.probe import SiteProbe, preview_segments
from ingest_strategies.jira.reading import lookup
from ingest_strategies.jira.reading.key_scan import open_key_scan
from ingest_strategies.jira.reading.reader import read_first_items, read_slice
from ingest_strategies.jira.reading.rows import RowBuilder
from ingest_strategies.jira.tables import ISSUES, TABLES


class Jira:
    def __init__(self, descriptor: Descriptor) -> None:
        self.descriptor = descriptor

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        def inspect(api: Api) -> tuple[int, str]:
            info = api.client.read_server_info()
            return sum(1 for _ in api.list_projects()), info.version or "unknown"

        return report_connection(detect_api(endpoint), inspect, OPERATIONS, "project", "'Browse projects'")

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        return collect_datasets(endpoint)

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        return describe_dataset(endpoint, dataset)

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        schema = schema_of(dataset)

        def reject(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
            pass  # a preview leaves out rows that do not fit

        with open_api(endpoint, dataset) as api:
            segments = preview_segments(api, dataset)
            batch = RowBuilder(dataset, schema).batch(read_first_items(api, dataset, segments, limit, reject), reject)
        return pa.Table.from_batches([batch], schema=schema)

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        units = [unit_of(dataset, TABLES.get(dataset.name), self.descriptor.template) for dataset in datasets]
        return [unit for unit in units if unit is not None]

    def check(self, spec: UnitSpec) -> None:
        filter_of(spec)
        check_policy(spec, TABLES[spec.dataset.name], where_hint="jql_filter of the endpoint, or filters")

    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> AbstractContextManager[Probe]:
        return open_priced_probe(spec, known)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        return list(scopes.plan_scopes(site_probe_of(probe), known))

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        return cuts.cut_gap(site_probe_of(probe), spec, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        return list(scopes.plan_interval(site_probe_of(probe), lower, upper))

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        with open_key_scan(spec) as key_scan:
            yield from key_scan.list_all_keys()

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """An issue is gone when its request answers 404, for an account that can log in. Children of issues need no proof: the key
        scan has read every issue whole."""
        if spec.dataset.name != ISSUES.name:
            yield from keys
            return
        with open_key_scan(spec) as key_scan:
            for batch in keys:
                are_gone = [key_scan.is_gone(str(key)) for key in batch.column(0).to_pylist()]
                yield batch.filter(pa.array(are_gone, pa.bool_()))

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        return lookup.lookup_columns(spec)

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


def site_probe_of(probe: Probe) -> SiteProbe:
    site_probe: SiteProbe = probe.live
    return site_probe
