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
* An overloaded server (503) halves rate and concurrency. A permit that is never reported is returned after `lease_s`.

Several processes share a limit: each grants its `share` of the rate, and passes its outcomes on (`record`). All outcomes together are
learnt from in one place, as if one process had sent all requests (`adopt`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest_ray.http.grants import Bounds, Grant, State
from ingest_ray.http.learned_rate import LearnedRate, Outcome, absolute, relative
from ingest_ray.http.limit_estimate import BUCKET_S, LimitEstimate
from ingest_ray.http.quota import Quota
from ingest_ray.http.rate_limit_headers import Signal

__all__ = ["Aimd", "Bounds", "Grant", "State"]

FAR_BEYOND = 2.0  # of a refused rate


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
    share: float = 1.0
    """The part of rate and concurrency that this process may use."""
    record: Callable[[Outcome], None] | None = None
    """Takes each outcome, for the processes that share the limit."""

    _leases: dict[int, tuple[float, int]] = field(default_factory=dict)
    """By permit: when it was granted, and the number of decreases until then."""
    _count: int = 0
    _next_at: float = float("-inf")
    _paused_until: float = float("-inf")
    _decreases: int = 0
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
    _unrecorded_idle_s: float = 0.0

    def __post_init__(self) -> None:
        self.rate = self.rate or self.bounds.first_rate
        self.concurrency = self.concurrency or self.bounds.first_concurrency

    def grant(self, wanted: int, now: float) -> Grant:
        """Grants up to `wanted` permits. No permit is granted twice."""
        self._forget_lost(now)
        free = self._free(now)
        if free <= 0:
            self._wanted_more_concurrency |= self._next_at <= now
            return Grant(retry_s=min(0.25, max(0.005, 1 / self.own_rate)), is_crowded=True)
        start = max(self._next_at, now - self.bounds.burst_s, self._paused_until)
        if start > now + self.bounds.ahead_s:
            return Grant(retry_s=start - now - self.bounds.ahead_s / 2)
        waited_from = max(self._next_at, self._paused_until)
        if start > waited_from > float("-inf"):
            self._idle((start - waited_from) * self.share)
        spacing_s = 1 / self.own_rate
        fitting = 1 + int((now + self.bounds.ahead_s - start) / spacing_s)
        count = max(1, min(wanted, free, fitting))
        self._wanted_more_rate |= start + (count - 1) * spacing_s > now
        self._wanted_more_concurrency |= wanted > free
        self._next_at = start + count * spacing_s
        first, self._count = self._count, self._count + count
        for number in range(first, first + count):
            self._leases[number] = (now, self._decreases)
        return Grant(first, tuple(max(0.0, start + index * spacing_s - now) for index in range(count)))

    def report(self, permit: int, signal: Signal, now: float) -> None:
        """Reports the outcome of a permit. An unknown permit (reported twice, lost, of a dead throttle) changes no count."""
        lease = self._leases.pop(permit, None)
        if lease is not None:
            self.requests += 1
            self.failures += signal.is_failed
            self.refusals += signal.is_refused
        wants = (self._wanted_more_rate, self._wanted_more_concurrency)
        outcome = Outcome(signal, now, None if lease is None else lease[1], *wants, self._unrecorded_idle_s)
        self._learn(outcome)
        if self.record is not None:
            self._unrecorded_idle_s = 0.0
            self.record(outcome)

    def learn(self, outcome: Outcome) -> None:
        """Learns from an answer to another process, or to one that `adopt` made forget it."""
        self._wanted_more_rate |= outcome.wants_rate
        self._wanted_more_concurrency |= outcome.wants_concurrency
        self._estimate.idle(outcome.idle_s)
        self._learn(outcome)

    def _learn(self, outcome: Outcome) -> None:
        signal, now = outcome.signal, outcome.at
        self.reason = signal.reason or self.reason
        if signal.rate is not None:
            self._take_advertised(signal.rate)
        if signal.is_refused:
            self._refused(signal, outcome.decreases == self._decreases, now)
            return
        self._is_answered = True
        if signal.wait_s:
            self._paused_until = max(self._paused_until, now + signal.wait_s)
        if not signal.is_failed:
            self._pauses = 0
            self._estimate.count_served(1 / (self.share or 1.0))
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
            host, endpoint_class, round(self.rate, 3), self.concurrency, self.in_flight,
            self.requests, self.refusals, self.failures, round(max(0.0, self._paused_until - now), 3),
            self.advertised, quota.reason if quota_wait_s else self.reason,
            quota.limit, quota.left, round(quota_wait_s, 3), quota.refusals,
        )  # fmt: skip

    def learned(self, now: float) -> LearnedRate:
        return LearnedRate(
            rate=self.rate,
            concurrency=self.concurrency,
            decreases=self._decreases,
            advertised=self.advertised,
            reason=self.reason,
            refused_rate=self._refused_rate,
            pauses=self._pauses,
            is_known=self._is_known,
            is_answered=self._is_answered,
            was_overloaded=self._was_overloaded,
            paused_until=relative(self._paused_until, now),
            decreased_at=relative(self._decreased_at, now),
            grown_at=relative(self._grown_at, now),
            held_until=relative(self._held_until, now),
            limit=self._estimate.learned(now),
        )

    def adopt(self, learned: LearnedRate, now: float) -> None:
        """Replaces what was learnt. Permits that were granted stay valid."""
        self.rate, self.concurrency, self._decreases = learned.rate, learned.concurrency, learned.decreases
        self.advertised, self.reason, self._refused_rate = learned.advertised, learned.reason, learned.refused_rate
        self._pauses, self._is_known, self._is_answered = learned.pauses, learned.is_known, learned.is_answered
        self._was_overloaded = learned.was_overloaded
        self._paused_until, self._held_until = absolute(learned.paused_until, now), absolute(learned.held_until, now)
        self._decreased_at, self._grown_at = absolute(learned.decreased_at, now), absolute(learned.grown_at, now)
        self._estimate = LimitEstimate.of(learned.limit, now)

    def note_idle(self, seconds: float) -> None:
        self._estimate.idle(seconds)

    def unrecorded_idle_s(self, now: float) -> float:
        """What the next outcome would have as `idle_s`, were a permit granted now."""
        return self._unrecorded_idle_s + self.share * max(0.0, now - max(self._next_at, self._paused_until))

    def take_share(self, share: float, now: float) -> None:
        """After having had none, nothing is saved up; with more than before, the next permit is due sooner."""
        if not self.share:
            self._next_at, self._unrecorded_idle_s = max(self._next_at, now), 0.0
        elif share > self.share and self._next_at > now:
            self._next_at = now + (self._next_at - now) * self.share / share
        self.share = share

    def _idle(self, seconds: float) -> None:
        self._estimate.idle(seconds)
        self._unrecorded_idle_s += seconds

    @property
    def own_rate(self) -> float:
        """What this process may send, in requests per second."""
        return self.rate * self.share

    def is_paused(self, moment: float) -> bool:
        return moment < self._paused_until

    @property
    def in_flight(self) -> int:
        return len(self._leases)

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
        free = max(1, int(self.concurrency * self.share)) - len(self._leases)
        if self._is_answered:
            return free
        recent = sum(granted_at > now - self.bounds.unknown_s for granted_at, _ in self._leases.values())
        return min(free, max(1, int(self.bounds.unknown_concurrency * self.share)) - recent)

    def _refused(self, signal: Signal, is_new: bool, now: float) -> None:
        """`is_new`: the request was sent after the last decrease was known."""
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
        quiet_s = (
            self._paused_until - now
        )  # this refusal, too, says that the bucket is empty: so short a wait loses nothing
        self._estimate.pause(quiet_s if quiet_s <= BUCKET_S / 2 else self._paused_until - self._decreased_at)
        lost_s = max(0.0, self._paused_until - self._decreased_at - BUCKET_S)
        hold_s = 0.0 if self._estimate.is_rough else self.bounds.hold_per_pause * lost_s
        hold_s = max(hold_s, self.bounds.hold_requests / self.rate, self.bounds.hold_s)
        self._held_until = self._decreased_at + min(hold_s, self.bounds.most_hold_s)

    def _decrease(self, now: float, *, is_overloaded: bool) -> None:
        self._decreases += 1
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
            permit, (granted_at, _) = next(iter(self._leases.items()))
            if granted_at > now - self.bounds.lease_s:
                return
            del self._leases[permit]
