"""A quota is used to its end and waited for; burst limits are per endpoint. Simulated time."""

import heapq
from dataclasses import dataclass, field

import pytest

from ingest_ray.http import permits, rate_limit_headers
from ingest_ray.http.aimd import Grant
from ingest_ray.http.permits import LocalPermits, PermitWait, Watch
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.site_throttle import SiteThrottle
from ingest_ray.http.timing import Timing
from ingest_ray.sdk.errors import SourceUnavailable


@dataclass
class App:
    """A site that admits an app while points are left, and counts what an answer cost afterwards."""

    limit: int
    hour_s: float = 3600.0
    used: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)

    def answer(self, now: float, points: int, *, says: bool = True) -> Signal:
        hour = int(now // self.hour_s)
        used = self.used.setdefault(hour, 0)
        reset_s = float(-(-(self.hour_s - now % self.hour_s) // 1))
        if used >= self.limit:
            self.refused[hour] = self.refused.get(hour, 0) + 1
            return Signal(is_refused=True, is_quota_refused=True, wait_s=reset_s, reason="jira-quota-tenant-based")
        self.used[hour] = used + points
        if not says:
            return Signal()
        left = max(0, self.limit - self.used[hour])
        return Signal(quota_limit=self.limit, quota_left=left, quota_reset_s=reset_s)


def driven(
    throttle: SiteThrottle, app: App, seconds: float, costs: list[int], *, says: bool = True, latency_s: float = 0.2
) -> None:
    """As many requests as the throttle permits; request n costs up to `costs[n % len]` points, and is expected to cost that much."""
    events: list[tuple[float, int, str, tuple[str, int], int]] = [(0.0, 0, "ask", ("", 0), 0)]
    count = 0
    while events:
        now, _, what, permit, points = heapq.heappop(events)
        if now > seconds:
            return
        count += 1
        if what == "ask":
            name, most = f"class-{count % 3}", costs[count % len(costs)]
            grant = throttle.grant(name, 1, most, now)
            for place, wait_s in enumerate(grant.waits_s):
                heapq.heappush(events, (now + wait_s + latency_s, count, "end", (name, grant.first + place), most))
            heapq.heappush(events, (now + max(0.02, min(30.0, grant.retry_s)), count, "ask", ("", 0), 0))
        else:
            actual = 1 + (points - 1) * (7 + count % 4) // 10
            throttle.report(*permit, app.answer(now, actual, says=says), now)


@pytest.mark.parametrize("limit", [3_000, 65_000])
@pytest.mark.parametrize("costs", [[101], [1, 101, 3], [251, 1, 51]])
@pytest.mark.parametrize("latency_s", [0.02, 2.0])
def test_an_hour_is_used_to_95_percent_with_at_most_one_refusal(limit: int, costs: list[int], latency_s: float) -> None:
    app = App(limit)
    driven(SiteThrottle(), app, 3 * 3600.0, costs, latency_s=latency_s)
    assert len(app.used) >= 3
    for hour in range(3):
        assert app.used[hour] >= 0.95 * limit, app.used
        assert app.refused.get(hour, 0) <= 1, app.refused


def test_a_site_that_says_nothing_refuses_what_is_under_way_and_is_then_left_alone() -> None:
    app = App(3_000)
    driven(SiteThrottle(), app, 2 * 3600.0, [101], says=False)
    assert all(count <= 16 for count in app.refused.values())
    assert app.used[1] >= 0.95 * 3_000


def test_a_refusal_by_the_quota_changes_no_rate() -> None:
    throttle = SiteThrottle()
    grant = throttle.grant("a", 4, 1, 0.0)
    (before,) = throttle.states("site", 0.1)
    for place in range(4):
        signal = Signal(is_refused=True, is_quota_refused=True, wait_s=2760.0, reason="jira-quota-tenant-based")
        throttle.report("a", grant.first + place, signal, 0.2)
    (after,) = throttle.states("site", 0.3)
    assert (after.rate, after.concurrency) == (before.rate, before.concurrency)
    assert after.quota_wait_s == pytest.approx(2760, abs=3)
    for name in ("a", "b"):
        waiting = throttle.grant(name, 1, 1, 1.0)
        assert waiting.is_quota
        assert waiting.retry_s == pytest.approx(2760, abs=3)
    assert throttle.grant("b", 1, 1, 2762.0).waits_s


def test_a_burst_refusal_stops_its_own_endpoint_only() -> None:
    throttle = SiteThrottle()
    first = throttle.grant("a", 1, 1, 0.0).first
    throttle.report("a", first, Signal(is_refused=True, wait_s=5.0, reason="jira-burst-based"), 0.1)
    assert not throttle.grant("a", 1, 1, 0.2).waits_s
    assert throttle.grant("b", 1, 1, 0.2).waits_s


def test_a_refusal_without_a_reason_stops_all_endpoints_for_as_long_as_it_says() -> None:
    throttle = SiteThrottle()
    first = throttle.grant("a", 1, 1, 0.0).first
    throttle.report("a", first, Signal(is_refused=True, wait_s=5.0), 0.1)
    assert throttle.grant("b", 1, 1, 0.2).retry_s == pytest.approx(4.9)


POLICY = '"tenant-app-quota";q=100100;w=3600, "jira-burst-based";q=100;w=1'


@pytest.mark.parametrize(
    ("status", "headers", "quota", "is_refused"),
    [
        (200, {"ratelimit-policy": POLICY, "ratelimit": '"tenant-app-quota";r=17842;t=2107'}, (100100, 17842, 2107.0), False),
        (200, {"ratelimit": "tenant-app-quota;r=5;t=9"}, (None, 5, 9.0), False),
        (200, {"ratelimit-policy": POLICY, "ratelimit": '"jira-burst-based";r=0;t=1'}, (100100, None, None), False),
        (429, {"ratelimit": '"tenant-app-quota";r=0;t=2788'}, (None, 0, 2788.0), True),
        (429, {"ratelimit-reason": "jira-quota-global-based", "retry-after": "60"}, (None, None, None), True),
        (429, {"ratelimit-reason": "confluence-quota-tenant-based"}, (None, None, None), True),
        (429, {"ratelimit-reason": "jira-burst-based", "ratelimit": '"x-quota";r=0;t=2788'}, (None, 0, 2788.0), False),
        (200, {"beta-ratelimit-policy": POLICY, "beta-ratelimit": '"tenant-app-quota";r=0;t=2788'}, (None, None, None), False),
        (200, {"x-beta-ratelimit-reason": "jira-quota-tenant-based"}, (None, None, None), False),
        (
            200,
            {"ratelimit": '"global-app-quota";r=900;t=60, "tenant-app-quota";r=80;t=60', "ratelimit-policy": '"tenant-app-quota";q=100;w=3600'},
            (100, 80, 60.0),
            False,
        ),
    ],
)  # fmt: skip
def test_quotas_are_read_from_headers(
    status: int, headers: dict[str, str], quota: tuple[int | None, int | None, float | None], is_refused: bool
) -> None:
    signal = rate_limit_headers.read(status, headers)
    assert (signal.quota_limit, signal.quota_left, signal.quota_reset_s) == quota
    assert signal.is_quota_refused is is_refused


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now, lambda: self.now, self.sleep)


def test_46_minutes_are_waited_for_and_reported() -> None:
    clock, told = Clock(), list[str]()
    site = LocalPermits(clocks=clock.timing)
    lease = site.acquire("gateway/ex/jira/1@aa", "GET x")
    site.report(lease, Signal(is_refused=True, is_quota_refused=True, wait_s=2760.0))
    watch = Watch(report=lambda seconds, text: told.append(text))
    site.acquire("gateway/ex/jira/1@aa", "GET y", 1, watch)
    assert clock.now == pytest.approx(2761, abs=60)
    assert told[0] == "waiting 46:01 min for the quota of 'gateway/ex/jira/1'"
    assert len(told) > 10


def test_a_wait_ends_when_the_run_stops_and_is_no_wait_beyond_two_hours() -> None:
    clock = Clock()
    wait = PermitWait("site", Watch(is_stopping=lambda: clock.now >= 70.0), clock.timing)
    wait.sleep(Grant(retry_s=2700.0, is_quota=True))
    assert 0.0 < clock.now < 70.0, "a part of the wait: then the throttle is asked again"
    with pytest.raises(SourceUnavailable, match="stopped"):
        wait.sleep(Grant(retry_s=2700.0, is_quota=True))
    assert clock.now == pytest.approx(70.0, abs=permits.STEP_S)
    with pytest.raises(SourceUnavailable, match="no requests for 9000 s"):
        PermitWait("site", Watch(), clock.timing).sleep(Grant(retry_s=9000.0, is_quota=True))
    with pytest.raises(SourceUnavailable, match="no requests for 400 s"):
        PermitWait("site", Watch(), clock.timing).sleep(Grant(retry_s=permits.LONGEST_WAIT_S + 100))
