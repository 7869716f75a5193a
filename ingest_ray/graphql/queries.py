"""What can be asked."""

import asyncio
from datetime import datetime

import strawberry
from strawberry import ID

from ingest_ray.catalog import dataset_versions, run_records, unit_configs
from ingest_ray.catalog import endpoints as registered
from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.catalog.run_records import Collection
from ingest_ray.catalog.unit_configs import Configured
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
from ingest_ray.graphql.conversions import PageInfo, bounded
from ingest_ray.graphql.filters import ConfluenceIngestionFilterOptions, JiraIngestionFilterOptions
from ingest_ray.graphql.ingestion_types import (
    IngestionSink,
    IngestionState,
    IngestionStatus,
    IngestionUnit,
    IngestionUnitConfig,
)
from ingest_ray.graphql.plan_types import IngestionPlan
from ingest_ray.graphql.request_context import Ask, act, look, who
from ingest_ray.graphql.run_types import IngestionRun, IngestionRunConnection, RunProgress
from ingest_ray.graphql.template_types import MetadataEndpointFamily, MetadataEndpointTemplate
from ingest_ray.graphql.viewer_type import Viewer
from ingest_ray.sdk.errors import ConfigError, EndpointNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints import filter_options, registration, templates
from ingest_ray.service.endpoints.collect import current_collection
from ingest_ray.service.endpoints.provision import list_sinks
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import history, quarantine
from ingest_ray.service.runs.execution import plan
from ingest_ray.service.units import unit_status
from ingest_ray.service.units.listing import list_units
from ingest_ray.service.units.reset import configured_sink_id

MOST_DATASETS = 1_000


@strawberry.type
class Query:
    @strawberry.field
    async def viewer(self, ask: Ask) -> Viewer:
        """Who is asking."""
        return Viewer.of(who(ask))

    @strawberry.field
    async def endpoints(
        self,
        ask: Ask,
        project_slug: str | None = None,
        capability: str | None = None,
        search: str | None = None,
        first: int | None = 50,
        after: ID | None = None,
    ) -> list[MetadataEndpoint]:
        """By id; `after` is the id of the last one that was seen."""
        found = await look(
            ask,
            registration.search_endpoints,
            ask.context.installation,
            project=project_slug,
            capability=capability,
            text=search,
            after=after,
            first=bounded(first, 50),
        )
        for entry in found:
            ask.context.loaders.endpoint.prime(entry.endpoint.endpoint_id, entry)
        return [MetadataEndpoint.of(entry) for entry in found]

    @strawberry.field
    async def endpoint(self, ask: Ask, id: ID) -> MetadataEndpoint | None:
        who(ask)
        found = await ask.context.loaders.endpoint.load(str(id))
        return MetadataEndpoint.of(found) if found is not None else None

    @strawberry.field
    async def endpoint_templates(
        self, ask: Ask, family: MetadataEndpointFamily | None = None
    ) -> list[MetadataEndpointTemplate]:
        found = await look(ask, templates.list_templates)
        return [MetadataEndpointTemplate.of(one) for one in found if family is None or one.family == family.value]

    @strawberry.field
    async def catalog_datasets(
        self,
        ask: Ask,
        project_id: str | None = None,
        labels: list[str] | None = None,
        search: str | None = None,
        endpoint_id: ID | None = None,
        unlabeled_only: bool | None = None,
    ) -> list[CatalogDataset]:
        """The first 1,000, by endpoint and name. `labels`: a dataset must have all of them."""
        found = await look(ask, _datasets, ask.context.installation, project_id, search, endpoint_id)
        wanted = set(labels or ())
        return [
            CatalogDataset.of(item)
            for item in found
            if wanted <= set(item.dataset.labels) and not (unlabeled_only and item.dataset.labels)
        ]

    @strawberry.field
    async def metadata_dataset(self, ask: Ask, id: ID) -> CatalogDataset | None:
        who(ask)
        endpoint_id, _, name = str(id).partition(":")
        found = await ask.context.loaders.dataset.load((endpoint_id, name))
        return CatalogDataset.of(found) if found is not None else None

    @strawberry.field
    async def metadata_collection_runs(
        self, ask: Ask, filter: MetadataCollectionRunFilter | None = None, limit: int | None = None
    ) -> list[MetadataCollectionRun]:
        """The newest first."""
        found = await look(ask, _collections, ask.context.installation, filter, bounded(limit, 50, "limit"))
        return [MetadataCollectionRun.of(item) for item in found]

    @strawberry.field
    async def ingestion_units(self, ask: Ask, endpoint_id: ID) -> list[IngestionUnit]:
        found = await look(ask, list_units, ask.context.installation, str(endpoint_id))
        return [IngestionUnit.of(view) for view in found.units]

    @strawberry.field
    async def ingestion_sinks(self, ask: Ask) -> list[IngestionSink]:
        found = await look(ask, list_sinks, ask.context.installation)
        return [
            IngestionSink(
                id=ID(view.sink_id),
                supported_cdm_models=list(view.supported_cdm_models),
                provisioned_cdm_models=list(view.provisioned) if view.provisioned is not None else None,
                template_id=view.template,
            )
            for view in found
        ]

    @strawberry.field
    async def ingestion_statuses(
        self, ask: Ask, endpoint_id: ID, first: int | None = None, after: ID | None = None
    ) -> list[IngestionStatus]:
        """Of the configured units, by unit id; `first` and `after` make pages."""
        found = await look(
            ask, unit_status.list_statuses, ask.context.installation, str(endpoint_id), after=after, first=first
        )
        return [IngestionStatus.of(one) for one in found]

    @strawberry.field
    async def ingestion_status(self, ask: Ask, endpoint_id: ID, unit_id: ID) -> IngestionStatus | None:
        """Null for a unit that is not configured."""
        if await ask.context.loaders.endpoint.load(str(endpoint_id)) is None:
            raise EndpointNotFound(f"endpoint '{endpoint_id}' is not registered")
        who(ask)
        found = await ask.context.loaders.standing.load(UnitRef(str(endpoint_id), str(unit_id)))
        return IngestionStatus.of(found) if found is not None else None

    @strawberry.field
    async def ingestion_unit_configs(self, ask: Ask, endpoint_id: ID) -> list[IngestionUnitConfig]:
        found = await look(ask, _configs, ask.context.installation, str(endpoint_id))
        return [IngestionUnitConfig.of(stored) for stored in found]

    @strawberry.field
    async def jira_ingestion_filter_options(self, ask: Ask, endpoint_id: ID) -> JiraIngestionFilterOptions:
        found = await look(ask, filter_options.filter_options, ask.context.installation, str(endpoint_id))
        return JiraIngestionFilterOptions.of(found)

    @strawberry.field
    async def confluence_ingestion_filter_options(self, ask: Ask, endpoint_id: ID) -> ConfluenceIngestionFilterOptions:
        found = await look(ask, filter_options.filter_options, ask.context.installation, str(endpoint_id))
        return ConfluenceIngestionFilterOptions.of(found)

    @strawberry.field
    async def ingestion_runs(
        self,
        ask: Ask,
        endpoint_id: ID | None = None,
        unit_id: ID | None = None,
        state: IngestionState | None = None,
        first: int | None = 50,
        after: str | None = None,
    ) -> IngestionRunConnection:
        """The newest first."""
        found = await look(
            ask,
            history.list_runs,
            ask.context.installation,
            endpoint_id=endpoint_id,
            unit_id=unit_id,
            state=RunState(state.value) if state is not None else None,
            after=after,
            first=bounded(first, 50),
        )
        return IngestionRunConnection.of(found)

    @strawberry.field
    async def ingestion_run(self, ask: Ask, id: ID) -> IngestionRun:
        found = await look(ask, history.view_run, ask.context.installation, str(id))
        return IngestionRun.of(found.summary)

    @strawberry.field
    async def ingestion_run_progress(self, ask: Ask, id: ID) -> RunProgress:
        return RunProgress.of(await look(ask, history.view_run, ask.context.installation, str(id)))

    @strawberry.field
    async def ingestion_segments(
        self,
        ask: Ask,
        endpoint_id: ID,
        unit_id: ID,
        sink_id: str | None = None,
        first: int | None = 50,
        after: str | None = None,
    ) -> IngestionSegmentConnection:
        """The checkpoint of a unit, segment by segment, by name."""
        who(ask)
        installation = ask.context.installation
        sink = (
            sink_id
            if sink_id is not None
            else await asyncio.to_thread(configured_sink_id, installation, UnitRef(str(endpoint_id), str(unit_id)))
        )
        state = await ask.context.loaders.checkpoint.load((UnitRef(str(endpoint_id), str(unit_id)), sink))
        names = sorted(state.segments) if state is not None else []
        count = bounded(first, 50)
        rest = [name for name in names if after is None or name > after]
        edges = [
            IngestionSegmentEdge(cursor=name, node=IngestionSegment.of(state.segments[name]))
            for name in rest[:count]
            if state is not None
        ]
        info = PageInfo(has_next_page=len(rest) > count, end_cursor=edges[-1].cursor if edges else None)
        return IngestionSegmentConnection(edges=edges, page_info=info, total=len(names))

    @strawberry.field
    async def ingestion_quarantine(
        self, ask: Ask, endpoint_id: ID, unit_id: ID | None = None, first: int | None = 50
    ) -> list[QuarantinedSlice]:
        found = await look(ask, quarantine.list_rejected, ask.context.installation, str(endpoint_id), unit_id)
        return [QuarantinedSlice.of(entry) for entry in found.entries[: bounded(first, 50)]]

    @strawberry.field
    async def ingestion_plan(self, ask: Ask, endpoint_id: ID, unit_id: ID, slices: int | None = 50) -> IngestionPlan:
        """What a run would read now. It asks the source, so it is an admin's."""
        found = await act(ask, plan, ask.context.installation, UnitRef(str(endpoint_id), str(unit_id)))
        return IngestionPlan.of(found, bounded(slices, 50, "slices"))


def _datasets(
    installation: Installation, project: str | None, text: str | None, endpoint_id: str | None
) -> list[Version]:
    with installation.catalog.read() as connection:
        entries = registered.listed(connection)
        ids = {
            entry.endpoint.endpoint_id
            for entry in entries
            if endpoint_id in (None, entry.endpoint.endpoint_id) and project in (None, entry.about.project)
        }
        return dataset_versions.search(connection, ids, text, MOST_DATASETS)


def _collections(
    installation: Installation, wanted: MetadataCollectionRunFilter | None, limit: int
) -> list[Collection]:
    wanted = wanted or MetadataCollectionRunFilter()
    with installation.catalog.read() as connection:
        found = run_records.collections(
            connection,
            endpoint_ids=[wanted.endpoint_id] if wanted.endpoint_id is not None else None,
            collection_id=wanted.collection_id,
            status=wanted.status.value if wanted.status is not None else None,
            since=_bound("from", wanted.from_),
            until=_bound("to", wanted.to),
            limit=limit,
        )
    return [current_collection(item) for item in found]


def _bound(field: str, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ConfigError(f"filter.{field}: a time needs a zone, such as 2026-01-31T00:00:00Z")
    try:
        return run_records.instant(moment)
    except OverflowError:
        raise ConfigError(f"filter.{field}: no time that can be compared") from None


def _configs(installation: Installation, endpoint_id: str) -> list[Configured]:
    with installation.catalog.read() as connection:
        registered.source(connection, endpoint_id)
        return unit_configs.listed(connection, endpoint_id)
