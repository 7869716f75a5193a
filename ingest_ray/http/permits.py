"""The permits to send requests: the protocol, the permits of one process, and the ones in force in this context.

A strategy uses `current()`. The engine sets it with `using`: the permits of this process in an inline run, those of the whole
cluster in a reader task (`ingest_ray.executors.ray.throttle`). `watching` sets what a long wait calls: whether to stop, and a report.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil
from threading import Condition, Lock
from typing import Protocol

from ingest_ray.http.aimd import Bounds, Grant, State
from ingest_ray.http.errors import WaitStopped
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.site_throttle import SiteThrottle
from ingest_ray.http.timing import Timing
from ingest_ray.sdk.errors import SourceUnavailable

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 300.0  # a pause of one endpoint must not hold a reader: the slice is retried later
LONGEST_QUOTA_WAIT_S = 2 * 3600.0  # quotas are filled again at each full hour
REPORT_S = 5.0
STEP_S = 0.5  # how soon a wait notices that it shall stop


@dataclass(frozen=True)
class Watch:
    """What a long wait for permits calls. `report` has the seconds that are left, and what is waited for."""

    is_stopping: Callable[[], bool] = lambda: False
    report: Callable[[float, str], None] = lambda seconds, text: None


class Spending:
    """The points that the answers to some clients have cost of a quota. Thread-safe."""

    def __init__(self) -> None:
        self.points = 0
        self._lock = Lock()

    def add(self, points: int) -> None:
        with self._lock:
            self.points += points


@dataclass(frozen=True)
class Lease:
    """A permit for one request, valid now."""

    host: str
    endpoint_class: str
    permit: int
    throttle: str = ""
    """The instance of the throttle that granted it: the numbers of a dead throttle are invalid for the next one."""


class Permits(Protocol):
    """Every request to a site takes a permit and reports its outcome. Thread-safe. `host`: the site and the account."""

    def acquire(self, host: str, endpoint_class: str, points: int = 1, watch: Watch | None = None) -> Lease:
        """Waits until a request of so many points may be sent, also for a quota that is filled again within two hours.

        Raises:
            SourceUnavailable: the server asks for a longer pause than a slice should wait, or the wait was stopped.
        """
        ...

    def report(self, lease: Lease, signal: Signal) -> None:
        """Every lease is reported once. The permits of a reader that dies before are blocked for `Bounds.lease_s`."""
        ...

    def states(self) -> Sequence[State]: ...


class LocalPermits:
    """The permits of one process."""

    def __init__(self, bounds: Bounds | None = None, clocks: Timing | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._timing = clocks or Timing()
        self._throttles: dict[str, SiteThrottle] = defaultdict(lambda: SiteThrottle(self._bounds))
        self._changed = Condition()

    def acquire(self, host: str, endpoint_class: str, points: int = 1, watch: Watch | None = None) -> Lease:
        wait = PermitWait(host, watch or Watch(), self._timing)
        while True:
            with self._changed:
                grant = self._throttles[host].grant(endpoint_class, 1, points, self._timing.monotonic())
                if grant.is_crowded:
                    self._changed.wait(grant.retry_s)
                    continue
            if not grant.waits_s:
                wait.sleep(grant)
                continue
            self._timing.sleep(grant.waits_s[0])
            return Lease(host, endpoint_class, grant.first)

    def report(self, lease: Lease, signal: Signal) -> None:
        with self._changed:
            now = self._timing.monotonic()
            self._throttles[lease.host].report(lease.endpoint_class, lease.permit, signal, now)
            self._changed.notify_all()

    def states(self) -> Sequence[State]:
        with self._changed:
            now = self._timing.monotonic()
            return [state for host, throttle in sorted(self._throttles.items()) for state in throttle.states(host, now)]


class PermitWait:
    """The wait of one request for its permit: in steps, so that a stop is noticed at once and a long wait is reported.

    A fiftieth of a long wait passes before the throttle is asked again.
    """

    def __init__(self, host: str, watch: Watch, clocks: Timing) -> None:
        self._host = host
        self._watch = watch
        self._clocks = clocks
        self._reported_at = float("-inf")

    def step_s(self, grant: Grant) -> float:
        return min(grant.retry_s, max(STEP_S, grant.retry_s / 50))

    def sleep(self, grant: Grant) -> None:
        """Raises `SourceUnavailable` where the wait is too long, or shall stop."""
        most_s = LONGEST_QUOTA_WAIT_S if grant.is_quota else LONGEST_WAIT_S
        if grant.retry_s > most_s:
            raise SourceUnavailable(
                f"'{self._host}' takes no requests for {grant.retry_s:.0f} s", retry_after_s=min(grant.retry_s, 3600.0)
            )
        self._end_if_stopping(grant)
        now = self._clocks.monotonic()
        if grant.retry_s > REPORT_S and now - self._reported_at >= REPORT_S:
            if self._reported_at == float("-inf"):
                log.warning("'%s' takes no requests for %.0f s%s", self._host, grant.retry_s, _of_quota(grant))
            self._reported_at = now
            self._watch.report(grant.retry_s, waiting_text(self._host, grant.retry_s, is_quota=grant.is_quota))
        step_s = self.step_s(grant)
        looks = ceil(step_s / STEP_S)
        for _ in range(looks):
            self._clocks.sleep(step_s / looks)
            self._end_if_stopping(grant)

    def _end_if_stopping(self, grant: Grant) -> None:
        if grant.retry_s > STEP_S and self._watch.is_stopping():
            raise WaitStopped(f"stopped while '{self._host}' takes no requests for {grant.retry_s:.0f} s")


def _of_quota(grant: Grant) -> str:
    return ": its quota is used up" if grant.is_quota else ""


def waiting_text(host: str, seconds: float, *, is_quota: bool) -> str:
    """`waiting 45:59 min for the quota of 'api.atlassian.com/ex/jira/...'`."""
    minutes, rest = divmod(int(seconds), 60)
    what = "for the quota" if is_quota else "as requested"
    return f"waiting {minutes}:{rest:02} min {what} of '{host.partition('@')[0]}'"


_of_this_process = LocalPermits()
_current: ContextVar[Permits] = ContextVar("ingest_ray_permits", default=_of_this_process)
_watch: ContextVar[Watch] = ContextVar("ingest_ray_permit_watch", default=Watch())  # noqa: B039


_spending: ContextVar[Spending | None] = ContextVar("ingest_ray_spending", default=None)


def current_spending() -> Spending | None:
    return _spending.get()


@contextmanager
def counting_points() -> Iterator[Spending]:
    """Counts the points of all clients that are opened inside."""
    spending = Spending()
    token = _spending.set(spending)
    try:
        yield spending
    finally:
        _spending.reset(token)


def current() -> Permits:
    """The permits in force here. Threads do not inherit them: take them before starting any."""
    return _current.get()


def are_chosen() -> bool:
    """Whether a caller has set the permits in force here."""
    return _current.get() is not _of_this_process


def current_watch() -> Watch:
    return _watch.get()


@contextmanager
def using(permits: Permits) -> Iterator[None]:
    token = _current.set(permits)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Long waits inside call `watch`."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
