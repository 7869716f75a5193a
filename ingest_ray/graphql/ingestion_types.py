"""GraphQL types of units, their configurations and their statuses."""

from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Self

import strawberry
from pydantic import JsonValue
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.core.positions import display_value
from ingest_ray.graphql.conversions import json_document, time_of_epoch
from ingest_ray.graphql.filters import (
    ConfluenceIngestionFilter,
    ConfluenceIngestionFilterInput,
    JiraIngestionFilter,
    JiraIngestionFilterInput,
)
from ingest_ray.graphql.monitoring_types import IngestionFreshness
from ingest_ray.graphql.request_context import RequestInfo
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunSummary, SegmentState
from ingest_ray.service.runs.control import ActionResult
from ingest_ray.service.runs.schedule_views import schedule_view, task_views
from ingest_ray.service.units.listing import UnitView
from ingest_ray.service.units.unit_status import UnitStatus
from ingest_ray.state import UnitState

MOST_SEGMENTS = 200  # in one checkpoint: a unit may have thousands; `segments` has them all, page by page


@strawberry.enum
class IngestionState(Enum):
    IDLE = "IDLE"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"


@strawberry.type
class IngestionUnit:
    endpoint_id: ID
    unit_id: ID
    dataset_id: ID | None
    kind: str
    display_name: str
    stats: JSON | None
    driver_id: str
    sink_id: str
    default_mode: str | None
    supported_modes: list[str] | None
    default_policy: JSON | None
    default_schedule_kind: str | None
    default_schedule_interval_minutes: int | None
    cdm_model_id: str | None
    cdm_model_ids: list[str]
    filter_kind: str | None

    @classmethod
    def of(cls, view: UnitView) -> Self:
        return cls(
            endpoint_id=ID(view.endpoint_id),
            unit_id=ID(view.unit_id),
            dataset_id=ID(view.dataset_id),
            kind=view.kind,
            display_name=view.display_name,
            stats=json_document({**view.stats, "estimatedRows": view.estimated_rows, "columns": view.columns}),
            driver_id=view.driver_id,
            sink_id=view.sink_id or "",
            default_mode=view.default_mode.value,
            supported_modes=[mode.value for mode in view.supported_modes],
            default_policy=json_document(view.default_policy),
            default_schedule_kind="MANUAL",
            default_schedule_interval_minutes=None,
            cdm_model_id=next(iter(view.cdm_model_ids), None),
            cdm_model_ids=list(view.cdm_model_ids),
            filter_kind=view.filter_kind,
        )


@strawberry.type
class IngestionStatus:
    endpoint_id: ID
    unit_id: ID
    sink_id: str
    state: IngestionState
    last_run_id: str | None
    last_run_at: datetime | None
    last_error: str | None
    stats: JSON | None
    last_error_code: str | None
    last_error_hint: str | None

    @classmethod
    def of(cls, status: UnitStatus) -> Self:
        last, error = status.last_run, status.error
        return cls(
            endpoint_id=ID(status.endpoint_id),
            unit_id=ID(status.unit_id),
            sink_id=status.sink_id,
            state=IngestionState(status.state.value),
            last_run_id=last.run_id if last is not None else None,
            last_run_at=last.started_at if last is not None else None,
            last_error=error.message if error is not None else None,
            stats=json_document(stats_of(last)) if last is not None else None,
            last_error_code=error.code if error is not None else None,
            last_error_hint=error.hint if error is not None else None,
        )

    @strawberry.field
    async def checkpoint(self, info: RequestInfo) -> JSON | None:
        key = (UnitRef(str(self.endpoint_id), str(self.unit_id)), self.sink_id)
        state = await info.context.loaders.checkpoint.load(key)
        return json_document(checkpoint_of(state)) if state is not None and state.segments else None

    @strawberry.field
    async def freshness(self, info: RequestInfo) -> IngestionFreshness | None:
        found = await info.context.loaders.freshness.load(UnitRef(str(self.endpoint_id), str(self.unit_id)))
        return IngestionFreshness.of(found) if found is not None else None


def stats_of(summary: RunSummary) -> dict[str, JsonValue]:
    return {
        "rows": summary.rows.model_dump(),
        "slices": summary.slices.model_dump(),
        "bytesStaged": summary.bytes_staged,
        "seconds": summary.seconds,
        "phases": dict(summary.phases),
        "retries": summary.retries,
    }


def checkpoint_of(state: UnitState) -> dict[str, JsonValue]:
    few = dict(islice(state.segments.items(), MOST_SEGMENTS))
    return {
        "epoch": state.epoch,
        "commits": state.sequence,
        "segmentCount": len(state.segments),
        "isTruncated": len(few) < len(state.segments),
        "segments": {name: _segment(segment) for name, segment in few.items()},
    }


def _segment(segment: SegmentState) -> dict[str, JsonValue]:
    return {
        "watermark": display_value(segment.watermark),
        "isLoaded": segment.is_loaded,
        "openScopes": len(segment.scopes),
    }


@strawberry.type
class IngestionActionResult:
    ok: bool
    run_id: str | None
    state: IngestionState | None
    message: str | None

    @classmethod
    def of(cls, done: ActionResult) -> Self:
        state = IngestionState(done.state.value) if done.state is not None else None
        return cls(ok=done.ok, run_id=done.run_id, state=state, message=done.message)


@strawberry.type
class IngestionUnitStart:
    unit_id: ID
    result: IngestionActionResult


@strawberry.type
class IngestionUnitConfig:
    """`version` grows with every change. Pass it as `expectedVersion` to refuse a change of a newer version."""

    id: ID
    endpoint_id: ID
    dataset_id: ID
    unit_id: ID
    enabled: bool
    run_mode: str
    mode: str
    sink_id: str
    sink_endpoint_id: ID | None
    schedule_kind: str
    schedule_interval_minutes: int | None
    schedule_cron: str | None
    schedule_zone: str | None
    policy: JSON | None
    jira_filter: JiraIngestionFilter | None
    confluence_filter: ConfluenceIngestionFilter | None
    version: int
    origin: str
    stored: strawberry.Private[Configured]

    @classmethod
    def of(cls, stored: Configured) -> Self:
        config = stored.config
        name = str(config.ref)
        return cls(
            id=ID(name),
            endpoint_id=ID(config.endpoint_id),
            dataset_id=ID(name),
            unit_id=ID(config.unit_id),
            enabled=config.enabled,
            run_mode=config.run_mode.value,
            mode=config.mode.value,
            sink_id=config.sink_id,
            sink_endpoint_id=ID(config.sink_endpoint_id) if config.sink_endpoint_id else None,
            schedule_kind=config.schedule_kind,
            schedule_interval_minutes=config.schedule_interval_minutes,
            schedule_cron=config.schedule_calendar.cron if config.schedule_calendar is not None else None,
            schedule_zone=config.schedule_calendar.zone if config.schedule_calendar is not None else None,
            policy=json_document(config.policy.model_dump(mode="json", exclude_defaults=True)),
            jira_filter=JiraIngestionFilter.of(config.filters),
            confluence_filter=ConfluenceIngestionFilter.of(config.filters),
            version=stored.version,
            origin=stored.origin,
            stored=stored,
        )

    @strawberry.field
    async def last_status(self, info: RequestInfo) -> IngestionStatus | None:
        status = await info.context.loaders.unit_status.load(UnitRef(str(self.endpoint_id), str(self.unit_id)))
        return IngestionStatus.of(status) if status is not None else None

    @strawberry.field
    async def schedule(self, info: RequestInfo) -> "IngestionSchedule":
        row = await info.context.loaders.schedule.load(UnitRef(str(self.endpoint_id), str(self.unit_id)))
        view = schedule_view(info.context.installation, self.stored.config, row)
        return IngestionSchedule(
            next_run_at=time_of_epoch(view.next_due_at),
            overdue_since=time_of_epoch(view.overdue_since),
            is_held=view.is_held,
            held_by=view.held_by,
            last_error=view.last_error,
        )

    @strawberry.field
    async def task_schedules(self, info: RequestInfo) -> list["IngestionTaskSchedule"]:
        if not self.stored.config.task_schedules:
            return []
        unit = UnitRef(str(self.endpoint_id), str(self.unit_id))
        row = await info.context.loaders.schedule.load(unit)
        rows = await info.context.loaders.task_schedules.load(unit)
        return [
            IngestionTaskSchedule(
                task=view.task,
                cron=view.cron,
                zone=view.zone,
                next_run_at=time_of_epoch(view.next_due_at),
                overdue_since=time_of_epoch(view.overdue_since),
                is_held=view.is_held,
                held_by=view.held_by,
                last_error=view.last_error,
            )
            for view in task_views(info.context.installation, self.stored.config, row, rows or {})
        ]


@strawberry.type
class IngestionTaskSchedule:
    """When a task other than ordinary runs begins by itself."""

    task: str
    cron: str
    zone: str
    next_run_at: datetime | None
    overdue_since: datetime | None
    is_held: bool
    held_by: str | None
    last_error: str | None


@strawberry.input
class IngestionTaskScheduleInput:
    """When a task other than ordinary runs is to begin."""

    task: str
    cron: str
    zone: str = "UTC"


@strawberry.type
class IngestionSchedule:
    next_run_at: datetime | None
    overdue_since: datetime | None
    is_held: bool
    held_by: str | None
    last_error: str | None


@strawberry.input
class IngestionUnitConfigInput:
    """A field that is not given keeps its value. An empty filter removes the stored one."""

    endpoint_id: ID
    unit_id: ID
    enabled: bool | None = None
    run_mode: str | None = None
    mode: str | None = None
    sink_id: str | None = None
    sink_endpoint_id: ID | None = None
    schedule_kind: str | None = None
    schedule_interval_minutes: int | None = None
    schedule_cron: str | None = None
    schedule_zone: str | None = None
    task_schedules: list[IngestionTaskScheduleInput] | None = None
    policy: JSON | None = None
    jira_filter: JiraIngestionFilterInput | None = None
    confluence_filter: ConfluenceIngestionFilterInput | None = None
    expected_version: int | None = None

    def tasks(self) -> list[dict[str, str]] | None:
        if self.task_schedules is None:
            return None
        return [{"task": each.task, "cron": each.cron, "zone": each.zone} for each in self.task_schedules]


@strawberry.type
class IngestionSink:
    """`provisionedCdmModels` is null where tables are made on first use."""

    id: ID
    supported_cdm_models: list[str] | None
    provisioned_cdm_models: list[str] | None
    template_id: str


@strawberry.input
class ProvisionCdmSinkInput:
    sink_endpoint_id: ID
    cdm_model_id: str


@strawberry.type
class ProvisionCdmSinkResult:
    ok: bool
    dataset_id: ID
    schema: str
    table_name: str
