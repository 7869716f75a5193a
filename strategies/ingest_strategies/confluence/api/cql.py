"""CQL conditions. Date-times have minute precision and are read in the zone of the instance, not in the account's.

https://jira.atlassian.com/browse/CONFCLOUD-70966. A wall clock that is turned back shows an hour twice, and one that is put
forward skips one: a boundary that lies there goes back to the last minute before, which means one instant only. So the same
boundary is the same instant wherever it is used, and windows still touch.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ingest_ray.sdk.types import Interval
from ingest_strategies.atlassian.segment_progress import MINUTE_MS, minute

MODIFIED = "lastmodified"
CREATED = "created"
QUARTER_MS = 15 * MINUTE_MS  # no zone of the last fifty years changes its offset off a quarter of an hour
MOST_STEPS = 24  # quarters of an hour: no clock is turned back by more than six hours


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def wall(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms // 1000, zone).replace(tzinfo=None)


def is_plain(ms: int, zone: ZoneInfo) -> bool:
    """The clock on the wall shows this once."""
    shown = wall(ms, zone)
    meanings = {shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return len(meanings) == 1


def speakable(ms: int, zone: ZoneInfo) -> int:
    """The instant itself at its minute, or the last one before it that a wall clock tells without doubt."""
    if is_plain(minute(ms), zone):
        return minute(ms)
    quarter = ms // QUARTER_MS * QUARTER_MS
    for step in range(MOST_STEPS):
        found = quarter - step * QUARTER_MS - MINUTE_MS
        if is_plain(found, zone):
            return found
    return minute(ms)


def literal(ms: int, zone: ZoneInfo) -> str:
    return f'"{wall(speakable(ms, zone), zone):%Y-%m-%d %H:%M}"'


def within(axis: str, interval: Interval, zone: ZoneInfo) -> list[str]:
    conditions = []
    if interval.lower is not None:
        conditions.append(f"{axis} >= {literal(int(interval.lower[0]), zone)}")
    if interval.upper is not None:
        conditions.append(f"{axis} < {literal(int(interval.upper[0]), zone)}")
    return conditions


def of_space(space: str, types: Sequence[str]) -> str:
    return f"space = {quoted(space)} AND type in ({', '.join(types)})"


def window(space: str, types: Sequence[str], axis: str, interval: Interval, zone: ZoneInfo, *more: str) -> str:
    return " AND ".join([of_space(space, types), *within(axis, interval, zone), *more])


def any_of(wheres: Sequence[str]) -> str:
    return " OR ".join(f"({where})" for where in wheres)


def among(ids: Sequence[str]) -> str:
    return f"id in ({', '.join(ids)})"
