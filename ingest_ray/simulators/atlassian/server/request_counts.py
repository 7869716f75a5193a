"""Counts of the simulator: requests by endpoint, status and second, bytes, and the peak of concurrent requests."""

import time
from collections import Counter
from typing import Any


class Stats:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.started_s = time.monotonic()
        self.requests = 0
        self.endpoints: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.seconds: Counter[int] = Counter()
        self.endpoint_seconds: dict[str, Counter[int]] = {}
        self.refused_seconds: Counter[int] = Counter()
        self.too_many = 0
        self.bytes_sent = 0
        self.faults: Counter[str] = Counter()
        self.running = 0
        self.peak = 0
        self.points: Counter[str] = Counter()
        self.quota_used: Counter[int] = Counter()
        self.quota_refusals: Counter[int] = Counter()

    def begin(self) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)

    def end(self, template: str, status: int, size: int) -> None:
        self.running = max(self.running - 1, 0)
        self.requests += 1
        self.endpoints[template] += 1
        self.statuses[str(status)] += 1
        self.bytes_sent += size
        second = int(time.monotonic() - self.started_s)
        self.seconds[second] += 1
        if status != 429:
            self.endpoint_seconds.setdefault(template, Counter())[second] += 1
        else:
            self.too_many += 1
            self.refused_seconds[second] += 1

    def document(self) -> dict[str, Any]:
        """`points`, and `endpoint_points` of each endpoint, are counted where the site has a quota; `quota_used` and `quota_refusals` count
        its points and 429 by hour since 1970. `per_second[n]` counts the requests that ended in the n-th second since the start or the last
        reset, `endpoint_seconds` those of each endpoint that were no 429, by second."""
        length = max(self.seconds, default=-1) + 1
        return {
            "requests": self.requests,
            "endpoints": dict(self.endpoints.most_common()),
            "statuses": dict(sorted(self.statuses.items())),
            "too_many_requests": self.too_many,
            "peak_concurrency": self.peak,
            "bytes": self.bytes_sent,
            "faults": dict(self.faults),
            "points": sum(self.points.values()),
            "endpoint_points": dict(self.points.most_common()),
            "quota_used": {str(hour): count for hour, count in self.quota_used.items()},
            "quota_refusals": {str(hour): count for hour, count in self.quota_refusals.items()},
            "per_second": [self.seconds[n] for n in range(length)],
            "endpoint_seconds": {name: dict(sorted(found.items())) for name, found in self.endpoint_seconds.items()},
            "per_second_429": [self.refused_seconds[n] for n in range(length)],
            "seconds": round(time.monotonic() - self.started_s, 3),
        }
