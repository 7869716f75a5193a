"""The dates of JQL and CQL: local times of minute precision, periods, and the functions that return an instant."""

import re
from datetime import datetime, timedelta

from ingest_ray.simulators.atlassian.content.clock import DAY_MS, HOUR_MS, MINUTE_MS, local, local_ms, zone

_WALL = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2}))?$")
_PERIOD = re.compile(r"([+-]?)\s*(?:\d+\s*[wdhmMy]\s*)+$")
_PART = re.compile(r"(\d+)\s*([wdhmMy])")
_UNITS = {"w": 7 * DAY_MS, "d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "y": 365 * DAY_MS, "M": 30 * DAY_MS}


class NonexistentLocalTime(ValueError):
    """The local time does not exist in its zone: the clock skips it."""


def wall_ms(text: str, zone_name: str) -> int | None:
    """The instant of `yyyy-MM-dd HH:mm` (or with slashes, or the date only); None for any other text."""
    match = _WALL.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute = (int(x or 0) for x in match.groups())
    try:
        moment = datetime(year, month, day, hour, minute)
    except ValueError:
        return None
    instant = local_ms(moment, zone_name)
    if instant is None:
        raise NonexistentLocalTime(text)
    return instant


def period_ms(text: str) -> int | None:
    """`-1d`, `4w 2d`, `+30m`: milliseconds; `m` are minutes."""
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        return None
    total = sum(int(n) * _UNITS[unit] for n, unit in _PART.findall(text))
    return -total if match.group(1) == "-" else total


def function_ms(name: str, arguments: tuple[str, ...], now_ms: int, zone_name: str) -> int | None:
    """now(), currentLogin(), startOfDay() ... endOfYear(), each with an optional period like `"-1d"`; else None."""
    shift = period_ms(arguments[0]) if arguments else 0
    if shift is None:
        return None
    lowered = name.lower()
    if lowered in ("now", "currentlogin", "lastlogin"):
        return now_ms + shift
    boundary = re.fullmatch(r"(startof|endof)(day|week|month|year)", lowered)
    if boundary is None:
        return None
    today = local(now_ms, zone_name).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    match boundary.group(2):
        case "day":
            start, following = today, today + timedelta(days=1)
        case "week":  # weeks begin on Sunday by default
            start = today - timedelta(days=(today.weekday() + 1) % 7)
            following = start + timedelta(days=7)
        case "month":
            start = today.replace(day=1)
            following = (start + timedelta(days=32)).replace(day=1)
        case _:
            start = today.replace(month=1, day=1)
            following = start.replace(year=start.year + 1)
    if arguments and not arguments[0].strip()[-1].isdecimal():
        moved = shift
    else:
        moved = 0
    begin = start if boundary.group(1) == "startof" else following
    instant = int(begin.replace(tzinfo=zone(zone_name)).timestamp() * 1000)
    return instant + moved - (1 if boundary.group(1) == "endof" else 0)
