"""The simulator's clock: starts at a fixed instant, runs with the machine, and can be advanced.

All instants are epoch milliseconds. The simulator uses the machine's clock only for the seconds since its start: the content
of one seed is the same on every day.
"""

import time
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

START_MS = int(datetime(2026, 3, 2, 9, 30, tzinfo=UTC).timestamp() * 1000)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
QUARTER_MS = 15 * MINUTE_MS  # in the last fifty years every zone changed its offset on a quarter of an hour


class Clock:
    """The time of the simulated server, in milliseconds since the epoch. `speed`: its seconds per second."""

    def __init__(self, start_ms: int = START_MS, *, frozen: bool = False, speed: float = 1.0) -> None:
        self._origin_ms = start_ms
        self._started_s = time.monotonic()
        self.frozen = frozen
        self.speed = speed

    def elapsed_s(self) -> float:
        """Simulated seconds since the start, without advances; also of a clock that stands still."""
        return (time.monotonic() - self._started_s) * self.speed

    def now(self) -> int:
        passed = 0 if self.frozen else int(self.elapsed_s() * 1000)
        return self._origin_ms + passed

    def advance(self, seconds: float) -> int:
        self._origin_ms += int(seconds * 1000)
        return self.now()


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=20_000)
def _offset_s(name: str, quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * QUARTER_MS // 1000, zone(name))
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@lru_cache(maxsize=20_000)
def _day_offset_s(name: str, day: int) -> int | None:
    """The offset of a whole UTC day; None on the few days on which it changes."""
    quarters = range(day * 96, day * 96 + 96)
    first = _offset_s(name, quarters[0])
    return (
        first
        if all(_offset_s(name, q) == first for q in quarters[::8]) and _offset_s(name, quarters[-1]) == first
        else None
    )


@lru_cache(maxsize=20_000)
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


@cache
def _times() -> list[str]:
    """The text of every second of a day; cached, because an issue shows eight instants and a site thousands of issues a second."""
    return [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(86_400)]


_MILLIS = tuple(f".{n:03}" for n in range(1000))


@lru_cache(maxsize=512)
def _sign(offset_s: int, colon: bool) -> str:
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    return f"{'-' if offset_s < 0 else '+'}{hours:02}{':' if colon else ''}{minutes:02}"


def spell(ms: int, name: str, *, colon: bool = False) -> str:
    """`2026-09-18T10:11:12.345+0900`: Jira's form of an instant, in the zone of the requesting account."""
    offset_s = _day_offset_s(name, ms // DAY_MS)
    if offset_s is None:
        offset_s = _offset_s(name, ms // QUARTER_MS)
    day, rest = divmod(ms + offset_s * 1000, DAY_MS)
    return f"{_day(day)}T{_times()[rest // 1000]}{_MILLIS[rest % 1000]}{_sign(offset_s, colon)}"


def spell_utc(ms: int) -> str:
    """`2026-09-18T10:11:12.345Z`: Confluence Cloud's form of an instant."""
    day, rest = divmod(ms, DAY_MS)
    return f"{_day(day)}T{_times()[rest // 1000]}{_MILLIS[rest % 1000]}Z"


def spell_day(ms: int) -> str:
    return _day(ms // DAY_MS)


def local_ms(moment: datetime, name: str) -> int | None:
    """The instant of a local time in a zone: the earlier one where the time occurs twice, None where it does not exist."""
    aware = moment.replace(tzinfo=zone(name), fold=0)
    instant = aware.timestamp()
    if datetime.fromtimestamp(instant, zone(name)).replace(tzinfo=None) != moment:
        return None
    return int(instant * 1000)


def local(ms: int, name: str) -> datetime:
    return datetime.fromtimestamp(ms / 1000, zone(name))
