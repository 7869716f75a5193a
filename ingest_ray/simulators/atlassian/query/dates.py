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
    lowered = name.lower()
    boundary = re.fullmatch(r"(startof|endof)(day|week|month|year)", lowered)
    if boundary is None:
        shift = period_ms(arguments[0]) if arguments else 0
        return now_ms + shift if shift is not None and lowered in ("now", "currentlogin", "lastlogin") else None
    unit = boundary.group(2)
    today = local(now_ms, zone_name).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    is_own_unit = bool(arguments) and _increment_unit(arguments[0], unit) == _OWN_UNITS[unit]
    moved = _moved(today, arguments[0], unit) if is_own_unit else today
    if moved is None:
        return None
    today = moved
    match unit:
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
    begin = start if boundary.group(1) == "startof" else following
    if arguments and not is_own_unit:
        shifted = _moved(begin, arguments[0], unit)
        if shifted is None:
            return None
        begin = shifted
    offset = _offset_ms(arguments[0], unit) if arguments else 0
    instant = int(begin.replace(tzinfo=zone(zone_name)).timestamp() * 1000)
    return instant + offset - (1 if boundary.group(1) == "endof" else 0)


_INCREMENT = re.compile(r"([+-]?)\s*(\d+)\s*([wdhmMy]?)$")


_OWN_UNITS = {"day": "d", "week": "w", "month": "M", "year": "y"}


def _increment_unit(text: str, unit: str) -> str | None:
    match = _INCREMENT.fullmatch(text.strip())
    return match and (match[3] or _OWN_UNITS[unit])


def _moved(day: datetime, text: str, unit: str) -> datetime | None:
    """`startOfDay(-1)` is yesterday, `startOfMonth("-1")` the first of last month, `startOfMonth("-1d")` the day before the first of this
    one. None: no such increment.

    https://support.atlassian.com/jira-software-cloud/docs/jql-functions/: the default unit is the function's own.
    """
    match = _INCREMENT.fullmatch(text.strip())
    if match is None:
        return None
    number = int(match[2]) * (-1 if match[1] == "-" else 1)
    try:
        match match[3] or _OWN_UNITS[unit]:
            case "d":
                return day + timedelta(days=number)
            case "w":
                return day + timedelta(days=7 * number)
            case "M":
                months = day.year * 12 + day.month - 1 + number
                return day.replace(year=months // 12, month=months % 12 + 1, day=min(day.day, 28))
            case "y":
                return day.replace(year=day.year + number, day=min(day.day, 28))
            case _:
                return day  # hours and minutes are added to the boundary
    except (ValueError, OverflowError):
        return None


def _offset_ms(text: str, unit: str) -> int:
    """Hours and minutes of an increment."""
    match = _INCREMENT.fullmatch(text.strip())
    if match is None or match[3] not in ("h", "m"):
        return 0
    return int(match[2]) * _UNITS[match[3]] * (-1 if match[1] == "-" else 1)
