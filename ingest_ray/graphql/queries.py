"""The queries."""

import asyncio
from datetime import UTC, datetime

import strawberry
from strawberry import ID

from ingest_ray.graphql.catalog_types import (
    CatalogDataset,
    MetadataCollectionRun,
    MetadataCollectionRunFilter,
    MetadataEndpoint,
)
from ingest_ray.graphql.checkpoint_types import (
    IngestionSegment,
    IngestionSegmentConnection,
    IngestionSegmentEdge,
    QuarantinedSlice,
)
from ingest_ray.graphql.conversions import PageInfo, checked_count
from ingest_ray.graphql.filters import ConfluenceIngestionFilterOptions, JiraIngestionFilterOptions
from ingest_ray.graphql.ingestion_types import (
    IngestionSink,
    IngestionState,
    IngestionStatus,
    IngestionUnit,
    IngestionUnitConfig,
)
from ingest_ray.graphql.monitoring_types import MonitoringQueries
from ingest_ray.graphql.plan_types import IngestionPlan
from ingest_ray.graphql.request_context import RequestInfo, call_as_admin, call_as_operator, call_as_viewer
from ingest_ray.graphql.run_types import IngestionRun, IngestionRunConnection, RunProgress
from ingest_ray.graphql.template_types import MetadataEndpointFamily, MetadataEndpointTemplate
from ingest_ray.graphql.viewer_type import AuditEntry, Viewer
from ingest_ray.sdk.errors import ConfigError, EndpointNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.access.audit import read_audit_log
from ingest_ray.service.endpoints import filter_options, registration, templates
from ingest_ray.service.endpoints.collections import list_collections
from ingest_ray.service.endpoints.datasets import search_datasets
from ingest_ray.service.endpoints.provision import list_sinks
from ingest_ray.service.runs import history, quarantine
from ingest_ray.service.runs.execution import plan
from ingest_ray.service.units import unit_status
from ingest_ray.service.units.configs import list_configs
from ingest_ray.service.units.listing import list_units
from ingest_ray.service.units.reset import configured_sink_id

MOST_DATASETS = 1_000


@strawberry.type
class Query(MonitoringQueries):
    @strawberry.field
    async def viewer(self, info: RequestInfo) -> Viewer:
        """The principal of the request."""
        return Viewer.of(await info.context.current_principal())

    @strawberry.field
    async def endpoints(
        self,
        info: RequestInfo,
        project_slug: str | None = None,
        capability: str | None = None,
        search: str | None = None,
        first: int | None = 50,
        after: ID | None = None,
    ) -> list[MetadataEndpoint]:
        """By id; `after` is the id of the last endpoint of the page before."""
        entries = await call_as_viewer(
            info,
            registration.search_endpoints,
            info.context.installation,
            project=project_slug,
            capability=capability,
            text=search,
            within=await info.context.visible_endpoints(),
            after=after,
            first=checked_count(first, 50),
        )
        for entry in entries:
            info.context.loaders.endpoint.prime(entry.endpoint.endpoint_id, entry)
        return [MetadataEndpoint.of(entry) for entry in entries]

    @strawberry.field
    async def endpoint(self, info: RequestInfo, id: ID) -> MetadataEndpoint | None:
        await info.context.current_principal()
        entry = await info.context.loaders.endpoint.load(str(id))
        return MetadataEndpoint.of(entry) if entry is not None else None

    @strawberry.field
    async def endpoint_templates(
        self, info: RequestInfo, family: MetadataEndpointFamily | None = None
    ) -> list[MetadataEndpointTemplate]:
        listed = await call_as_viewer(info, templates.list_templates)
        return [
            MetadataEndpointTemplate.of(template)
            for template in listed
            if family is None or template.family == family.value
        ]

    @strawberry.field
    async def catalog_datasets(
        self,
        info: RequestInfo,
        project_id: str | None = None,
        labels: list[str] | None = None,
        search: str | None = None,
        endpoint_id: ID | None = None,
        unlabeled_only: bool | None = None,
    ) -> list[CatalogDataset]:
        """The first 1,000, by endpoint and name. `labels`: a dataset must have all of them."""
        versions = await call_as_viewer(
            info,
            search_datasets,
            info.context.installation,
            project=project_id,
            endpoint_id=endpoint_id,
            text=search,
            within=await info.context.visible_endpoints(),
            limit=MOST_DATASETS,
        )
        wanted = set(labels or ())
        return [
            CatalogDataset.of(item)
            for item in versions
            if wanted <= set(item.dataset.labels) and not (unlabeled_only and item.dataset.labels)
        ]

    @strawberry.field
    async def metadata_dataset(self, info: RequestInfo, id: ID) -> CatalogDataset | None:
        await info.context.current_principal()
        endpoint_id, _, name = str(id).partition(":")
        version = await info.context.loaders.dataset.load((endpoint_id, name))
        return CatalogDataset.of(version) if version is not None else None

    @strawberry.field
    async def metadata_collection_runs(
        self, info: RequestInfo, filter: MetadataCollectionRunFilter | None = None, limit: int | None = None
    ) -> list[MetadataCollectionRun]:
        """The newest first."""
        wanted = filter or MetadataCollectionRunFilter()
        collections = await call_as_viewer(
            info,
            list_collections,
            info.context.installation,
            endpoint_id=wanted.endpoint_id,
            within=await info.context.visible_endpoints(),
            collection_id=wanted.collection_id,
            status=wanted.status.value if wanted.status is not None else None,
            since=_checked_bound("from", wanted.from_),
            until=_checked_bound("to", wanted.to),
            limit=checked_count(limit, 50, "limit"),
        )
        return [MetadataCollectionRun.of(item) for item in collections]

    @strawberry.field
    async def ingestion_units(self, info: RequestInfo, endpoint_id: ID) -> list[IngestionUnit]:
        listed = await call_as_viewer(info, list_units, info.context.installation, str(endpoint_id))
        return [IngestionUnit.of(view) for view in listed.units]

    @strawberry.field
    async def ingestion_sinks(self, info: RequestInfo) -> list[IngestionSink]:
        within = await info.context.visible_endpoints()
        sinks = await call_as_viewer(info, list_sinks, info.context.installation)
        return [
            IngestionSink(
                id=ID(view.sink_id),
                supported_cdm_models=list(view.supported_cdm_models),
                provisioned_cdm_models=list(view.provisioned) if view.provisioned is not None else None,
                template_id=view.template,
            )
            for view in sinks
            if within is None or view.sink_id in within
        ]

    @strawberry.field
    async def ingestion_statuses(
        self, info: RequestInfo, endpoint_id: ID, first: int | None = None, after: ID | None = None
    ) -> list[IngestionStatus]:
        """Of the configured units, by unit id; `first` and `after` make pages."""
        statuses = await call_as_viewer(
            info, unit_status.list_statuses, info.context.installation, str(endpoint_id), after=after, first=first
        )
        return [IngestionStatus.of(status) for status in statuses]

    @strawberry.field
    async def ingestion_status(self, info: RequestInfo, endpoint_id: ID, unit_id: ID) -> IngestionStatus | None:
        """Null for a unit that is not configured."""
        await info.context.current_principal()
        if await info.context.loaders.endpoint.load(str(endpoint_id)) is None:
            raise EndpointNotFound(f"endpoint '{endpoint_id}' is not registered")
        status = await info.context.loaders.unit_status.load(UnitRef(str(endpoint_id), str(unit_id)))
        return IngestionStatus.of(status) if status is not None else None

    @strawberry.field
    async def ingestion_unit_configs(self, info: RequestInfo, endpoint_id: ID) -> list[IngestionUnitConfig]:
        configs = await call_as_viewer(info, list_configs, info.context.installation, str(endpoint_id))
        return [IngestionUnitConfig.of(stored) for stored in configs]

    @strawberry.field
    async def jira_ingestion_filter_options(self, info: RequestInfo, endpoint_id: ID) -> JiraIngestionFilterOptions:
        options = await call_as_viewer(info, filter_options.filter_options, info.context.installation, str(endpoint_id))
        return JiraIngestionFilterOptions.of(options)

    @strawberry.field
    async def confluence_ingestion_filter_options(
        self, info: RequestInfo, endpoint_id: ID
    ) -> ConfluenceIngestionFilterOptions:
        options = await call_as_viewer(info, filter_options.filter_options, info.context.installation, str(endpoint_id))
        return ConfluenceIngestionFilterOptions.of(options)

    @strawberry.field
    async def ingestion_runs(
        self,
        info: RequestInfo,
        endpoint_id: ID | None = None,
        unit_id: ID | None = None,
        state: IngestionState | None = None,
        first: int | None = 50,
        after: str | None = None,
    ) -> IngestionRunConnection:
        """The newest first."""
        page = await call_as_viewer(
            info,
            history.list_runs,
            info.context.installation,
            endpoint_id=endpoint_id,
            unit_id=unit_id,
            within=await info.context.visible_endpoints(),
            state=RunState(state.value) if state is not None else None,
            after=after,
            first=checked_count(first, 50),
        )
        return IngestionRunConnection.of(page)

    @strawberry.field
    async def ingestion_run(self, info: RequestInfo, id: ID) -> IngestionRun:
        view = await call_as_viewer(
            info, history.view_run, info.context.installation, str(id), await info.context.current_principal()
        )
        return IngestionRun.of(view.summary)

    @strawberry.field
    async def ingestion_run_progress(self, info: RequestInfo, id: ID) -> RunProgress:
        principal = await info.context.current_principal()
        return RunProgress.of(
            await call_as_viewer(info, history.view_run, info.context.installation, str(id), principal)
        )

    @strawberry.field
    async def ingestion_segments(
        self,
        info: RequestInfo,
        endpoint_id: ID,
        unit_id: ID,
        sink_id: str | None = None,
        first: int | None = 50,
        after: str | None = None,
    ) -> IngestionSegmentConnection:
        """The checkpoint of a unit, segment by segment, by name."""
        await info.context.current_principal()
        installation = info.context.installation
        sink = (
            sink_id
            if sink_id is not None
            else await asyncio.to_thread(configured_sink_id, installation, UnitRef(str(endpoint_id), str(unit_id)))
        )
        state = await info.context.loaders.checkpoint.load((UnitRef(str(endpoint_id), str(unit_id)), sink))
        names = sorted(state.segments) if state is not None else []
        count = checked_count(first, 50)
        rest = [name for name in names if after is None or name > after]
        edges = [
            IngestionSegmentEdge(cursor=name, node=IngestionSegment.of(state.segments[name]))
            for name in rest[:count]
            if state is not None
        ]
        page_info = PageInfo(has_next_page=len(rest) > count, end_cursor=edges[-1].cursor if edges else None)
        return IngestionSegmentConnection(edges=edges, page_info=page_info, total=len(names))

    @strawberry.field
    async def ingestion_quarantine(
        self, info: RequestInfo, endpoint_id: ID, unit_id: ID | None = None, first: int | None = 50
    ) -> list[QuarantinedSlice]:
        listing = await call_as_viewer(
            info, quarantine.list_rejected, info.context.installation, str(endpoint_id), unit_id
        )
        return [QuarantinedSlice.of(entry) for entry in listing.entries[: checked_count(first, 50)]]

    @strawberry.field
    async def ingestion_plan(
        self, info: RequestInfo, endpoint_id: ID, unit_id: ID, slices: int | None = 50
    ) -> IngestionPlan:
        """What a run would read now. Needs the role operator, because it queries the source."""
        preview = await call_as_operator(info, plan, info.context.installation, UnitRef(str(endpoint_id), str(unit_id)))
        return IngestionPlan.of(preview, checked_count(slices, 50, "slices"))

    @strawberry.field
    async def audit_log(
        self,
        info: RequestInfo,
        endpoint_id: ID | None = None,
        who: str | None = None,
        action: str | None = None,
        first: int | None = 50,
        after: ID | None = None,
    ) -> list[AuditEntry]:
        """Who did what, the newest first; `after` is the id of the last entry of the page before. Needs the role admin."""
        listed = await call_as_admin(
            info,
            read_audit_log,
            info.context.installation,
            await info.context.current_principal(),
            endpoint_id=endpoint_id,
            who=who,
            action=action,
            after=after,
            first=checked_count(first, 50),
        )
        return [AuditEntry.of(entry) for entry in listed.entries]


def _checked_bound(field: str, time: datetime | None) -> datetime | None:
    """In UTC. Raises `ConfigError` for a time without a zone, and for one that UTC cannot express."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ConfigError(f"filter.{field}: a time needs a zone, such as 2026-01-31T00:00:00Z")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"filter.{field}: no time that can be compared") from None
