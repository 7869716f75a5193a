"""The hourly quota of a site: how many points are left, and how long to wait for more. Pure; time is an argument, in seconds.

A quota is no rate: what is left of it is used as fast as the burst limits allow. The site says what is left after each answer
(`RateLimit: ...;r=;t=`). Requests that are under way count with the points that they are expected to cost, so that the last ones
before the end are sent only where they fit: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
"""

from dataclasses import dataclass, field

from ingest_ray.http.rate_limit_headers import Signal

FITS = 0.04  # of the quota: a request that is expected to cost more is sent where this much is left
AFTER_RESET_S = 1.0  # the site's clock and its windows are not exact to the second
SAME_RESET_S = 120.0  # two answers that differ by less speak of the same window


@dataclass
class Quota:
    limit: int | None = None
    left: int | None = None
    resets_at: float = float("-inf")
    refused_until: float = float("-inf")
    refusals: int = 0
    reason: str | None = None
    elsewhere: int = 0
    """The points of requests that other processes have under way."""
    _open: dict[tuple[str, int], int] = field(default_factory=dict)

    def wait_s(self, points: int, now: float) -> float:
        """Seconds until a request of so many points may be sent; 0.0: now. A short wait, where requests under way decide it."""
        self._begin_window(now)
        if now < self.refused_until:
            return self.refused_until - now
        if self.left is None or self.left - self.under_way - self.elsewhere >= self._needed(points):
            return 0.0
        if self.waits_for_reports(points):
            return 0.05
        return max(0.05, self.resets_at + AFTER_RESET_S - now)

    def waits_for_reports(self, points: int) -> bool:
        """Whether requests under way decide if there is enough left."""
        return bool(self._open) and self.left is not None and self.left >= self._needed(points)

    def is_exhausted(self, now: float) -> bool:
        """Whether no request may be sent before the reset, and none is under way that could change that."""
        return now < self.refused_until or (self.left is not None and now < self.resets_at and not self._open)

    @property
    def under_way(self) -> int:
        """The points of requests that this process has under way."""
        return sum(self._open.values())

    def merge(self, other: "Quota", now: float) -> None:
        """Takes what another process knows of the same quota."""
        self.limit = self.limit or other.limit
        self.reason = self.reason or other.reason
        self.refused_until = max(self.refused_until, other.refused_until)
        if other.left is None or other.resets_at <= now:
            return
        if self.left is None or other.resets_at > self.resets_at + SAME_RESET_S:
            self.left, self.resets_at = other.left, other.resets_at
        elif abs(other.resets_at - self.resets_at) <= SAME_RESET_S:
            self.left = min(self.left, other.left)

    def open(self, permit: tuple[str, int], points: int) -> None:
        self._open[permit] = points

    def close(self, permit: tuple[str, int]) -> None:
        self._open.pop(permit, None)

    def read(self, signal: Signal, now: float) -> None:
        """Takes what an answer says. Answers come in any order: within a window the smallest number is the newest."""
        self.limit = signal.quota_limit or self.limit
        if signal.quota_left is not None and signal.quota_reset_s is not None:
            resets_at = now + signal.quota_reset_s
            is_same_window = abs(resets_at - self.resets_at) < SAME_RESET_S
            self.left = (
                min(signal.quota_left, self.left) if is_same_window and self.left is not None else signal.quota_left
            )
            self.resets_at = max(resets_at, self.resets_at) if is_same_window else resets_at
        if signal.is_quota_refused:
            self.refusals += 1
            self.reason = signal.reason or self.reason
            wait_s = signal.wait_s if signal.wait_s is not None else max(60.0, self.resets_at - now)
            self.refused_until = max(self.refused_until, now + wait_s + AFTER_RESET_S)

    def _needed(self, points: int) -> int:
        return points if self.limit is None else max(1, min(points, int(FITS * self.limit)))

    def _begin_window(self, now: float) -> None:
        if self.left is not None and now >= self.resets_at + AFTER_RESET_S:
            self.left = self.limit
