"""When an incident begins, and when it is over: once per incident, whatever a condition does in between. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

FLAPPING_OPENINGS = (
    3  # so many within an hour, and the incident stays open until its condition was absent for that hour
)
CALM = timedelta(hours=1)
RUNS_KEPT = 50  # a run is counted once, although runs that ended are read again for late records


class Opening(NamedTuple):
    """What is known of an incident, before and after an observation."""

    is_open: bool = False
    openings: tuple[datetime, ...] = ()
    absent_since: datetime | None = None


class Step(NamedTuple):
    after: Opening
    begins: bool = False
    ends: bool = False


def step(before: Opening, is_present: bool, now: datetime) -> Step:
    recent = tuple(at for at in before.openings if now - at < CALM)
    if is_present:
        if before.is_open:
            return Step(Opening(True, before.openings, None))
        return Step(Opening(True, (*recent, now), None), begins=True)
    if not before.is_open:
        return Step(Opening(False, recent, None))
    since = before.absent_since or now
    if is_flapping(before.openings, now) and now - since < CALM:
        return Step(Opening(True, before.openings, since))
    return Step(Opening(False, recent, None), ends=True)


def is_flapping(openings: Sequence[datetime], now: datetime) -> bool:
    """Three openings, each within an hour of the next one, the last of them still recent enough."""
    last = openings[-FLAPPING_OPENINGS:]
    return len(last) == FLAPPING_OPENINGS and last[-1] - last[0] < CALM and now - last[-1] < 24 * CALM
