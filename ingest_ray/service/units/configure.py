"""Changes the configuration of one unit: checked like a rule of the file, and never over a concurrent change."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa
from pydantic import JsonValue, ValidationError

from ingest_ray.catalog import dataset_versions, endpoints, unit_configs
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.config.validation_errors import describe_errors
from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import (
    ConfigError,
    DatasetUnknown,
    FilterConflict,
    FilterUnsupported,
    ModeUnsupported,
    SinkMissing,
    StateConflict,
    UnitNotFound,
    VersionConflict,
)
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import (
    CronSchedule,
    DataMode,
    Model,
    Policy,
    RunMode,
    TaskSchedule,
    Unit,
    UnitConfig,
    UnitSpec,
)
from ingest_ray.sdk.types.schedule import check_tasks
from ingest_ray.secrets import masked
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.cdm_expressions import check_mapping
from ingest_ray.service.units.cdm_rules import check_cdm_policy, check_sink, check_unit
from ingest_ray.service.units.listing import units_of
from ingest_ray.service.units.policies.excluded_columns import without_excluded
from ingest_ray.service.units.validation import check_policy, check_types, with_explicit_policy

EnumType = TypeVar("EnumType", RunMode, DataMode)


class UnitChange(Model):
    """Fields that are None stay as they are. `policy` and `filters` replace the old values."""

    enabled: bool | None = None
    run_mode: str | None = None
    mode: str | None = None
    sink_id: str | None = None
    sink_endpoint_id: str | None = None
    schedule_kind: str | None = None
    schedule_interval_minutes: int | None = None
    schedule_cron: str | None = None
    schedule_zone: str | None = None
    task_schedules: Sequence[Mapping[str, str]] | None = None
    """Takes the place of the stored ones: mappings of `task`, `cron` and `zone`."""
    policy: Mapping[str, JsonValue] | None = None
    filters: Mapping[str, JsonValue] | None = None


def configure(
    installation: Installation, unit: UnitRef, change: UnitChange, expected_version: int | None = None
) -> Configured:
    """Changes the configuration; from then on, rules of the file do not apply to this unit.

    Raises:
        VersionConflict: the configuration was changed since `expected_version`; nothing is written.
        GateError, ConfigError: names the field; nothing is written.
    """
    with installation.catalog.begin(is_alone=True) as connection:
        entry = endpoints.source(connection, unit.endpoint_id)
        old = unit_configs.find(connection, unit)
        if old is not None and change == UnitChange(enabled=False):  # also where its dataset is gone
            offered = None
        else:
            offered = _find_offered(connection, entry, unit)
        version = old.version if old is not None else 0
        if expected_version is not None and expected_version != version:
            raise VersionConflict(
                f"the configuration of unit '{unit}' has version {version}, not {expected_version}: "
                "somebody changed it meanwhile",
                hint="look at it again, then change it",
            )
        if offered is None:
            assert old is not None
            config = old.config.model_copy(update={"enabled": False})
        else:
            config = _changed_config(connection, offered, old.config if old is not None else None, change)
        if offered is not None and config.enabled:
            _check_config(connection, installation, entry, offered, config)
        try:
            version = unit_configs.put(connection, config, "set", version)
        except StateConflict as error:
            raise VersionConflict(error.message, hint=error.hint) from None
    return Configured(config=config, origin="set", version=version)


def find_config(installation: Installation, unit: UnitRef) -> Configured | None:
    with installation.catalog.read() as connection:
        return unit_configs.find(connection, unit)


class UnitChoices(Model):
    """The values that a form offers for one unit."""

    sinks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def choices_for(installation: Installation, unit: UnitRef) -> UnitChoices:
    """Raises `DatasetUnknown`."""
    with installation.catalog.read() as connection:
        version = dataset_versions.find(connection, unit.endpoint_id, unit.unit_id)
        sinks = tuple(entry.endpoint.endpoint_id for entry in endpoints.listed(connection, "sink"))
    if version is None:
        raise DatasetUnknown(f"the dataset of unit '{unit}' is not in the catalog")
    return UnitChoices(sinks=sinks, columns=tuple(column.name for column in version.dataset.columns))


def _find_offered(connection: sa.Connection, entry: Registration, unit: UnitRef) -> Unit:
    offered = next((offered for offered in units_of(connection, entry) if offered.ref == unit), None)
    if offered is not None:
        return offered
    if unit_configs.find(connection, unit) is not None:
        raise DatasetUnknown(f"the dataset of unit '{unit}' is not in the catalog any more")
    raise UnitNotFound(f"endpoint '{unit.endpoint_id}' has no unit '{unit.unit_id}'")


def _changed_config(connection: sa.Connection, unit: Unit, old: UnitConfig | None, change: UnitChange) -> UnitConfig:
    config = old or UnitConfig(
        endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, sink_id="", run_mode=unit.default_mode
    )
    values: dict[str, object] = {}
    if change.enabled is not None:
        values["enabled"] = change.enabled
    if change.run_mode is not None:
        values["run_mode"] = _member(RunMode, "runMode", change.run_mode.upper())
    if change.mode is not None:
        values["mode"] = _member(DataMode, "mode", change.mode.lower())
    if change.sink_endpoint_id is not None:
        values["sink_endpoint_id"] = change.sink_endpoint_id or None
    in_cdm = values.get("mode", config.mode) is DataMode.CDM
    chosen = (change.sink_endpoint_id if in_cdm else None) or change.sink_id  # in CDM mode its endpoint is the sink
    values["sink_id"] = _chosen_sink_id(connection, chosen or config.sink_id)
    if change.policy is not None:
        values["policy"] = parse_policy(change.policy)
    if change.filters is not None:
        values["filters"] = dict(change.filters)
    return config.model_copy(update=values | _changed_schedule(config, change))


def _member(kind: type[EnumType], field: str, value: str) -> EnumType:
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"{field}: '{value}' is none of {', '.join(kind)}") from None


def _chosen_sink_id(connection: sa.Connection, wanted: str) -> str:
    """The chosen sink; the only registered one where none was chosen."""
    known = [entry.endpoint.endpoint_id for entry in endpoints.listed(connection, "sink")]
    if not wanted and len(known) == 1:
        return known[0]
    if wanted not in known:
        message = f"sinkId: sink '{wanted}' is not registered" if wanted else "sinkId: choose a sink"
        raise SinkMissing(message, hint=f"registered: {', '.join(known) or 'none'}")
    return wanted


def parse_policy(document: Mapping[str, JsonValue]) -> Policy:
    try:
        return Policy.model_validate(dict(document))
    except ValidationError as error:
        raise ConfigError(describe_errors(error, Policy, ("policy",))) from None


def _changed_schedule(config: UnitConfig, change: UnitChange) -> dict[str, object]:
    kind = (change.schedule_kind or config.schedule_kind).upper()
    minutes = change.schedule_interval_minutes
    minutes = config.schedule_interval_minutes if minutes is None else minutes
    if kind not in ("MANUAL", "INTERVAL", "CRON"):
        raise ConfigError(f"scheduleKind: '{kind}' is none of MANUAL, INTERVAL, CRON")
    if kind == "INTERVAL" and (minutes is None or not 1 <= minutes <= 525_600):
        raise ConfigError("scheduleIntervalMinutes: INTERVAL needs a number of minutes from 1 to 525600")
    return {
        "schedule_kind": kind,
        "schedule_interval_minutes": minutes if kind == "INTERVAL" else None,
        "schedule_calendar": _changed_calendar(config.schedule_calendar, change) if kind == "CRON" else None,
        "task_schedules": _changed_tasks(config.task_schedules, change.task_schedules),
    }


def _changed_calendar(old: CronSchedule | None, change: UnitChange) -> CronSchedule:
    cron = change.schedule_cron or (old.cron if old is not None else None)
    if cron is None:
        raise ConfigError("scheduleCron: scheduleKind CRON needs an expression, such as 0 3 * * 1-5")
    zone = change.schedule_zone or (old.zone if old is not None else "UTC")
    try:
        return CronSchedule(cron=cron, zone=zone)
    except ValidationError as error:
        text = describe_errors(error, CronSchedule)
        raise ConfigError(text.replace("cron:", "scheduleCron:", 1).replace("zone:", "scheduleZone:", 1)) from None


def _changed_tasks(
    old: tuple[TaskSchedule, ...], given: Sequence[Mapping[str, str]] | None
) -> tuple[TaskSchedule, ...]:
    if given is None:
        return old
    found = []
    for number, each in enumerate(given):
        try:
            found.append(TaskSchedule.model_validate(dict(each)))
        except ValidationError as error:
            raise ConfigError(describe_errors(error, TaskSchedule, ("taskSchedules", number))) from None
    try:
        check_tasks(found)
    except ValueError as error:
        raise ConfigError(f"taskSchedules: {error}") from None
    return tuple(found)


def _check_config(
    connection: sa.Connection, installation: Installation, entry: Registration, unit: Unit, config: UnitConfig
) -> None:
    """Raises what the gate would raise for this configuration."""
    if config.run_mode not in unit.supported_modes:
        known = ", ".join(unit.supported_modes)
        raise ModeUnsupported(
            f"unit '{unit.ref}' does not support run mode {config.run_mode}", hint=f"it supports: {known}"
        )
    sink = endpoints.find(connection, config.sink_id, "sink")
    assert sink is not None
    if config.mode is DataMode.CDM:
        check_sink(connection, unit, sink, check_unit(entry.endpoint.template, unit, config))
    strategy = strategy_for(entry.endpoint.template)
    kinds = [key for key in config.filters if key.endswith("Filter")]
    if len(kinds) > 1:
        raise FilterConflict(f"unit '{unit.ref}' has {' and '.join(kinds)}", hint="keep one")
    if config.filters and "filters" not in strategy.descriptor.capabilities:
        raise FilterUnsupported(
            f"unit '{unit.ref}' cannot be filtered", hint="leave the filter out; policy.where may do it"
        )
    version = dataset_versions.find(connection, unit.endpoint_id, unit.unit_id)
    assert version is not None
    spec = without_excluded(UnitSpec(endpoint=entry.endpoint, dataset=version.dataset, config=config))
    check_policy(spec)
    if config.mode is DataMode.CDM:
        check_cdm_policy(spec, installation.settings)
        check_mapping(config, masked_dataset(spec))
    spec = with_explicit_policy(spec)
    strategy.check(spec.model_copy(update={"endpoint": masked(entry.endpoint)}))
    check_types(RunOrder(run_id="", settings=installation.settings, spec=spec, sink=sink.endpoint))
