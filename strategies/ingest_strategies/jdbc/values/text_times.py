"""Times that a source stores as text: their shape, and arithmetic that keeps the shape."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest_ray.sdk.errors import ConfigError

_STAMP = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:(?P<separator>[ T])(?P<time>\d\d:\d\d(?::\d\d(?:\.(?P<fraction>\d{1,9}))?)?)"
    r"(?P<zone>Z|[+-]00:?00)?)?\Z"
)


@dataclass(frozen=True)
class TimeShape:
    """How one text of a time is written: two texts of one shape in UTC order as they order as text."""

    separator: str = ""
    has_seconds: bool = False
    digits: int = 0
    zone: str = ""

    def write(self, moment: datetime) -> str:
        """The moment (naive: UTC), cut down to the precision of the shape."""
        text = moment.strftime("%Y-%m-%d").rjust(10, "0")
        if not self.separator:
            return text
        text += self.separator + moment.strftime("%H:%M:%S" if self.has_seconds else "%H:%M")
        if self.digits:
            text += "." + f"{moment.microsecond:06d}".ljust(9, "0")[: self.digits]
        return text + self.zone

    @property
    def step(self) -> timedelta:
        """The smallest difference that the shape can show, at least a microsecond."""
        if not self.separator:
            return timedelta(days=1)
        if not self.has_seconds:
            return timedelta(minutes=1)
        return (
            timedelta(microseconds=max(1, 10 ** (6 - self.digits))) if self.digits <= 6 else timedelta(microseconds=1)
        )


def shape_of(text: str) -> TimeShape | None:
    """None: not an ISO 8601 time in UTC or without a zone."""
    match = _STAMP.match(text)
    if match is None or moment_of(text) is None:
        return None
    time = match["time"] or ""
    return TimeShape(match["separator"] or "", time.count(":") == 2, len(match["fraction"] or ""), match["zone"] or "")


def moment_of(text: str) -> datetime | None:
    """The time as naive UTC; digits below a microsecond are cut off."""
    match = _STAMP.match(text)
    if match is None:
        return None
    time = match["time"] or "00:00"
    whole, _, fraction = time.partition(".")
    whole += ":00" if whole.count(":") == 1 else ""
    try:
        return datetime.fromisoformat(f"{match['date']}T{whole}.{fraction.ljust(6, '0')[:6]}")
    except ValueError:
        return None


def now_utc() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def earlier_text(column: str, text: str, span_s: int) -> str:
    """`span_s` seconds before a time written as text, in the same shape."""
    shape, moment = shape_of(text), moment_of(text)
    if shape is None or moment is None:
        raise ConfigError(
            f"field 'lookback': cursor '{column}' holds text that is no ISO 8601 time ('{text[:40]}')",
            hint="a look-back needs a cursor of time or a number",
        )
    floor = datetime.min + timedelta(seconds=span_s)
    return shape.write(moment - timedelta(seconds=span_s) if moment >= floor else datetime.min)
