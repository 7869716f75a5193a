"""When a unit runs by itself, where a calendar says so."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import field_validator

from ingest_ray.sdk.types.model import Model

FIELDS = 5
ScheduledTask = Literal["reconcile", "verify", "full", "upkeep"]


class CronSchedule(Model):
    """`cron`: minute, hour, day of the month, month, day of the week, as crontab(5). `zone`: a name of the IANA database."""

    cron: str
    zone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        parts = value.split()
        if len(parts) != FIELDS:
            raise ValueError(
                f"'{value}' has {len(parts)} fields, and not five: minute hour day-of-month month day-of-week"
            )
        try:
            parse_cron(value)
        except CronSimError as error:
            raise ValueError(f"'{value}': {str(error)[:1].lower()}{str(error)[1:]}") from None
        return " ".join(parts)

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone is named '{value}': a name such as Europe/Berlin, or UTC") from None
        return value

    def __str__(self) -> str:
        return f"{self.cron} {self.zone}"


class TaskSchedule(CronSchedule):
    """`reconcile`: a run that looks for deleted rows; `verify`: a comparison with the sink; `full`: a run that reads all rows again;
    `upkeep`: a run after which the table's small files are compacted and its unneeded files deleted."""

    task: ScheduledTask

    def __str__(self) -> str:
        return f"{self.task} {self.cron} {self.zone}"


def check_tasks(schedules: Sequence[TaskSchedule]) -> None:
    """Raises `ValueError` where a task has two schedules."""
    tasks = [schedule.task for schedule in schedules]
    for task in dict.fromkeys(tasks):
        if tasks.count(task) > 1:
            raise ValueError(f"task {task} has {tasks.count(task)} schedules: one expression can name several times")


class CronFields:
    """The values that each field of an expression admits: sets of integers; Sunday is 0. `is_either_day`: the day of the month or the
    day of the week has to match, as in crontab(5) where both are restricted."""

    def __init__(self, parsed: CronSim) -> None:
        if any(day < 1 for day in parsed.days) or not all(isinstance(day, int) for day in parsed.weekdays):
            raise CronSimError("days with L and # are not supported")
        self.minutes = frozenset(parsed.minutes)
        self.hours = frozenset(parsed.hours)
        self.days = frozenset(parsed.days)
        self.months = frozenset(parsed.months)
        self.weekdays = frozenset(int(day) % 7 for day in parsed.weekdays if isinstance(day, int))
        self.is_either_day = not parsed.day_and


@lru_cache(maxsize=1024)
def parse_cron(cron: str) -> CronFields:
    """Raises `CronSimError` for an expression that is wrong, or never true."""
    parsed = CronSim(cron, datetime(2024, 1, 1))
    fields = CronFields(parsed)
    try:
        next(parsed)
    except StopIteration:
        raise CronSimError("it is never due") from None
    return fields
