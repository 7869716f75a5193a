"""Builds CQL conditions. Date-times have minute precision, and Confluence reads them in the instance's zone, not the account's.

https://jira.atlassian.com/browse/CONFCLOUD-70966. When clocks are turned back an hour occurs twice, and when they are put forward one
is skipped: a boundary in such an hour moves back to the last unambiguous minute before it. So the same boundary is the same instant in
every condition, and windows still touch.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from ingest_ray.sdk.types import Interval
from ingest_strategies.atlassian.query_text import quoted
from ingest_strategies.atlassian.segment_progress import MINUTE_MS, whole_minute

MODIFIED = "lastmodified"
CREATED = "created"
QUARTER_MS = 15 * MINUTE_MS  # no zone of the last fifty years changes its offset off a quarter of an hour
MOST_SIGNS = 2_000  # of a list of keys in an address: servers take 8 KiB of address and headers, some proxies 4
MOST_STEPS = 24  # quarters of an hour: no clock is turned back by more than six hours


def local_time(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms // 1000, zone).replace(tzinfo=None)


def is_unambiguous(ms: int, zone: ZoneInfo) -> bool:
    """True where the local time of this instant means no other instant."""
    local = local_time(ms, zone)
    instants = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return len(instants) == 1


def unambiguous_minute(ms: int, zone: ZoneInfo) -> int:
    """The instant's own minute, or the last unambiguous one before it."""
    if is_unambiguous(whole_minute(ms), zone):
        return whole_minute(ms)
    quarter = ms // QUARTER_MS * QUARTER_MS
    for step in range(MOST_STEPS):
        candidate = quarter - step * QUARTER_MS - MINUTE_MS
        if is_unambiguous(candidate, zone):
            return candidate
    return whole_minute(ms)


def literal(ms: int, zone: ZoneInfo) -> str:
    return f'"{local_time(unambiguous_minute(ms, zone), zone):%Y-%m-%d %H:%M}"'


def modified_since(ms: int, zone: ZoneInfo) -> str:
    return f"{MODIFIED} >= {literal(ms, zone)}"


def interval_conditions(axis: str, interval: Interval, zone: ZoneInfo) -> list[str]:
    conditions = []
    if interval.lower is not None:
        conditions.append(f"{axis} >= {literal(int(interval.lower[0]), zone)}")
    if interval.upper is not None:
        conditions.append(f"{axis} < {literal(int(interval.upper[0]), zone)}")
    return conditions


def in_space(space: str, types: Sequence[str]) -> str:
    return f"space = {quoted(space)} AND type in ({', '.join(types)})"


def in_spaces(spaces: Sequence[str], types: Sequence[str]) -> str:
    return f"space in ({', '.join(map(quoted, spaces))}) AND type in ({', '.join(types)})"


def groups_of_spaces(spaces: Sequence[str]) -> Iterator[list[str]]:
    """The keys in parts that fit the address of one request each. Keys of personal spaces are long."""
    group: list[str] = []
    signs = 0
    for space in spaces:
        length = len(quote(quoted(space), safe="")) + 6  # and a comma with a blank
        if group and signs + length > MOST_SIGNS:
            yield group
            group, signs = [], 0
        group.append(space)
        signs += length
    if group:
        yield group


def window(space: str, types: Sequence[str], axis: str, interval: Interval, zone: ZoneInfo, *more: str) -> str:
    return " AND ".join([in_space(space, types), *interval_conditions(axis, interval, zone), *more])


def with_ids(ids: Sequence[str]) -> str:
    return f"id in ({', '.join(ids)})"
