"""The budget of one account at one site: a quota of the site, and a rate for each endpoint class. Pure; time is an argument.

Burst limits are per tenant, endpoint and method; quotas are per tenant: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
A refusal stops its own endpoint class; one that does not say which limit it is stops all of them for the time that it names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest_ray.http.aimd import Aimd, Bounds, Grant, State
from ingest_ray.http.quota import Quota
from ingest_ray.http.rate_limit_headers import Signal


@dataclass
class SiteThrottle:
    bounds: Bounds = field(default_factory=Bounds)
    quota: Quota = field(default_factory=Quota)
    paused_until: float = float("-inf")
    """Of all endpoint classes."""
    _aimds: dict[str, Aimd] = field(default_factory=dict)

    def grant(self, endpoint_class: str, wanted: int, points: int, now: float) -> Grant:
        """Grants up to `wanted` permits for requests of `points` points each."""
        if now < self.paused_until:
            return Grant(retry_s=self.paused_until - now)
        wait_s = self.quota.wait_s(points, now)
        if wait_s:
            is_crowded = now >= self.quota.refused_until and self.quota.waits_for_reports(points)
            return Grant(retry_s=wait_s, is_quota=not is_crowded, is_crowded=is_crowded)
        count = 1
        while count < wanted and not self.quota.wait_s(points * (count + 1), now):
            count += 1
        grant = self.aimd(endpoint_class).grant(count, now)
        for index in range(len(grant.waits_s)):
            self.quota.open((endpoint_class, grant.first + index), points)
        return grant

    def report(self, endpoint_class: str, permit: int, signal: Signal, now: float) -> None:
        """Reports the outcome of a permit. An unknown permit (reported twice, lost, of a dead throttle) changes no count."""
        self.quota.close((endpoint_class, permit))
        self.quota.read(signal, now)
        if signal.is_quota_refused:  # the endpoint itself takes as many requests as before
            self.aimd(endpoint_class).return_refused(permit)
            return
        if signal.is_refused and signal.reason is None and signal.wait_s:
            self.paused_until = max(self.paused_until, now + signal.wait_s)
        self.aimd(endpoint_class).report(permit, signal, now)

    def release(self, endpoint_class: str, permit: int) -> None:
        """Returns an unused permit."""
        self.quota.close((endpoint_class, permit))
        self.aimd(endpoint_class).release(permit)

    def states(self, host: str, now: float) -> Sequence[State]:
        wait_s = self.quota.wait_s(1, now) if self.quota.is_exhausted(now) else 0.0
        used = [(name, aimd) for name, aimd in sorted(self._aimds.items()) if aimd.requests or aimd.in_flight]
        return [aimd.state(host, name, now, self.quota, wait_s) for name, aimd in used]

    def aimd(self, endpoint_class: str) -> Aimd:
        if endpoint_class not in self._aimds:
            self._aimds[endpoint_class] = Aimd(self.bounds)
        return self._aimds[endpoint_class]
