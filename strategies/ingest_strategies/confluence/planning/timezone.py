"""Finds the time zone in which an instance reads CQL, by questions about content whose instant of change is known.

`id = N and lastmodified >= W` is true up to the local time of N's last change, which two questions prove: true at it, false a quarter of an hour
later. Where the offset that the zones found so far would have is wrong, a binary search over W finds it in nine questions. The offsets on
days of all seasons determine the zone. Metadata collection records the zone, and every run confirms it by one question per sample.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from ingest_ray.sdk.errors import SourceChanged
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.cql import QUARTER_MS, literal
from ingest_strategies.confluence.api.search import DatedContent, count_content, find_newest

EARLIEST, LATEST = -12 * 4, 14 * 4  # offsets on this planet, in quarters of an hour
SEASONS = 6
SETTLED_DAYS = (
    2  # a node of a cluster may search an older index than the others: what changed lately has no certain instant there
)
STEPS_BACK = (0, 7, 14)  # days, where the newest content of a season was changed again since
QUARTER = timedelta(milliseconds=QUARTER_MS)
SLACK_MS = 5 * MINUTE_MS  # the instant in the index is a little later than the one in the content
CONFIRMED = (0, 3)  # seasons: now, and the other half of the year
PREFERRED = ("UTC", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "Australia/Sydney")

Holds = Callable[[str], bool]
"""Whether any content meets a condition."""


def confirm_zone(client: ConfluenceClient, recorded: object, now_ms: int) -> str:
    """The recorded zone where it is still the instance's; else the zone is determined again."""
    holds = _question(client)
    if isinstance(recorded, str) and is_confirmed(recorded, find_samples(client, now_ms, CONFIRMED), holds):
        return recorded
    return find_zone(client, now_ms)


def find_zone(client: ConfluenceClient, now_ms: int) -> str:
    """The zone's name; UTC for an instance without pages, where every zone gives the same answers."""
    holds = _question(client)
    offsets, fault = list[tuple[int, int]](), None
    for sample in find_samples(client, now_ms):
        zone = next(matching_zones(offsets), "UTC")
        expected = _quarters(zone, sample.changed_ms)
        try:
            offsets.append((sample.changed_ms, find_offset(sample, holds, expected)))
        except SourceChanged as error:  # the content may have been changed again meanwhile
            fault = error
    if fault is not None and not offsets:
        raise fault
    name = next(matching_zones(offsets), None)
    if name is None:
        raise SourceChanged(f"search reads times in no known zone: offsets {sorted({q for _, q in offsets})}")
    return name


def _question(client: ConfluenceClient) -> Holds:
    return lambda where: count_content(client, where) > 0


def find_samples(client: ConfluenceClient, now_ms: int, seasons: Sequence[int] = range(SEASONS)) -> list[DatedContent]:
    """Content that was changed last in each season; of a site that has only new content, the newest."""
    samples: dict[str, DatedContent] = {}
    for back in seasons:
        sample = _find_settled(client, now_ms, SETTLED_DAYS + back * 61)
        if sample is not None:
            samples.setdefault(sample.id, sample)
    if not samples and (newest := find_newest(client, "")) is not None:
        return [newest]
    return list(samples.values())


def _find_settled(client: ConfluenceClient, now_ms: int, days: int) -> DatedContent | None:
    """The newest content that was changed at least so many days ago. Days are precise enough for that in any zone."""
    for more in STEPS_BACK:
        day = datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(days=days + more)
        sample = find_newest(client, f'lastmodified < "{day:%Y-%m-%d}"')
        if sample is None or sample.changed_ms < (day.timestamp() + 86_400) * 1000:
            return sample
    return None


def find_offset(sample: DatedContent, holds: Holds, expected: int) -> int:
    """In quarters of an hour. Raises `SourceChanged` where no offset fits: the index then has another instant."""

    def is_at_least(quarters: int) -> bool:
        local_ms = sample.changed_ms + quarters * QUARTER_MS - SLACK_MS
        return holds(f"id = {sample.id} AND lastmodified >= {local_literal(local_ms)}")

    if is_at_least(expected) and not is_at_least(expected + 1):
        return expected
    low, high = EARLIEST, LATEST + 1
    if not is_at_least(low) or is_at_least(high):
        raise SourceChanged(f"content {sample.id} was changed at another time than search says")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_at_least(middle) else (low, middle)
    return low


def local_literal(local_ms: int) -> str:
    return f'"{datetime.fromtimestamp(local_ms / 1000, UTC):%Y-%m-%d %H:%M}"'


@cache
def all_zones() -> tuple[str, ...]:
    return (*PREFERRED, *sorted(available_timezones() - set(PREFERRED)))


def matching_zones(offsets: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Zones that have all of these (instant in ms, offset in quarters of an hour), the preferred ones first."""
    return (name for name in all_zones() if all(_offset(name, ms) == quarters * QUARTER for ms, quarters in offsets))


def _offset(zone: str, ms: int) -> timedelta:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).utcoffset() or timedelta()


def _quarters(zone: str, ms: int) -> int:
    return round(_offset(zone, ms) / QUARTER)


def is_confirmed(name: str, samples: Sequence[DatedContent], holds: Holds) -> bool:
    """True where search finds every sample in its own minutes of this zone."""
    zone = ZoneInfo(name)
    for sample in samples:
        low, high = literal(sample.changed_ms - SLACK_MS, zone), literal(sample.changed_ms + SLACK_MS, zone)
        if not holds(f"id = {sample.id} AND lastmodified >= {low} AND lastmodified < {high}"):
            return False
    return True
