"""The permits to send requests: the protocol, the permits of one process, and the ones in force in this context.

A strategy uses `current()`. The engine sets it with `using`: the permits of this process in an inline run, those of the whole
cluster in a reader task (`ingest_ray.executors.ray.throttle`).
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Condition
from typing import Protocol

from ingest_ray.http.aimd import Aimd, Bounds, Grant, State
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.sdk.errors import SourceUnavailable

LONGEST_WAIT_S = 300.0  # an exhausted hourly quota must not hold a reader: the slice is retried later


@dataclass(frozen=True)
class Lease:
    """A permit for one request, valid now."""

    host: str
    endpoint_class: str
    permit: int
    throttle: str = ""
    """The instance of the throttle that granted it: the numbers of a dead throttle are invalid for the next one."""


class Permits(Protocol):
    """Every request to a host takes a permit and reports its outcome. Thread-safe."""

    def acquire(self, host: str, endpoint_class: str) -> Lease:
        """Waits until a request may be sent.

        Raises:
            SourceUnavailable: the server asks for a longer pause than a slice should wait.
        """
        ...

    def report(self, lease: Lease, signal: Signal) -> None:
        """Every lease is reported once. The permits of a reader that dies before are blocked for `Bounds.lease_s`."""
        ...

    def states(self) -> Sequence[State]: ...


class LocalPermits:
    """The permits of one process."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._throttles: dict[tuple[str, str], Aimd] = defaultdict(lambda: Aimd(self._bounds))
        self._changed = Condition()

    def acquire(self, host: str, endpoint_class: str) -> Lease:
        while True:
            with self._changed:
                grant = self._throttles[host, endpoint_class].grant(1, time.monotonic())
                if not grant.waits_s:
                    self._changed.wait(bearable(host, grant))
                    continue
            time.sleep(grant.waits_s[0])
            return Lease(host, endpoint_class, grant.first)

    def report(self, lease: Lease, signal: Signal) -> None:
        with self._changed:
            self._throttles[lease.host, lease.endpoint_class].report(lease.permit, signal, time.monotonic())
            self._changed.notify_all()

    def states(self) -> Sequence[State]:
        with self._changed:
            now = time.monotonic()
            return [aimd.state(host, kind, now) for (host, kind), aimd in sorted(self._throttles.items())]


def bearable(host: str, grant: Grant) -> float:
    """Seconds to wait before the next request for permits. Raises `SourceUnavailable` where that is too long."""
    if grant.retry_s > LONGEST_WAIT_S:
        raise SourceUnavailable(
            f"'{host}' takes no requests for {grant.retry_s:.0f} s", retry_after_s=min(grant.retry_s, 3600.0)
        )
    return grant.retry_s


_of_this_process = LocalPermits()
_current: ContextVar[Permits] = ContextVar("ingest_ray_permits", default=_of_this_process)


def current() -> Permits:
    """The permits in force here. Threads do not inherit them: take them before starting any."""
    return _current.get()


@contextmanager
def using(permits: Permits) -> Iterator[None]:
    token = _current.set(permits)
    try:
        yield
    finally:
        _current.reset(token)
