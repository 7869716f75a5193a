"""What a throttle grants, within which bounds, and what it shows of itself. Plain data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Rates are in requests per second. Atlassian recommends 5 to 10 requests at once; slow answers need more."""

    first_rate: float = 50.0
    least_rate: float = 0.2
    most_rate: float = 200.0
    first_concurrency: int = 12
    most_concurrency: int = 48
    margin: float = 0.98  # of an advertised rate: the clocks differ a little
    burst_s: float = 0.5  # unused permits may be used this much later: limits are buckets of a second
    ahead_s: float = 1.0  # moments are granted at most this far ahead, so that a refusal takes effect soon
    lease_s: float = 180.0  # longer than the slowest response
    first_pause_s: float = 2.0
    most_pause_s: float = 30.0
    growth: float = 0.02  # of the rate, per second, near the rate of the last refusal
    probe_growth: float = 0.005  # the same, where the limit is known
    far_growth: float = 0.2  # the same, far beyond the rate of the last refusal
    hold_s: float = 30.0  # at a known limit, before a higher rate is tried
    hold_requests: float = 80.0
    most_hold_s: float = 900.0
    hold_per_pause: float = 60.0  # the same, for each second that a refusal costs: it shall cost a sixtieth
    unknown_concurrency: int = 4  # before an answer, which may name the limit, or refuse again
    unknown_s: float = 10.0  # after so long without an answer, more may be sent: a reader that died reports none


@dataclass(frozen=True)
class Grant:
    """Permits `first` to `first + len(waits_s) - 1`, and the seconds to wait before each. Without any: request permits again after
    `retry_s`, or, where it `is_crowded`, as soon as a request under way is reported. `is_quota`: until the site's quota is filled again."""

    first: int = 0
    waits_s: tuple[float, ...] = ()
    retry_s: float = 0.0
    is_quota: bool = False
    is_crowded: bool = False


@dataclass(frozen=True)
class State:
    """The state of a throttle for display and metrics."""

    host: str
    endpoint_class: str
    rate: float
    concurrency: int
    in_flight: int
    requests: int
    refusals: int
    failures: int
    paused_s: float = 0.0
    advertised_rate: float | None = None
    reason: str | None = None
    quota_limit: int | None = None
    quota_left: int | None = None
    quota_wait_s: float = 0.0
    """Seconds until a quota of which nothing is left is filled again; 0.0: something is left."""
    quota_refusals: int = 0
