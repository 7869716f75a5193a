"""When scheduled units run next, whether they are overdue, and what holds them."""

import time
from collections.abc import Collection, Mapping

from ingest_ray.catalog import schedule_slots, unit_configs
from ingest_ray.catalog.schedule_slots import ORDINARY, ScheduleRow
from ingest_ray.core.schedule import Schedule, ScheduleState, jitter_of, next_due, overdue_since
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, UnitConfig
from ingest_ray.service.installation import Installation


class ScheduleView(Model):
    """`next_due_at`, `overdue_since`: seconds since 1970. `next_due_at` None: no schedule, or held. `overdue_since`: when the oldest
    slot began that has had no run."""

    next_due_at: int | None = None
    overdue_since: int | None = None
    is_held: bool = False
    held_by: str | None = None
    last_error: str | None = None


def find_schedules(installation: Installation, units: Collection[UnitRef]) -> Mapping[UnitRef, ScheduleRow]:
    """At least those of `units` that have a row."""
    endpoint_ids = {unit.endpoint_id for unit in units}
    with installation.catalog.read() as connection:
        return schedule_slots.listed(connection, endpoint_ids.pop() if len(endpoint_ids) == 1 else None)


def find_task_schedules(
    installation: Installation, units: Collection[UnitRef]
) -> Mapping[UnitRef, Mapping[str, ScheduleRow]]:
    """The rows of other tasks than ordinary runs, by unit and task."""
    endpoint_ids = {unit.endpoint_id for unit in units}
    with installation.catalog.read() as connection:
        rows = schedule_slots.listed_tasks(connection, endpoint_ids.pop() if len(endpoint_ids) == 1 else None)
    found: dict[UnitRef, dict[str, ScheduleRow]] = {}
    for (unit, task), row in rows.items():
        found.setdefault(unit, {})[task] = row
    return found


class NextRun(Model):
    """`next_due_at`: seconds since 1970; None: the schedule is held. `every_minutes`: 0 for a calendar."""

    endpoint_id: str
    unit_id: str
    task: str = ORDINARY
    schedule: str
    every_minutes: int = 0
    next_due_at: int | None = None
    held_by: str | None = None


def list_next_runs(installation: Installation, within: Collection[str] | None = None) -> list[NextRun]:
    """Of every enabled unit with a schedule, the next first; those that are held come last. `within`: of these endpoints only."""
    with installation.catalog.read() as connection:
        configs = [item.config for item in unit_configs.scheduled(connection)]
        rows = schedule_slots.listed(connection)
    found = []
    for config in configs:
        if within is not None and config.endpoint_id not in within:
            continue
        for task in schedules_of(installation, config):
            view = schedule_view(installation, config, rows.get(config.ref), task=task)
            found.append(
                NextRun(
                    endpoint_id=config.endpoint_id,
                    unit_id=config.unit_id,
                    task=task,
                    schedule=schedule_text(config, task),
                    every_minutes=(config.schedule_interval_minutes or 0) if task == ORDINARY else 0,
                    next_due_at=view.next_due_at,
                    held_by=(view.held_by or "a person") if view.is_held else None,
                )
            )
    return sorted(found, key=lambda run: (run.next_due_at is None, run.next_due_at or 0))


def schedules_of(installation: Installation, config: UnitConfig) -> dict[str, Schedule]:
    """The schedules of a unit by task."""
    catch_up = installation.settings.serve.schedules.catch_up
    found = {}
    if config.schedule_kind == "INTERVAL":
        interval_s = (config.schedule_interval_minutes or 1) * 60
        jitter_s = jitter_of(config.ref, interval_s, installation.settings.serve.schedules.max_jitter_s)
        found[ORDINARY] = Schedule(interval_s=interval_s, jitter_s=jitter_s, catch_up=catch_up)
    elif config.schedule_kind == "CRON":
        found[ORDINARY] = Schedule(calendar=config.schedule_calendar, catch_up=catch_up)
    return found | {each.task: Schedule(calendar=each, catch_up=catch_up) for each in config.task_schedules}


def schedule_text(config: UnitConfig, task: str = ORDINARY) -> str:
    if task == ORDINARY and config.schedule_kind == "INTERVAL":
        return f"every {config.schedule_interval_minutes} min"
    calendars = [config.schedule_calendar] if task == ORDINARY else [s for s in config.task_schedules if s.task == task]
    return ", ".join(f"{calendar.cron} {calendar.zone}" for calendar in calendars if calendar is not None)


def schedule_view(
    installation: Installation,
    config: UnitConfig,
    row: ScheduleRow | None,
    now: float | None = None,
    *,
    task: str = ORDINARY,
    task_row: ScheduleRow | None = None,
) -> ScheduleView:
    """`row`: of ordinary runs, which says whether the unit is held; `task_row`: of another task."""
    schedule = schedules_of(installation, config).get(task)
    if schedule is None:
        return ScheduleView()
    moment = int(time.time() if now is None else now)
    is_held = row is not None and row.held_at is not None
    own = row if task == ORDINARY else task_row
    known = ScheduleState(own.last_due if own is not None else None, is_held=is_held or not config.enabled)
    return ScheduleView(
        overdue_since=overdue_since(schedule, known, moment),
        next_due_at=None if is_held or not config.enabled else next_due(schedule, moment),
        is_held=is_held,
        held_by=row.held_by if row is not None else None,
        last_error=own.last_error if own is not None else None,
    )


class TaskView(ScheduleView):
    """Of another task than ordinary runs."""

    task: str
    cron: str
    zone: str


def task_views(
    installation: Installation,
    config: UnitConfig,
    row: ScheduleRow | None,
    task_rows: Mapping[str, ScheduleRow],
) -> list[TaskView]:
    found = []
    for each in config.task_schedules:
        view = schedule_view(installation, config, row, task=each.task, task_row=task_rows.get(each.task))
        found.append(TaskView(task=each.task, cron=each.cron, zone=each.zone, **view.model_dump()))
    return found
