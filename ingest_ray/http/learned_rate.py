"""What a throttle has learnt of a limit, as plain data: processes that share the limit exchange it, and later runs begin with it.

Moments are seconds before (negative) or after the moment of writing, because processes share no monotonic clock. None: never.
"""

from dataclasses import dataclass

from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.sdk.types import Model


class LearnedLimit(Model):
    """Of `LimitEstimate`. `runs`: served, seconds and seconds of pause of each."""

    runs: tuple[tuple[float, float, float], ...] = ()
    steady_rate: float | None = None
    is_rough: bool = False
    accepted_rate: float | None = None
    refused_at: float | None = None
    served: float = 0.0
    pause_s: float = 0.0
    idle_s: float = 0.0
    is_tried: bool = False


class LearnedRate(Model):
    """Of `Aimd`: rates in requests per second."""

    rate: float
    concurrency: int
    decreases: int = 0
    advertised: float | None = None
    reason: str | None = None
    refused_rate: float | None = None
    pauses: int = 0
    is_known: bool = False
    is_answered: bool = False
    was_overloaded: bool = False
    paused_until: float | None = None
    decreased_at: float | None = None
    grown_at: float | None = None
    held_until: float | None = None
    limit: LearnedLimit = LearnedLimit()


@dataclass(frozen=True)
class Outcome:
    """What one answer teaches. `decreases`: how many decreases of the rate its permit knew of; None: of an unknown permit.

    `idle_s`: how long nothing waited for the rate since the outcome before, as a part of the whole limit.
    """

    signal: Signal
    at: float
    decreases: int | None
    wants_rate: bool = False
    wants_concurrency: bool = False
    idle_s: float = 0.0


def relative(moment: float, now: float) -> float | None:
    return None if moment == float("-inf") else round(moment - now, 3)


def absolute(moment: float | None, now: float) -> float:
    return float("-inf") if moment is None else now + moment
