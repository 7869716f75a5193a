"""Keeps schedules of the Temporal server in step with those of the enabled units.

The server leaves out times that a zone does not have, and starts a time that comes twice once: so a calendar gets an entry more for each
gap of the next two years in which it is due. https://docs.temporal.io/schedule#spec

A schedule's note says what it was made of, and is compared: the server's list does not have all of a specification.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import TypedSearchAttributes

from ingest_ray.core.cron_slots import EVERY_HOUR, gaps_of, is_due_within
from ingest_ray.payloads.contract import COMPARISON, RUN
from ingest_ray.payloads.documents import ComparisonCommand, RunCommand
from ingest_ray.payloads.search_attributes import attributes_of, ensure_search_attributes
from ingest_ray.sdk.types import CronSchedule, Model, UnitConfig
from ingest_ray.sdk.types.schedule import parse_cron
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import options_of
from ingest_ray.service.runs.schedule_views import schedule_text
from ingest_ray.service.units.configs import list_configs

ORDINARY = "ingest"
CATCHUP_WINDOW = timedelta(
    minutes=10
)  # starts that were due earlier than this are skipped after an outage of the server
NOTE = "`ingest-ray temporal schedules` keeps it as ingest.yaml says"
YEARS_AHEAD = 1  # whose clock changes are written into a schedule, besides this year's


class ScheduleChange(Model):
    action: Literal["created", "changed", "removed", "unchanged"]
    schedule_id: str
    minutes: int | None = None
    schedule: str | None = None
    """The interval or the calendar, in words."""


@dataclass(frozen=True)
class Wanted:
    """A schedule that the server should have."""

    config: UnitConfig
    task: str

    @property
    def calendar(self) -> CronSchedule | None:
        if self.task == ORDINARY:
            return self.config.schedule_calendar
        return next(each for each in self.config.task_schedules if each.task == self.task)

    @property
    def minutes(self) -> int | None:
        return self.config.schedule_interval_minutes if self.task == ORDINARY else None

    @property
    def text(self) -> str:
        return schedule_text(self.config, self.task)

    def note(self, year: int) -> str:
        """Within a year the same; the server shows it."""
        calendar = self.calendar
        gaps = calendar is not None and any(gap_entries(calendar, year))
        return f"{NOTE}: {self.text}" + (f"; clock changes up to {year + YEARS_AHEAD}" if gaps else "")


def wanted_schedules(configs: Collection[UnitConfig], prefix: str) -> dict[str, Wanted]:
    """By the id of the schedule."""
    found = {}
    for config in configs:
        if config.enabled and config.schedule_kind != "MANUAL":
            found[f"{prefix}{config.ref}"] = Wanted(config, ORDINARY)
        for task in (each.task for each in config.task_schedules):
            if config.enabled:
                found[f"{prefix}{config.ref}:{task}"] = Wanted(config, task)
    return found


async def sync_schedules(client: Client, installation: Installation) -> list[ScheduleChange]:
    """Makes the server's schedules of this task queue match the catalog; a second call changes nothing.

    A start that is due while the schedule's own workflow goes on is skipped; a run of another schedule of the unit is waited for.
    """
    queue, year = installation.settings.temporal.task_queue, datetime.now(UTC).year
    prefix = f"ingest:{queue}:"
    configs = [item.config for item in await asyncio.to_thread(list_configs, installation)]
    wanted = wanted_schedules(configs, prefix)
    attributes = await ensure_search_attributes(client)
    existing = {name: note async for name, note in _list_schedules(client, prefix)}
    changes = []
    for name, each in sorted(wanted.items()):
        action: Literal["created", "changed", "unchanged"] = "unchanged"
        if name not in existing:
            await client.create_schedule(name, schedule_of(each, queue, year, has_attributes=attributes))
            action = "created"
        elif existing[name] != each.note(year):
            update = partial(_update_of, wanted=each, queue=queue, year=year, has_attributes=attributes)
            await client.get_schedule_handle(name).update(update)
            action = "changed"
        changes.append(ScheduleChange(action=action, schedule_id=name, minutes=each.minutes, schedule=each.text))
    for name in sorted(existing.keys() - wanted.keys()):
        await client.get_schedule_handle(name).delete()
        changes.append(ScheduleChange(action="removed", schedule_id=name))
    return changes


def schedule_of(wanted: Wanted, queue: str, year: int, *, has_attributes: bool = False) -> Schedule:
    config = wanted.config
    workflow, command = _started_by(wanted)
    name = f"ingest:{config.ref}" + (
        "" if wanted.task == ORDINARY else f":{wanted.task}"
    )  # the server appends the time
    return Schedule(
        action=ScheduleActionStartWorkflow(
            workflow,
            command,
            id=name,
            task_queue=queue,
            typed_search_attributes=attributes_of(command) if has_attributes else TypedSearchAttributes.empty,
        ),
        spec=spec_of(wanted, year),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP_WINDOW),
        state=ScheduleState(note=wanted.note(year)),
    )


def _started_by(wanted: Wanted) -> tuple[str, RunCommand | ComparisonCommand]:
    """The workflow of the task, and its argument."""
    unit = wanted.config.ref
    if wanted.task == "verify":
        command = ComparisonCommand(endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, requested_by="schedule")
        return COMPARISON, command
    options = options_of(wanted.task, wanted.config)
    return RUN, RunCommand(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        task=options.task,
        reconcile=options.reconcile,
        upkeep=options.upkeep,
        requested_by="schedule",
    )


def spec_of(wanted: Wanted, year: int) -> ScheduleSpec:
    calendar = wanted.calendar
    if calendar is None:
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=wanted.minutes or 0))])
    calendars = [*entries_of(calendar), *gap_entries(calendar, year)]
    return ScheduleSpec(calendars=calendars, time_zone_name=calendar.zone)


def entries_of(schedule: CronSchedule) -> list[ScheduleCalendarSpec]:
    """Two where the day of the month or the day of the week has to match: an entry of the server demands both."""
    fields = parse_cron(schedule.cron)
    every_day, every_weekday = _ranges(range(1, 32)), _ranges(range(7))
    days, weekdays = _ranges(fields.days), _ranges(fields.weekdays)
    either = [(days, every_weekday), (every_day, weekdays)] if fields.is_either_day else [(days, weekdays)]
    return [
        ScheduleCalendarSpec(
            minute=_ranges(fields.minutes),
            hour=_ranges(fields.hours),
            month=_ranges(fields.months),
            day_of_month=day,
            day_of_week=weekday,
        )
        for day, weekday in either
    ]


def gap_entries(schedule: CronSchedule, year: int) -> list[ScheduleCalendarSpec]:
    """The first times after the gaps of the zone in which the schedule is due. One of every hour goes by elapsed time, and has none."""
    if parse_cron(schedule.cron).hours == EVERY_HOUR:
        return []
    return [
        ScheduleCalendarSpec(
            year=_ranges([gap.end.year]),
            month=_ranges([gap.end.month]),
            day_of_month=_ranges([gap.end.day]),
            hour=_ranges([gap.end.hour]),
            minute=_ranges([gap.end.minute]),
        )
        for gap in gaps_of(schedule.zone, year, year + YEARS_AHEAD)
        if is_due_within(schedule, gap)
    ]


def _ranges(values: Collection[int]) -> list[ScheduleRange]:
    """Ranges of adjacent values."""
    found: list[ScheduleRange] = []
    for value in sorted(values):
        if found and found[-1].end == value - 1:
            found[-1] = ScheduleRange(found[-1].start, value)
        else:
            found.append(ScheduleRange(value, value))
    return found


async def _list_schedules(client: Client, prefix: str) -> AsyncIterator[tuple[str, str | None]]:
    async for listed in await client.list_schedules():
        if listed.id.startswith(prefix):
            yield listed.id, listed.schedule.state.note if listed.schedule else None


def _update_of(
    seen: ScheduleUpdateInput, *, wanted: Wanted, queue: str, year: int, has_attributes: bool
) -> ScheduleUpdate:
    """Keeps a paused schedule paused."""
    schedule = schedule_of(wanted, queue, year, has_attributes=has_attributes)
    schedule.state.paused = seen.description.schedule.state.paused
    return ScheduleUpdate(schedule=schedule)
