"""The request rate and concurrency that a server accepts: additive increase, multiplicative decrease.

Pure: time is an argument, in seconds of any clock that only goes forward. A permit is a moment at which one request may be
sent. Moments are granted ahead, evenly spaced, so that permits can be leased in batches by processes that share no clock: a
lease gives the seconds to wait, not a time.

* Until the first answer, and after a refusal, only a few requests are sent. An advertised rate is used, less a margin; otherwise the rate
  doubles each second until the first refusal.
* A refusal (429, 503) stops all permits for the requested time, or for 2 s doubling to 30 s, once for all requests that were sent
  before it took effect. The first one halves the rate, which then climbs quickly to nine tenths of where it was refused, and slowly beyond.
* From the second one on the limit is known from what was served in between (`LimitEstimate`): the rate stays just below it for a while that
  is long against the pause, and then tries slowly whether the limit is higher.
* An overloaded server (503) halves rate and concurrency.
* A permit that is never reported is returned after `lease_s`.
"""

from dataclasses import dataclass, field

from ingest_ray.http.limit_estimate import BUCKET_S, LimitEstimate
from ingest_ray.http.quota import Quota
from ingest_ray.http.rate_limit_headers import Signal

FAR_BEYOND = 2.0  # of a refused rate


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


@dataclass
class Aimd:
    bounds: Bounds = field(default_factory=Bounds)
    rate: float = 0.0
    concurrency: int = 0
    requests: int = 0
    refusals: int = 0
    failures: int = 0
    advertised: float | None = None
    reason: str | None = None

    _leases: dict[int, float] = field(default_factory=dict)
    _count: int = 0
    _next_at: float = float("-inf")
    _paused_until: float = float("-inf")
    _decreased_at: float = float("-inf")
    _grown_at: float = float("-inf")
    _refused_rate: float | None = None
    _pauses: int = 0
    _held_until: float = float("-inf")
    _is_known: bool = False
    _is_answered: bool = False
    _was_overloaded: bool = False
    _estimate: LimitEstimate = field(default_factory=LimitEstimate)
    _wanted_more_rate: bool = False
    _wanted_more_concurrency: bool = False

    def __post_init__(self) -> None:
        self.rate = self.rate or self.bounds.first_rate
        self.concurrency = self.concurrency or self.bounds.first_concurrency

    def grant(self, wanted: int, now: float) -> Grant:
        """Grants up to `wanted` permits. No permit is granted twice."""
        self._forget_lost(now)
        free = self._free(now)
        if free <= 0:
            self._wanted_more_concurrency |= self._next_at <= now
            return Grant(retry_s=min(0.25, max(0.005, 1 / self.rate)), is_crowded=True)
        start = max(self._next_at, now - self.bounds.burst_s, self._paused_until)
        if start > now + self.bounds.ahead_s:
            return Grant(retry_s=start - now - self.bounds.ahead_s / 2)
        waited_from = max(self._next_at, self._paused_until)
        if start > waited_from > float("-inf"):
            self._estimate.idle(start - waited_from)
        spacing_s = 1 / self.rate
        fitting = 1 + int((now + self.bounds.ahead_s - start) / spacing_s)
        count = max(1, min(wanted, free, fitting))
        self._wanted_more_rate |= start + (count - 1) * spacing_s > now
        self._wanted_more_concurrency |= wanted > free
        self._next_at = start + count * spacing_s
        first, self._count = self._count, self._count + count
        for number in range(first, first + count):
            self._leases[number] = now
        return Grant(first, tuple(max(0.0, start + index * spacing_s - now) for index in range(count)))

    def report(self, permit: int, signal: Signal, now: float) -> None:
        """Reports the outcome of a permit. An unknown permit (reported twice, lost, of a dead throttle) changes no count."""
        granted_at = self._leases.pop(permit, None)
        if granted_at is not None:
            self.requests += 1
            self.failures += signal.is_failed
            self.refusals += signal.is_refused
        self.reason = signal.reason or self.reason
        if signal.rate is not None:
            self._take_advertised(signal.rate)
        if signal.is_refused:
            self._refused(signal, granted_at, now)
            return
        self._is_answered = True
        if signal.wait_s:
            self._paused_until = max(self._paused_until, now + signal.wait_s)
        if not signal.is_failed:
            self._pauses = 0
            self._estimate.count_served()
            self._grow(now)

    def release(self, permit: int) -> None:
        """Returns an unused permit."""
        self._leases.pop(permit, None)

    def return_refused(self, permit: int) -> None:
        """Returns a permit whose request was refused for another reason than its rate."""
        if self._leases.pop(permit, None) is not None:
            self.requests += 1
            self.refusals += 1

    def state(
        self, host: str, endpoint_class: str, now: float, quota: Quota | None = None, quota_wait_s: float = 0.0
    ) -> State:
        self._forget_lost(now)
        quota = quota or Quota()
        return State(
            host=host,
            endpoint_class=endpoint_class,
            rate=round(self.rate, 3),
            concurrency=self.concurrency,
            in_flight=len(self._leases),
            requests=self.requests,
            refusals=self.refusals,
            failures=self.failures,
            paused_s=round(max(0.0, self._paused_until - now), 3),
            advertised_rate=self.advertised,
            reason=quota.reason if quota_wait_s else self.reason,
            quota_limit=quota.limit,
            quota_left=quota.left,
            quota_wait_s=round(quota_wait_s, 3),
            quota_refusals=quota.refusals,
        )

    @property
    def ceiling(self) -> float:
        if self.advertised is None:
            return self.bounds.most_rate
        return min(self.bounds.most_rate, self.advertised * self.bounds.margin)

    def _take_advertised(self, rate: float) -> None:
        """Applies an advertised rate; without an earlier refusal, immediately."""
        is_news = rate != self.advertised
        self.advertised = rate
        self.rate = min(self.rate, self.ceiling)
        if is_news and self._refused_rate is None:
            self.rate = self.ceiling

    def _free(self, now: float) -> int:
        free = self.concurrency - len(self._leases)
        if self._is_answered:
            return free
        recent = sum(granted_at > now - self.bounds.unknown_s for granted_at in self._leases.values())
        return min(free, self.bounds.unknown_concurrency - recent)

    def _refused(self, signal: Signal, granted_at: float | None, now: float) -> None:
        is_new = granted_at is not None and granted_at > self._decreased_at
        self._pauses += is_new
        pause_s = signal.wait_s
        if pause_s is None:
            pause_s = min(self.bounds.most_pause_s, self.bounds.first_pause_s * 2 ** (max(1, self._pauses) - 1))
        self._paused_until = max(self._paused_until, now + pause_s)
        if is_new:
            self._decrease(now, is_overloaded=signal.is_failed)
            empty_s = max(1 / self.rate, min(BUCKET_S, 2 / self.rate) if self._is_known else 0.0)
            # The bucket is empty, and moments that were granted before empty it further.
            self._next_at = max(self._next_at, now + empty_s)
        self._estimate.pause(self._paused_until - self._decreased_at)
        lost_s = max(0.0, self._paused_until - self._decreased_at - BUCKET_S)
        hold_s = 0.0 if self._estimate.is_rough else self.bounds.hold_per_pause * lost_s
        hold_s = max(hold_s, self.bounds.hold_requests / self.rate, self.bounds.hold_s)
        self._held_until = self._decreased_at + min(hold_s, self.bounds.most_hold_s)

    def _decrease(self, now: float, *, is_overloaded: bool) -> None:
        self._decreased_at = self._grown_at = now
        self._is_answered = False
        known = None if is_overloaded else self._estimate.refuse(self.rate, now)
        if is_overloaded:
            self._was_overloaded = True
            self._estimate.forget()
            self.concurrency = max(1, self.concurrency // 2)
        self._is_known = known is not None
        self._refused_rate = self.rate if known is None else known
        self.rate = max(self.bounds.least_rate, self.rate / 2 if known is None else known)

    def _grow(self, now: float) -> None:
        """Raises the limit that was reached, by at most one second's worth."""
        passed_s = min(1.0, now - max(self._grown_at, self._paused_until))
        if passed_s < 0.1:
            return
        self._grown_at = now
        if self._wanted_more_rate and not (self._is_known and now < self._held_until):
            self._grow_rate(passed_s)
        if self._wanted_more_concurrency:
            grown = self.concurrency + 1 if self._was_overloaded else self.concurrency * 3 // 2 + 1
            self.concurrency = min(self.bounds.most_concurrency, grown)
        self._wanted_more_rate = self._wanted_more_concurrency = False

    def _grow_rate(self, passed_s: float) -> None:
        """Quickly to below where the last refusal was, and slowly around it; far beyond it, quicker again: the limit has risen."""
        quick, growth = self.bounds.most_rate, self.bounds.growth
        if self._is_known:
            assert self._refused_rate is not None
            self._estimate.raise_rate(self.rate)
            quick = 0.0
            growth = 2 * self.bounds.probe_growth if self._estimate.is_rough else self.bounds.probe_growth
            if self.rate > FAR_BEYOND * self._refused_rate:
                growth = self.bounds.far_growth
        elif self._refused_rate is not None:
            quick = 0.9 * self._refused_rate
        self.rate = min(self.ceiling, max(min(quick, self.rate * 2**passed_s), self.rate * (1 + growth * passed_s)))

    def _forget_lost(self, now: float) -> None:
        """Removes leases that expired; they are in the order of their time."""
        while self._leases:
            permit, granted_at = next(iter(self._leases.items()))
            if granted_at > now - self.bounds.lease_s:
                return
            del self._leases[permit]
