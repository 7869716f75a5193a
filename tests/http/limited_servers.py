"""Servers that limit requests, and clients that always want more, in simulated time."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.site_throttle import SiteThrottle


@dataclass
class Counts:
    served: int = 0
    refused: int = 0
    refused_at: list[float] = field(default_factory=list)
    served_at: list[float] = field(default_factory=list)


class LimitedServer(Protocol):
    counts: Counts

    def answer(self, now: float) -> Signal: ...


@dataclass
class TokenBucket:
    """Allows `rate` requests per second, and saves up those of `burst_s` seconds, at least one request.

    `retry_after_s` is what a refusal says: too early, too late, or nothing (None).
    """

    rate: float
    burst_s: float = 1.0
    retry_after_s: float | None = 1.0
    advertises: bool = False
    reason: str | None = None
    counts: Counts = field(default_factory=Counts)
    _level: float = -1.0
    _at: float = 0.0

    def answer(self, now: float) -> Signal:
        size = max(1.0, self.rate * self.burst_s)
        self._level = size if self._level < 0 else min(size, self._level + (now - self._at) * self.rate)
        self._at = now
        told = self.rate if self.advertises else None
        if self._level < 1 - 1e-9:
            self.counts.refused += 1
            self.counts.refused_at.append(now)
            return Signal(is_refused=True, wait_s=self.retry_after_s, rate=told, reason=self.reason)
        self._level -= 1
        self.counts.served += 1
        self.counts.served_at.append(now)
        return Signal(rate=told)


@dataclass
class FixedWindow:
    """Allows `rate * window_s` requests in each window; a refusal says when the next one begins, in whole seconds, or nothing."""

    rate: float
    window_s: float = 1.0
    says: bool = True
    counts: Counts = field(default_factory=Counts)
    _window: int = -1
    _used: int = 0

    def answer(self, now: float) -> Signal:
        window = int(now // self.window_s)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used >= int(self.rate * self.window_s):
            self.counts.refused += 1
            self.counts.refused_at.append(now)
            wait_s = float(int((window + 1) * self.window_s - now) + 1) if self.says else None
            return Signal(is_refused=True, wait_s=wait_s)
        self._used += 1
        self.counts.served += 1
        self.counts.served_at.append(now)
        return Signal()


def drive(
    throttle: SiteThrottle,
    server: LimitedServer,
    seconds: float,
    latency_s: float,
    workers: int = 24,
    seed: int = 0,
    change: Callable[[float], None] = lambda now: None,
) -> None:
    """Workers that request a permit, wait for its moment, send and report, as the threads of one process do. `change` is called with each time."""
    draws = random.Random(seed)
    events: list[tuple[float, int, str, int, int, Signal | None]] = []
    crowd: list[int] = []
    count = 0

    def add(at: float, what: str, worker: int, permit: int = 0, signal: Signal | None = None) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (at, count, what, worker, permit, signal))

    for worker in range(workers):
        add(0.0, "ask", worker)
    while events:
        now, _, what, worker, permit, signal = heapq.heappop(events)
        if now > seconds:
            return
        change(now)
        match what:
            case "ask":
                if worker in crowd:
                    crowd.remove(worker)
                grant = throttle.grant("GET x", 1, 1, now)
                half_s = latency_s / 2 * draws.uniform(0.9, 1.1)
                if grant.waits_s:
                    add(now + grant.waits_s[0] + half_s, "arrive", worker, grant.first)
                elif grant.is_crowded:
                    crowd.append(worker)
                else:
                    add(now + max(0.001, min(grant.retry_s, max(0.5, grant.retry_s / 50))), "ask", worker)
            case "arrive":
                add(now + latency_s / 2, "end", worker, permit, server.answer(now))
            case _:
                assert signal is not None
                throttle.report("GET x", permit, signal, now)
                add(now, "ask", worker)
                for waiting in crowd[:1]:
                    crowd.remove(waiting)
                    add(now, "ask", waiting)
