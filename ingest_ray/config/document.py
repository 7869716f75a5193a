"""The fields of `ingest.yaml`, and the configuration that a valid file becomes."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from ingest_ray.config.table_template import check_template
from ingest_ray.sdk.types import CdmSettings, CronSchedule, DataMode, Endpoint, Model, Policy, RunMode, TaskSchedule
from ingest_ray.sdk.types.schedule import check_tasks
from ingest_ray.settings import (
    AlertSettings,
    LineageSettings,
    RaySettings,
    Reference,
    RetentionSettings,
    ServeSettings,
    Settings,
    SharedSettings,
    StagingSettings,
    TelemetrySettings,
    TemporalSettings,
)

HOME = ".ingest-ray"

EndpointId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A part of paths and keys: letters, digits, `.`, `_` and `-`."""


class EndpointEntry(Model):
    id: EndpointId
    template: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


Match = Literal["pattern", "exact"]


class UnitRule(Model):
    """The configuration for the units that match a pattern. Only fields that are written count, so that a later rule can change one."""

    endpoint: EndpointId
    unit: Annotated[str, StringConstraints(min_length=1)]
    match: Match = "pattern"
    """`exact`: `unit` is the id of one unit, also where it has the characters of a pattern."""
    sink: EndpointId | None = None
    table: str | None = None
    """The name of the unit's table in its sink; `{endpoint}`, `{schema}`, `{table}` and `{unit}` are filled in."""
    enabled: bool | None = None
    run_mode: RunMode | None = None
    mode: DataMode | None = None
    sink_endpoint: EndpointId | None = None
    cdm: CdmSettings = CdmSettings()
    policy: Policy = Policy()
    filters: dict[str, JsonValue] = Field(default_factory=dict)
    schedule_minutes: Annotated[int, Field(ge=1)] | None = None
    schedule: CronSchedule | None = None
    """Takes the place of an earlier rule's `schedule_minutes`, and the other way round."""
    schedules: tuple[TaskSchedule, ...] = ()
    """Of other tasks; a later rule's list takes the place of an earlier one's."""

    @field_validator("schedules")
    @classmethod
    def _one_of_each(cls, value: tuple[TaskSchedule, ...]) -> tuple[TaskSchedule, ...]:
        check_tasks(value)
        return value

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if self.schedule is not None and self.schedule_minutes is not None:
            raise ValueError("schedule and schedule_minutes: one of them says when the unit runs")
        return self

    @field_validator("table")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None:
            check_template(value)
        return value

    @field_validator("run_mode", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class IngestFile(Model):
    home: str = HOME
    state: str = "sqlite"
    kv: str | None = None
    staging: StagingSettings = StagingSettings()
    shared: SharedSettings = SharedSettings()
    ray: RaySettings = RaySettings()
    temporal: TemporalSettings = TemporalSettings()
    staged_budget_bytes: Annotated[int, Field(gt=0)] | None = None
    launcher: Literal["in-process", "ray-job", "temporal"] = "in-process"
    serve: ServeSettings = ServeSettings()
    alerts: AlertSettings = AlertSettings()
    retention: RetentionSettings = RetentionSettings()
    lineage: LineageSettings | None = None
    telemetry: TelemetrySettings | None = None
    mask_key: Reference | None = None
    endpoints: tuple[EndpointEntry, ...] = ()
    sinks: tuple[EndpointEntry, ...] = ()
    units: tuple[UnitRule, ...] = ()


class Config(Model):
    """A valid file: endpoint configs (secrets are literal or references), rules, settings."""

    source: str
    settings: Settings
    endpoints: tuple[Endpoint, ...] = ()
    sinks: tuple[Endpoint, ...] = ()
    rules: tuple[UnitRule, ...] = ()
    lines: dict[str, str] = Field(default_factory=dict)
    """The line of each rule, by its index: for errors that only the catalog reveals."""
