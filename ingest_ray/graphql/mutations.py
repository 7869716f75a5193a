"""What can be changed; all of it is an admin's."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.catalog.endpoints import About
from ingest_ray.catalog.run_records import collections
from ingest_ray.graphql.catalog_types import CatalogDatasetPreview, MetadataCollectionRun, MetadataEndpoint
from ingest_ray.graphql.conversions import bounded, given, mapping
from ingest_ray.graphql.filters import filters_of
from ingest_ray.graphql.ingestion_types import (
    IngestionActionResult,
    IngestionState,
    IngestionUnitConfig,
    IngestionUnitConfigInput,
    ProvisionCdmSinkInput,
    ProvisionCdmSinkResult,
)
from ingest_ray.graphql.request_context import Ask, act, who
from ingest_ray.graphql.template_types import EndpointInput, EndpointPatch, TestEndpointInput, TestResult
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints import collect, connection_test, provision, public_view, registration
from ingest_ray.service.endpoints.collect import CollectRequest
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import control
from ingest_ray.service.units import configure, preview, reset, watermark
from ingest_ray.service.units.configure import UnitChange

log = logging.getLogger(__name__)

_BACKGROUND: set["asyncio.Task[None]"] = set()  # the loop itself keeps only weak references


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def test_endpoint(self, ask: Ask, input: TestEndpointInput) -> TestResult:
        """Can it be logged into? Nothing is registered."""
        config = mapping(input.connection, "connection") or {}
        return TestResult.of(
            await act(ask, connection_test.try_connection, ask.context.installation, input.template_id, config)
        )

    @strawberry.mutation
    async def register_endpoint(self, ask: Ask, input: EndpointInput, test: bool = True) -> MetadataEndpoint:
        """Registers a source or a sink after it could be connected to; `test: false` does not try."""
        draft = draft_of(input)
        return MetadataEndpoint.of(await act(ask, registration.register, ask.context.installation, draft, tested=test))

    @strawberry.mutation
    async def update_endpoint(self, ask: Ask, id: ID, patch: EndpointPatch, test: bool = True) -> MetadataEndpoint:
        about: dict[str, Any] = given(
            name=patch.name,
            description=patch.description,
            verb=patch.verb,
            auth_policy=patch.auth_policy,
            domain=patch.domain,
            labels=tuple(patch.labels) if patch.labels is not None else None,
            capabilities=tuple(patch.capabilities) if patch.capabilities is not None else None,
        )
        config = mapping(patch.config, "config")
        if config is not None:
            config = dict(parameters_of(config))
        if patch.url is not None:
            config = {**(config or {}), url_field(ask.context.installation, str(id)): patch.url}
        found = await act(ask, registration.update, ask.context.installation, str(id), about, config, tested=test)
        return MetadataEndpoint.of(found)

    @strawberry.mutation
    async def delete_endpoint(self, ask: Ask, id: ID, reason: str | None = None) -> bool:
        await act(ask, registration.delete, ask.context.installation, str(id), reason)
        return True

    @strawberry.mutation
    async def trigger_endpoint_collection(
        self,
        ask: Ask,
        endpoint_id: ID,
        filters: JSON | None = None,
        schema_override: list[str] | None = None,
    ) -> MetadataCollectionRun:
        """Reads the endpoint's metadata in the background. `filters: {datasets: [...]}` are patterns of names."""
        installation = ask.context.installation
        request = CollectRequest(
            endpoint_id=str(endpoint_id),
            datasets=patterns_of(filters),
            schemas=tuple(schema_override or ()),
            requested_by=who(ask).name,
        )
        collection_id = await act(ask, collect.start_collection, installation, request)
        task = asyncio.create_task(_collected(installation, collection_id, request))
        _BACKGROUND.add(task)
        task.add_done_callback(_BACKGROUND.discard)
        with installation.catalog.read() as connection:
            return MetadataCollectionRun.of(collections(connection, collection_id=collection_id)[0])

    @strawberry.mutation
    async def preview_metadata_dataset(self, ask: Ask, id: ID, limit: int | None = None) -> CatalogDatasetPreview:
        """A few rows, straight from the source."""
        endpoint_id, _, name = str(id).partition(":")
        count = bounded(limit, 10, "limit")
        found = await act(ask, preview.preview, ask.context.installation, UnitRef(endpoint_id, name), count)
        return CatalogDatasetPreview(sampled_at=datetime.now(UTC), rows=[JSON(row) for row in found.rows])

    @strawberry.mutation
    async def configure_ingestion_unit(self, ask: Ask, input: IngestionUnitConfigInput) -> IngestionUnitConfig:
        change = UnitChange(
            enabled=input.enabled,
            run_mode=input.run_mode,
            mode=input.mode,
            sink_id=input.sink_id,
            sink_endpoint_id=input.sink_endpoint_id,
            schedule_kind=input.schedule_kind,
            schedule_interval_minutes=input.schedule_interval_minutes,
            policy=mapping(input.policy, "policy"),
            filters=filters_of(input.jira_filter, input.confluence_filter),
        )
        stored = await act(
            ask,
            configure.configure,
            ask.context.installation,
            UnitRef(str(input.endpoint_id), str(input.unit_id)),
            change,
            input.expected_version,
        )
        return IngestionUnitConfig.of(stored)

    @strawberry.mutation
    async def start_ingestion(
        self, ask: Ask, endpoint_id: ID, unit_id: ID, sink_id: str | None = None, sink_endpoint_id: ID | None = None
    ) -> IngestionActionResult:
        """Starts a run in the background, or goes on with one that was paused."""
        done = await act(
            ask,
            control.start,
            ask.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            sink_id=sink_id,
            sink_endpoint_id=sink_endpoint_id,
            requested_by=who(ask).name,
        )
        return IngestionActionResult.of(done)

    @strawberry.mutation
    async def pause_ingestion(
        self, ask: Ask, endpoint_id: ID, unit_id: ID, sink_id: str | None = None
    ) -> IngestionActionResult:
        """The run stops after the commit under way; a schedule is held until the unit is started again."""
        done = await act(
            ask,
            control.pause,
            ask.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            sink_id=sink_id,
            requested_by=who(ask).name,
        )
        return IngestionActionResult.of(done)

    @strawberry.mutation
    async def reset_ingestion_checkpoint(
        self, ask: Ask, endpoint_id: ID, unit_id: ID, sink_id: str | None = None
    ) -> IngestionActionResult:
        """The next run starts from nothing; rows in the sink stay."""
        return await _forgotten(ask, UnitRef(str(endpoint_id), str(unit_id)), sink_id)

    @strawberry.mutation
    async def update_ingestion_watermark(
        self,
        ask: Ask,
        endpoint_id: ID,
        unit_id: ID,
        watermark: str | None = None,
        sink_id: str | None = None,
        segment: str | None = None,
    ) -> IngestionActionResult:
        """From there on everything is read again. Null forgets the checkpoint."""
        if watermark is None:
            return await _forgotten(ask, UnitRef(str(endpoint_id), str(unit_id)), sink_id)
        done = await act(
            ask,
            set_watermark,
            ask.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            watermark,
            segment=segment,
            sink_id=sink_id,
        )
        return _idle(f"set the watermark of {len(done.watermarks)} segment(s)")

    @strawberry.mutation
    async def provision_cdm_sink(self, ask: Ask, input: ProvisionCdmSinkInput) -> ProvisionCdmSinkResult:
        """Makes the model's table in the sink and publishes it to the catalog; doing it again changes nothing."""
        installation, sink_id = ask.context.installation, str(input.sink_endpoint_id)
        done = await act(ask, provision.provision, installation, sink_id, input.cdm_model_id)
        return ProvisionCdmSinkResult(
            ok=True, dataset_id=ID(done.dataset_id), schema=done.schema_name, table_name=done.table_name
        )


set_watermark = watermark.set_watermark  # the argument of the field has the module's name


async def _forgotten(ask: Ask, unit: UnitRef, sink_id: str | None) -> IngestionActionResult:
    done = await act(ask, reset.reset, ask.context.installation, unit, sink_id)
    return _idle(f"forgot {done.segments} segment(s)")


def _idle(message: str) -> IngestionActionResult:
    return IngestionActionResult(ok=True, run_id=None, state=IngestionState.IDLE, message=message)


async def _collected(installation: Installation, collection_id: str, request: CollectRequest) -> None:
    try:
        await asyncio.to_thread(collect.run_collection, installation, collection_id, request)
    except IngestError as error:  # it is in the record
        log.warning("collection %s failed: %s [%s]", collection_id, error.message, error.code)


def draft_of(given_: EndpointInput) -> registration.EndpointDraft:
    config = mapping(given_.config, "config") or {}
    template = given_.template_id or config.get("templateId")
    if not isinstance(template, str):
        raise ConfigError("templateId: is required, here or in config", hint="query endpointTemplates shows them")
    parameters = dict(parameters_of(config))
    if given_.url and not any(parameters.get(name) for name in public_view.URL_FIELDS):
        parameters[public_view.url_field_of(template)] = given_.url
    about = About(
        name=given_.name,
        description=given_.description,
        verb=given_.verb,
        auth_policy=given_.auth_policy,
        domain=given_.domain,
        project=given_.project_slug,
        labels=tuple(given_.labels or ()),
        capabilities=tuple(given_.capabilities) if given_.capabilities is not None else None,
    )
    return registration.EndpointDraft(source_id=given_.source_id, template=template, config=parameters, about=about)


def parameters_of(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("parameters")
    if isinstance(inner, dict):
        return inner
    return {name: value for name, value in config.items() if name not in ("templateId", "parameters")}


def url_field(installation: Installation, endpoint_id: str) -> str:
    return public_view.url_field_of(registration.find_endpoint(installation, endpoint_id).endpoint.template)


def patterns_of(filters: JSON | None) -> tuple[str, ...]:
    document = mapping(filters, "filters") or {}
    for name in document:
        if name != "datasets":
            raise ConfigError(f"filters.{name}: unknown; there is: datasets")
    found = document.get("datasets", [])
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise ConfigError("filters.datasets: a list of names or patterns is expected")
    return tuple(found)
