"""Which zone an instance reads CQL in: found by asking about content whose instant is known, never assumed.

`id = N and lastmodified >= W` is true up to the wall time of N's last change. Halving W finds that in seven questions, and with
it the offset on that day; asked for days of all seasons, the offsets tell the zone. The answer is remembered with the datasets and
proved again, by one question per season, before every run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from ingest_ray.sdk.errors import SourceChanged
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.confluence.api.cql import QUARTER_MS, literal

EARLIEST, LATEST = -12 * 4, 14 * 4  # offsets on this planet, in quarters of an hour
SEASONS = 6
SLACK_MS = 5 * MINUTE_MS  # search knows an instant that is a little later than the one that the content shows
PROVED = (0, 3)  # now, and the other half of the year
PREFERRED = ("UTC", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "Australia/Sydney")


@dataclass(frozen=True)
class Sample:
    """One thing that search knows, and when it was last changed."""

    id: str
    changed_ms: int


Find = Callable[[str], Sample | None]
"""The newest content that a condition holds for."""
Holds = Callable[[str], bool]


def samples(find: Find, now_ms: int, seasons: Sequence[int] = range(SEASONS)) -> list[Sample]:
    """Days are sure enough to tell seasons apart, whatever the zone is."""
    found: dict[str, Sample] = {}
    for back in seasons:
        day = datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(days=back * 61)
        sample = find(f'lastmodified < "{day:%Y-%m-%d}"' if back else "")
        if sample is not None:
            found.setdefault(sample.id, sample)
    return list(found.values())


def text_of(wall_ms: int) -> str:
    return f'"{datetime.fromtimestamp(wall_ms / 1000, UTC):%Y-%m-%d %H:%M}"'


def offset_of(sample: Sample, holds: Holds) -> int:
    """In quarters of an hour. Raises `SourceChanged` where no offset fits: search then knows another instant."""

    def is_at_least(quarters: int) -> bool:
        wall_ms = sample.changed_ms + quarters * QUARTER_MS - SLACK_MS
        return holds(f"id = {sample.id} AND lastmodified >= {text_of(wall_ms)}")

    low, high = EARLIEST, LATEST + 1
    if not is_at_least(low) or is_at_least(high):
        raise SourceChanged(f"content {sample.id} was changed at another time than search says")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_at_least(middle) else (low, middle)
    return low


@cache
def zones() -> tuple[str, ...]:
    return (*PREFERRED, *sorted(available_timezones() - set(PREFERRED)))


def fitting(offsets: Sequence[tuple[int, int]]) -> list[str]:
    """Zones with all of these (instant in ms, quarters)."""
    return [
        name
        for name in zones()
        if all(
            datetime.fromtimestamp(ms / 1000, ZoneInfo(name)).utcoffset() == timedelta(minutes=15 * quarters)
            for ms, quarters in offsets
        )
    ]


def calibrated(find: Find, holds: Holds, now_ms: int) -> str:
    """The name of the zone; UTC where there is nothing to ask about, and so nothing to be missed."""
    offsets, doubt = [], None
    for sample in samples(find, now_ms):
        try:
            offsets.append((sample.changed_ms, offset_of(sample, holds)))
        except SourceChanged as error:  # it may have been changed again meanwhile
            doubt = error
    if doubt is not None and not offsets:
        raise doubt
    names = fitting(offsets)
    if not names:
        raise SourceChanged(f"search reads times in no zone that is known: offsets {sorted({q for _, q in offsets})}")
    return names[0]


def is_proved(name: str, known: Sequence[Sample], holds: Holds) -> bool:
    """Every sample is found in its own minutes, and not before."""
    zone = ZoneInfo(name)
    for sample in known:
        low, high = literal(sample.changed_ms - SLACK_MS, zone), literal(sample.changed_ms + SLACK_MS, zone)
        if not holds(f"id = {sample.id} AND lastmodified >= {low} AND lastmodified < {high}"):
            return False
    return True
