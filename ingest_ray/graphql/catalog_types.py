"""GraphQL types of endpoints, collections and datasets."""

import json
from datetime import datetime
from enum import Enum
from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.run_records import Collection
from ingest_ray.graphql.conversions import checked_count, json_document, parse_time
from ingest_ray.graphql.ingestion_types import IngestionUnitConfig
from ingest_ray.graphql.request_context import RequestInfo
from ingest_ray.sdk.errors import EndpointNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.public_view import capabilities_of, public_config, public_url


@strawberry.type
class MetadataEndpoint:
    id: ID
    source_id: str
    project_id: str | None
    name: str
    description: str | None
    verb: str
    url: str
    auth_policy: str | None
    domain: str | None
    labels: list[str] | None
    config: JSON | None
    detected_version: str | None
    version_hint: str | None
    capabilities: list[str] | None
    created_at: datetime | None
    updated_at: datetime | None
    deleted_at: datetime | None
    deletion_reason: str | None
    is_deleted: bool
    template_id: str
    is_sink: bool

    @classmethod
    def of(cls, entry: Registration) -> Self:
        about, endpoint = entry.about, entry.endpoint
        return cls(
            id=ID(endpoint.endpoint_id),
            source_id=endpoint.endpoint_id,
            project_id=about.project,
            name=about.name or endpoint.endpoint_id,
            description=about.description,
            verb=about.verb or ("WRITE" if entry.role == "sink" else "READ"),
            url=public_url(entry),
            auth_policy=about.auth_policy,
            domain=about.domain,
            labels=list(about.labels),
            config=json_document({"templateId": endpoint.template, "parameters": public_config(entry)}),
            detected_version=about.version,
            version_hint=None,
            capabilities=list(capabilities_of(entry)),
            created_at=parse_time(entry.created_at),
            updated_at=parse_time(entry.updated_at),
            deleted_at=parse_time(entry.deleted_at),
            deletion_reason=about.deletion_reason,
            is_deleted=entry.deleted_at is not None,
            template_id=endpoint.template,
            is_sink=entry.role == "sink",
        )

    @strawberry.field
    async def runs(self, info: RequestInfo, limit: int | None = None) -> list["MetadataCollectionRun"]:
        collections = await info.context.loaders.collections(checked_count(limit, 20, "limit")).load(str(self.id))
        return [MetadataCollectionRun.of(item) for item in collections or []]

    @strawberry.field
    async def datasets(
        self, info: RequestInfo, limit: int | None = None, search: str | None = None
    ) -> list["CatalogDataset"]:
        versions = await info.context.loaders.datasets(checked_count(limit, 100, "limit"), search).load(str(self.id))
        return [CatalogDataset.of(item) for item in versions or []]


@strawberry.enum
class MetadataCollectionStatus(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@strawberry.type
class MetadataCollectionRun:
    id: ID
    endpoint_id: ID
    status: MetadataCollectionStatus
    requested_by: str | None
    requested_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    workflow_id: str | None
    error: str | None
    filters: JSON | None
    found: int
    added: int
    changed: int
    gone: int

    @classmethod
    def of(cls, item: Collection) -> Self:
        started = datetime.fromisoformat(item.started_at)
        return cls(
            id=ID(item.collection_id),
            endpoint_id=ID(item.endpoint_id),
            status=MetadataCollectionStatus(item.status),
            requested_by=item.requested_by,
            requested_at=started,
            started_at=started,
            completed_at=parse_time(item.completed_at),
            workflow_id=None,
            error=item.error,
            filters=json_document(_json(item.filters)),
            found=item.found,
            added=item.added,
            changed=item.changed,
            gone=item.gone,
        )

    @strawberry.field
    async def endpoint(self, info: RequestInfo) -> MetadataEndpoint:
        entry = await info.context.loaders.endpoint.load(str(self.endpoint_id))
        if entry is None:
            raise EndpointNotFound(f"endpoint '{self.endpoint_id}' is not registered")
        return MetadataEndpoint.of(entry)


@strawberry.input
class MetadataCollectionRunFilter:
    endpoint_id: ID | None = None
    collection_id: ID | None = None
    status: MetadataCollectionStatus | None = None
    from_: datetime | None = strawberry.field(name="from", default=None)
    to: datetime | None = None


@strawberry.type
class CatalogDatasetField:
    name: str
    type: str
    description: str | None
    staged_type: str
    nullable: bool
    fidelity: str
    note: str | None


@strawberry.type
class CatalogDatasetProfile:
    record_count: int | None
    sample_size: int | None
    last_profiled_at: datetime | None
    raw: JSON | None


@strawberry.type
class CatalogDatasetPreview:
    sampled_at: datetime
    rows: list[JSON]


@strawberry.type
class CatalogDataset:
    """The catalog keeps no rows: `sampleRows` is always null, `previewMetadataDataset` reads from the source."""

    id: ID
    upstream_id: str | None
    display_name: str
    description: str | None
    source: str | None
    labels: list[str] | None
    schema: str | None
    entity: str | None
    collected_at: datetime | None
    source_endpoint_id: ID | None
    profile: CatalogDatasetProfile | None
    sample_rows: list[JSON] | None
    statistics: JSON | None
    fields: list[CatalogDatasetField]
    primary_key: list[str]
    version: int
    name: strawberry.Private[str]

    @classmethod
    def of(cls, item: Version) -> Self:
        dataset = item.dataset
        schema, dot, entity = dataset.name.rpartition(".")
        collected = parse_time(item.last_seen_at)
        rows = dataset.estimated_rows
        return cls(
            id=ID(dataset.dataset_id),
            upstream_id=dataset.name,
            display_name=dataset.name,
            description=dataset.description,
            source=dataset.kind,
            labels=list(dataset.labels),
            schema=schema if dot else None,
            entity=entity,
            collected_at=collected,
            source_endpoint_id=ID(dataset.endpoint_id),
            profile=CatalogDatasetProfile(
                record_count=rows if rows is not None and rows < 2**31 else None,
                sample_size=None,
                last_profiled_at=collected,
                raw=None,
            ),
            sample_rows=None,
            statistics=json_document({"estimatedRows": rows, "estimatedBytes": dataset.estimated_bytes}),
            fields=[
                CatalogDatasetField(
                    name=column.name,
                    type=column.source_type,
                    description=column.description,
                    staged_type=column.arrow,
                    nullable=column.nullable,
                    fidelity=column.fidelity.value,
                    note=column.note,
                )
                for column in dataset.columns
            ],
            primary_key=list(dataset.primary_key),
            version=item.version,
            name=dataset.name,
        )

    @strawberry.field
    async def source_endpoint(self, info: RequestInfo) -> MetadataEndpoint | None:
        entry = await info.context.loaders.endpoint.load(str(self.source_endpoint_id))
        return MetadataEndpoint.of(entry) if entry is not None else None

    @strawberry.field
    async def last_collection_run(self, info: RequestInfo) -> MetadataCollectionRun | None:
        collection = await info.context.loaders.last_collection.load(str(self.source_endpoint_id))
        return MetadataCollectionRun.of(collection) if collection is not None else None

    @strawberry.field
    async def ingestion_config(self, info: RequestInfo) -> IngestionUnitConfig | None:
        stored = await info.context.loaders.config.load(UnitRef(str(self.source_endpoint_id), self.name))
        return IngestionUnitConfig.of(stored) if stored is not None else None


def _json(text: str | None) -> dict[str, object] | None:
    filters: dict[str, object] | None = json.loads(text) if text else None
    return filters
