"""The mutations. Those that start and pause runs need the role operator, all others admin: see `guards`."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.catalog.endpoints import EndpointDescription, Registration
from ingest_ray.graphql.catalog_types import CatalogDatasetPreview, MetadataCollectionRun, MetadataEndpoint
from ingest_ray.graphql.comparison_mutations import ComparisonMutations
from ingest_ray.graphql.conversions import checked_count, json_object, without_nulls
from ingest_ray.graphql.filters import filters_of
from ingest_ray.graphql.ingestion_types import (
    IngestionActionResult,
    IngestionState,
    IngestionUnitConfig,
    IngestionUnitConfigInput,
    IngestionUnitStart,
    ProvisionCdmSinkInput,
    ProvisionCdmSinkResult,
)
from ingest_ray.graphql.monitoring_types import MonitoringMutations
from ingest_ray.graphql.request_context import RequestInfo, call_as_admin, call_as_operator, call_as_viewer
from ingest_ray.graphql.template_types import EndpointInput, EndpointPatch, TestEndpointInput, TestResult
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.access.roles import Role, require_endpoints, require_role
from ingest_ray.service.endpoints import collect, connection_test, provision, public_view, registration
from ingest_ray.service.endpoints.collect import CollectRequest
from ingest_ray.service.endpoints.collections import find_collection
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import control
from ingest_ray.service.units import configure, preview, reset, watermark
from ingest_ray.service.units.configure import UnitChange

log = logging.getLogger(__name__)

_COLLECTIONS_UNDER_WAY: set["asyncio.Task[None]"] = set()  # the event loop keeps only weak references


@strawberry.type
class Mutation(ComparisonMutations, MonitoringMutations):
    @strawberry.mutation
    async def test_endpoint(self, info: RequestInfo, input: TestEndpointInput) -> TestResult:
        """Tests a connection without registering anything."""
        config = json_object(input.connection, "connection") or {}
        return TestResult.of(
            await call_as_admin(
                info, connection_test.try_connection, info.context.installation, input.template_id, config
            )
        )

    @strawberry.mutation
    async def register_endpoint(self, info: RequestInfo, input: EndpointInput, test: bool = True) -> MetadataEndpoint:
        """Registers a source or a sink after a connection test; `test: false` skips the test."""
        draft = draft_of(input)
        require_endpoints(await info.context.current_principal(), [registration.id_of(draft)])
        return MetadataEndpoint.of(
            await call_as_admin(info, registration.register, info.context.installation, draft, tested=test)
        )

    @strawberry.mutation
    async def update_endpoint(
        self, info: RequestInfo, id: ID, patch: EndpointPatch, test: bool = True
    ) -> MetadataEndpoint:
        about: dict[str, Any] = without_nulls(
            name=patch.name,
            description=patch.description,
            verb=patch.verb,
            auth_policy=patch.auth_policy,
            domain=patch.domain,
            labels=tuple(patch.labels) if patch.labels is not None else None,
            capabilities=tuple(patch.capabilities) if patch.capabilities is not None else None,
        )
        config = json_object(patch.config, "config")
        if config is not None:
            config = dict(parameters_of(config))
        entry = await call_as_admin(
            info, _update_endpoint, info.context.installation, str(id), about, config, patch.url, tested=test
        )
        return MetadataEndpoint.of(entry)

    @strawberry.mutation
    async def delete_endpoint(self, info: RequestInfo, id: ID, reason: str | None = None) -> bool:
        await call_as_admin(info, registration.delete, info.context.installation, str(id), reason)
        return True

    @strawberry.mutation
    async def trigger_endpoint_collection(
        self,
        info: RequestInfo,
        endpoint_id: ID,
        filters: JSON | None = None,
        schema_override: list[str] | None = None,
    ) -> MetadataCollectionRun:
        """Reads the endpoint's metadata in the background. `filters: {datasets: [...]}` are patterns of names."""
        installation = info.context.installation
        request = CollectRequest(
            endpoint_id=str(endpoint_id),
            datasets=patterns_of(filters),
            schemas=tuple(schema_override or ()),
            requested_by=(await info.context.current_principal()).name,
        )
        collection_id = await call_as_admin(info, collect.start_collection, installation, request)
        task = asyncio.create_task(_run_collection(installation, collection_id, request))
        _COLLECTIONS_UNDER_WAY.add(task)
        task.add_done_callback(_COLLECTIONS_UNDER_WAY.discard)
        return MetadataCollectionRun.of(await call_as_viewer(info, find_collection, installation, collection_id))

    @strawberry.mutation
    async def preview_metadata_dataset(
        self, info: RequestInfo, id: ID, limit: int | None = None
    ) -> CatalogDatasetPreview:
        """A few rows, straight from the source."""
        endpoint_id, _, name = str(id).partition(":")
        count = checked_count(limit, 10, "limit")
        sample = await call_as_admin(
            info, preview.preview, info.context.installation, UnitRef(endpoint_id, name), count
        )
        return CatalogDatasetPreview(sampled_at=datetime.now(UTC), rows=[JSON(row) for row in sample.rows])

    @strawberry.mutation
    async def configure_ingestion_unit(self, info: RequestInfo, input: IngestionUnitConfigInput) -> IngestionUnitConfig:
        change = UnitChange(
            enabled=input.enabled,
            run_mode=input.run_mode,
            mode=input.mode,
            sink_id=input.sink_id,
            sink_endpoint_id=input.sink_endpoint_id,
            schedule_kind=input.schedule_kind,
            schedule_interval_minutes=input.schedule_interval_minutes,
            schedule_cron=input.schedule_cron,
            schedule_zone=input.schedule_zone,
            task_schedules=input.tasks(),
            policy=json_object(input.policy, "policy"),
            filters=filters_of(input.jira_filter, input.confluence_filter),
        )
        unit = UnitRef(str(input.endpoint_id), str(input.unit_id))
        await _check_sinks(info, unit, input.sink_id, input.sink_endpoint_id)
        stored = await call_as_admin(
            info,
            configure.configure,
            info.context.installation,
            unit,
            change,
            input.expected_version,
        )
        return IngestionUnitConfig.of(stored)

    @strawberry.mutation
    async def start_ingestion(
        self,
        info: RequestInfo,
        endpoint_id: ID,
        unit_id: ID,
        sink_id: str | None = None,
        sink_endpoint_id: ID | None = None,
    ) -> IngestionActionResult:
        """Starts a run in the background, or continues a paused one. Another sink than the configured one needs the role admin."""
        await _check_sinks(info, UnitRef(str(endpoint_id), str(unit_id)), sink_id, sink_endpoint_id)
        done = await call_as_operator(
            info,
            control.start,
            info.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            sink_id=sink_id,
            sink_endpoint_id=sink_endpoint_id,
            requested_by=(await info.context.current_principal()).name,
        )
        return IngestionActionResult.of(done)

    @strawberry.mutation
    async def start_ingestion_units(
        self, info: RequestInfo, endpoint_id: ID, unit_ids: list[ID] | None = None
    ) -> list[IngestionUnitStart]:
        """Starts a run of each unit, of all enabled ones by default. `serve.parallel` of them go on at once; the others wait."""
        done = await call_as_operator(
            info,
            control.start_units,
            info.context.installation,
            str(endpoint_id),
            [str(unit_id) for unit_id in unit_ids or ()],
            requested_by=(await info.context.current_principal()).name,
        )
        return [
            IngestionUnitStart(unit_id=ID(unit.unit_id), result=IngestionActionResult.of(one)) for unit, one in done
        ]

    @strawberry.mutation
    async def pause_ingestion(
        self, info: RequestInfo, endpoint_id: ID, unit_id: ID, sink_id: str | None = None
    ) -> IngestionActionResult:
        """The run stops after the commit under way; a schedule is held until the unit is started again."""
        done = await call_as_operator(
            info,
            control.pause,
            info.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            sink_id=sink_id,
            requested_by=(await info.context.current_principal()).name,
        )
        return IngestionActionResult.of(done)

    @strawberry.mutation
    async def reset_ingestion_checkpoint(
        self, info: RequestInfo, endpoint_id: ID, unit_id: ID, sink_id: str | None = None, to_sink: bool = False
    ) -> IngestionActionResult:
        """The next run starts from nothing; with `toSink`, from the last commit that the sink has, after it was restored from an
        earlier copy. Rows in the sink stay."""
        unit = UnitRef(str(endpoint_id), str(unit_id))
        return await (_return_to_sink if to_sink else _reset)(info, unit, sink_id)

    @strawberry.mutation
    async def update_ingestion_watermark(
        self,
        info: RequestInfo,
        endpoint_id: ID,
        unit_id: ID,
        watermark: str | None = None,
        sink_id: str | None = None,
        segment: str | None = None,
    ) -> IngestionActionResult:
        """The next run reads everything above the watermark again. Null forgets the checkpoint."""
        if watermark is None:
            return await _reset(info, UnitRef(str(endpoint_id), str(unit_id)), sink_id)
        done = await call_as_admin(
            info,
            set_watermark,
            info.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            watermark,
            segment=segment,
            sink_id=sink_id,
        )
        return _idle(f"set the watermark of {len(done.watermarks)} segment(s)")

    @strawberry.mutation
    async def provision_cdm_sink(self, info: RequestInfo, input: ProvisionCdmSinkInput) -> ProvisionCdmSinkResult:
        """Makes the model's table in the sink and publishes it to the catalog; doing it again changes nothing."""
        installation, sink_id = info.context.installation, str(input.sink_endpoint_id)
        done = await call_as_admin(info, provision.provision, installation, sink_id, input.cdm_model_id)
        return ProvisionCdmSinkResult(
            ok=True, dataset_id=ID(done.dataset_id), schema=done.schema_name, table_name=done.table_name
        )


async def _check_sinks(info: RequestInfo, unit: UnitRef, *sink_ids: str | None) -> None:
    """Raises `RoleForbidden` where rows of the unit would go to another sink than the configured one, and the caller may not choose it."""
    principal, stored = await info.context.current_principal(), await info.context.loaders.config.load(unit)
    configured = (stored.config.sink_id, stored.config.sink_endpoint_id) if stored is not None else ()
    others = [str(name) for name in sink_ids if name is not None and name not in configured]
    if others:
        require_role(principal, Role.ADMIN, f"send rows of '{unit}' to '{others[0]}'")
        require_endpoints(principal, others)


set_watermark = watermark.set_watermark  # an argument of the field hides the module's name


async def _reset(info: RequestInfo, unit: UnitRef, sink_id: str | None) -> IngestionActionResult:
    done = await call_as_admin(info, reset.reset, info.context.installation, unit, sink_id)
    warning = f"; {done.warning}" if done.warning else ""
    return _idle(f"forgot {done.segments} segment(s){warning}")


async def _return_to_sink(info: RequestInfo, unit: UnitRef, sink_id: str | None) -> IngestionActionResult:
    done = await call_as_admin(info, reset.return_checkpoint, info.context.installation, unit, sink_id)
    lost = "".join(f"; a {task} was lost with the sink's commits: do it again" for task in done.lost_tasks)
    return _idle(f"went back from commit {done.before} to commit {done.sequence}{lost}")


def _idle(message: str) -> IngestionActionResult:
    return IngestionActionResult(ok=True, run_id=None, state=IngestionState.IDLE, message=message)


async def _run_collection(installation: Installation, collection_id: str, request: CollectRequest) -> None:
    try:
        await asyncio.to_thread(collect.run_collection, installation, collection_id, request)
    except IngestError as error:  # the collection's record has the error
        log.warning("collection %s failed: %s [%s]", collection_id, error.message, error.code)


def draft_of(endpoint: EndpointInput) -> registration.EndpointDraft:
    config = json_object(endpoint.config, "config") or {}
    template = endpoint.template_id or config.get("templateId")
    if not isinstance(template, str):
        raise ConfigError("templateId: is required, here or in config", hint="query endpointTemplates shows them")
    parameters = dict(parameters_of(config))
    if endpoint.url and not any(parameters.get(name) for name in public_view.URL_FIELDS):
        parameters[public_view.url_field_of(template)] = endpoint.url
    about = EndpointDescription(
        name=endpoint.name,
        description=endpoint.description,
        verb=endpoint.verb,
        auth_policy=endpoint.auth_policy,
        domain=endpoint.domain,
        project=endpoint.project_slug,
        labels=tuple(endpoint.labels or ()),
        capabilities=tuple(endpoint.capabilities) if endpoint.capabilities is not None else None,
    )
    return registration.EndpointDraft(source_id=endpoint.source_id, template=template, config=parameters, about=about)


def parameters_of(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("parameters")
    if isinstance(inner, dict):
        return inner
    return {name: value for name, value in config.items() if name not in ("templateId", "parameters")}


def _update_endpoint(
    installation: Installation,
    endpoint_id: str,
    about: dict[str, Any],
    config: dict[str, Any] | None,
    url: str | None,
    *,
    tested: bool,
) -> Registration:
    if url is not None:
        template = registration.find_endpoint(installation, endpoint_id).endpoint.template
        config = {**(config or {}), public_view.url_field_of(template): url}
    return registration.update(installation, endpoint_id, about, config, tested=tested)


def patterns_of(filters: JSON | None) -> tuple[str, ...]:
    document = json_object(filters, "filters") or {}
    for name in document:
        if name != "datasets":
            raise ConfigError(f"filters.{name}: unknown; there is: datasets")
    patterns = document.get("datasets", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigError("filters.datasets: a list of names or patterns is expected")
    return tuple(patterns)
