"""The instants at which a calendar schedule is due. Pure: times are arguments, in seconds since 1970.

Times of an expression are those of a clock on the wall in its zone.

    a time that the zone leaves out        is due once, at the first instant after the gap
    a time that the zone has twice         is due at its first occurrence
    an expression of every hour            is due by elapsed time: also in an hour that is repeated

Cron of Debian does the same: https://manpages.debian.org/bookworm/cron/cron.8.en.html#DESCRIPTION
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from ingest_ray.sdk.types.schedule import CronSchedule, parse_cron

EVERY_HOUR = frozenset(range(24))
WIDEST_SHIFT = timedelta(hours=26)  # Samoa left out a whole day; clocks are moved by less than this
MINUTE_S = 60


def slot_at(schedule: CronSchedule, now: int) -> int:
    """The last instant at or before `now` at which the schedule was due."""
    return _slot_of_minute(schedule.cron, schedule.zone, now - now % MINUTE_S)


def slot_after(schedule: CronSchedule, now: int) -> int:
    """The first instant after `now` at which the schedule is due."""
    return _slot_after_minute(schedule.cron, schedule.zone, now - now % MINUTE_S)


@lru_cache(maxsize=4096)  # the units of a rule have one expression, and are looked at every few seconds
def _slot_of_minute(cron: str, zone: str, minute: int) -> int:
    return next(found for found in _instants(cron, zone, minute + MINUTE_S, is_reverse=True) if found <= minute)


@lru_cache(maxsize=4096)
def _slot_after_minute(cron: str, zone: str, minute: int) -> int:
    return next(found for found in _instants(cron, zone, minute, is_reverse=False) if found > minute)


def _instants(cron: str, zone: str, near: int, *, is_reverse: bool) -> Iterator[int]:
    """The instants of the schedule in their order, from before (`is_reverse`: after) `near`; one instant may come twice."""
    there = ZoneInfo(zone)
    moment = datetime.fromtimestamp(near, UTC).astimezone(there)
    if parse_cron(cron).hours == EVERY_HOUR:
        minutes, _, *days = cron.split()
        for found in CronSim(" ".join((minutes, "*", *days)), moment, reverse=is_reverse):
            yield int(found.timestamp())
        return
    wall = moment.replace(tzinfo=None)
    begin = wall + WIDEST_SHIFT if is_reverse else wall - WIDEST_SHIFT
    for found in CronSim(cron, begin, reverse=is_reverse):
        yield instant_of(found, there)


def instant_of(wall: datetime, zone: tzinfo) -> int:
    """The first instant at which the zone's clocks show `wall`; where they never do, the first one after the gap."""
    first = wall.replace(tzinfo=zone, fold=0)
    instant = int(first.timestamp())
    if datetime.fromtimestamp(instant, zone).replace(tzinfo=None) == wall:
        return instant
    before, after = first.utcoffset(), wall.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    low, high = instant - int((after - before).total_seconds()), instant  # the gap begins between them
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle + 1
        else:
            high = middle
    return low


class Gap(NamedTuple):
    """Times that a zone's clocks do not show: from `begin` up to `end`, which they show first."""

    begin: datetime
    end: datetime


@lru_cache(maxsize=64)
def gaps_of(zone: str, first_year: int, last_year: int) -> tuple[Gap, ...]:
    """The gaps of whole years, the last one included."""
    there = ZoneInfo(zone)
    day = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    found = []
    while day < end:
        before, after = _offset_s(there, day), _offset_s(there, day + 86_400)
        if after > before:
            low, high = day, day + 86_400
            while low < high:
                middle = (low + high) // 2
                low, high = (middle + 1, high) if _offset_s(there, middle) == before else (low, middle)
            walls = [datetime.fromtimestamp(low + offset, UTC).replace(tzinfo=None) for offset in (before, after)]
            found.append(Gap(*walls))
        day += 86_400
    return tuple(found)


def is_due_within(schedule: CronSchedule, gap: Gap) -> bool:
    """Whether a time of the schedule is one that the zone leaves out."""
    return next(CronSim(schedule.cron, gap.begin - timedelta(seconds=1))) < gap.end


def _offset_s(zone: tzinfo, instant: int) -> int:
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
