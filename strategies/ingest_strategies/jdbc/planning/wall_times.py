"""A bound for wall times of an unknown zone, taken from the newest row.

Zones differ from UTC by multiples of a quarter of an hour, from 12 hours behind to 14 hours ahead of it, and on some days some set
their clocks back. https://data.iana.org/time-zones/tz-link.html
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from math import ceil
from zoneinfo import ZoneInfo, available_timezones

MOST_SET_BACK = timedelta(hours=3)  # of a change of clocks; the date line was only ever moved by whole days
WESTERNMOST = timedelta(hours=12)
EASTERNMOST = timedelta(hours=14)
QUARTER = timedelta(minutes=15)


def latest_wall_time(clock: datetime) -> datetime:
    """The latest wall time that a clock shows now in any zone: a later row was not written by a clock."""
    return clock.astimezone(UTC).replace(tzinfo=None) + EASTERNMOST


def earliest_wall_time(newest: datetime, clock: datetime, lag: timedelta, tick: timedelta) -> datetime:
    """The earliest wall time that a row can have which is written from now on, or was up to `lag` ago and is not visible yet.

    `newest`: the greatest visible one that is not above `latest_wall_time`; `clock`: the time now, with its zone; `tick`: the
    smallest difference of stored times, zero where the next row may tie with the newest. The rows are of one zone, in which it is
    not earlier now than the newest of them.
    """
    since = clock.astimezone(UTC).replace(tzinfo=None) - lag
    ahead = newest - tick - lag - (since + lag)  # at least: its clock may be ahead by as much as others are late
    offset = ceil(ahead / QUARTER) * QUARTER
    return min(newest + tick, since + offset) - most_set_back(clock - lag, clock)


@cache
def _zones() -> tuple[ZoneInfo, ...]:
    return tuple(ZoneInfo(name) for name in sorted(available_timezones()))


def most_set_back(since: datetime, until: datetime) -> timedelta:
    """The most that clocks of any zone are set back by, at a change that is less than that before `since` or after `until`.

    Only then can a row that is written from `since` on have an earlier wall time than one that was written until `until`. On most
    days it is zero.
    """
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    most = timedelta()
    for zone in _zones():
        change = _offset(zone, since - MOST_SET_BACK) - _offset(zone, until + MOST_SET_BACK)
        if change > most and _offset(zone, since - change) > _offset(zone, until + change):
            most = change
    return most


def most_set_forward(since: datetime, until: datetime) -> timedelta:
    """The most that clocks of any zone are set forward by from `since` to `until`."""
    return max(timedelta(), *(_offset(zone, until) - _offset(zone, since) for zone in _zones()))


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
