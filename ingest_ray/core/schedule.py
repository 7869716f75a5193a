"""Decides when a unit with a schedule is due. Pure: times are arguments, in seconds since 1970.

The slots of a unit are `interval_s` apart and shifted by a jitter of its own, which is always the same, so that the units of
one interval do not all start at once. Those of a calendar are in `cron_slots`; they are not shifted. One slot starts at most one run; missed slots lead to at most one run.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from ingest_ray.core.cron_slots import slot_after, slot_at
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types.schedule import CronSchedule

MAX_JITTER = 0.1  # of the interval: an hourly unit starts within six minutes of the hour


@dataclass(frozen=True)
class Schedule:
    """`catch_up`: after a missed slot, `once` starts one run as soon as possible, `skip` waits for the next slot.

    `grace_s`: a slot that is at most so late is not missed. `calendar`: takes the place of interval and jitter.
    """

    interval_s: int = 60
    jitter_s: int = 0
    catch_up: Literal["once", "skip"] = "once"
    grace_s: int = 60
    calendar: CronSchedule | None = None


@dataclass(frozen=True)
class ScheduleState:
    """`last_due`: the newest slot that was decided about; None for a new schedule."""

    last_due: int | None = None
    is_running: bool = False
    is_held: bool = False
    is_full: bool = False
    """The limit of concurrent runs is reached."""


@dataclass(frozen=True)
class Decision:
    """The caller stores `last_due` before it starts the run, so that a slot cannot start two."""

    starts: bool
    last_due: int | None


def decide(schedule: Schedule, known: ScheduleState, now: int) -> Decision:
    due = slot(schedule, now)
    if known.last_due is None or known.last_due > next_due(
        schedule, due
    ):  # the second case: the clock was ahead before and has been corrected
        return Decision(False, due)
    if known.last_due >= due:
        return Decision(False, known.last_due)
    if known.is_held:
        return Decision(False, due)
    is_late = now - due > schedule.grace_s
    if schedule.catch_up == "skip" and is_late:
        return Decision(False, due)
    if known.is_running or known.is_full:  # no second run in parallel: the slot waits
        return Decision(False, known.last_due)
    return Decision(True, due)


def overdue_since(schedule: Schedule, known: ScheduleState, now: int) -> int | None:
    """When the oldest slot began that has had no run, if that is longer ago than the schedule's grace; a held unit is not overdue."""
    if known.last_due is None or known.is_held:
        return None
    due = slot(schedule, now)
    first = next_due(schedule, known.last_due)
    is_waiting = known.last_due < due and (schedule.catch_up == "once" or first == due)
    return first if is_waiting and now - first > schedule.grace_s else None


def slot(schedule: Schedule, now: int) -> int:
    """The start of the slot that `now` is in."""
    if schedule.calendar is not None:
        return slot_at(schedule.calendar, now)
    return now - (now - schedule.jitter_s) % schedule.interval_s


def next_due(schedule: Schedule, now: int) -> int:
    if schedule.calendar is not None:
        return slot_after(schedule.calendar, now)
    return slot(schedule, now) + schedule.interval_s


def jitter_of(unit: UnitRef, interval_s: int, most_s: int) -> int:
    """A constant delay per unit, spread over a tenth of the interval, at most `most_s`."""
    span = min(int(interval_s * MAX_JITTER), most_s)
    if span <= 0:
        return 0
    digest = hashlib.sha256(f"{unit.endpoint_id}\0{unit.unit_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (span + 1)
