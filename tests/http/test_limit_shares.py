"""At least 95 % of a limit is used, and few requests are refused, whether the server names the limit or not. Simulated time.

`python -m pytest -m faults tests/http/test_limit_shares.py` draws more of them.
"""

import random

import pytest

from ingest_ray.http.aimd import Aimd, Bounds
from ingest_ray.http.limit_estimate import LimitEstimate
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.http.site_throttle import SiteThrottle
from tests.http.limited_servers import FixedWindow, LimitedServer, TokenBucket, drive

MOST_AT_ONCE = 0.9 * Bounds().most_concurrency


def share_of(server: LimitedServer, rate: float, latency_s: float, pause_s: float, requests: int = 3000) -> float:
    """The share of the limit after the throttle has learnt it: each of the first refusals costs a pause."""
    most = min(rate, MOST_AT_ONCE / latency_s)
    learning_s = 120 + 10 * pause_s
    seconds = learning_s + 80 * pause_s + requests / rate
    workers = min(64, max(8, int(2 * most * latency_s) + 8))
    drive(SiteThrottle(), server, seconds, latency_s, workers)
    late = sum(moment >= learning_s for moment in server.counts.served_at)
    return late / (most * (seconds - learning_s))


def assert_used(server: LimitedServer, rate: float, latency_s: float, pause_s: float) -> None:
    share = share_of(server, rate, latency_s, pause_s)
    counts = server.counts
    assert share >= 0.95, (server, share)
    assert counts.refused <= 0.02 * counts.served + 40, (server, counts.refused, counts.served)


@pytest.mark.slow
@pytest.mark.parametrize("advertises", [True, False])
@pytest.mark.parametrize(
    ("rate", "latency_s", "burst_s", "retry_after_s"),
    [
        (0.5, 0.02, 4.0, 1.0),
        (1.0, 0.2, 2.0, None),
        (2.0, 0.04, 1.0, 1.0),
        (4.0, 0.04, 1.0, 1.0),
        (8.0, 0.1, 5.0, 10.0),
        (0.781, 1.751, 2.562, 0.0),
        (5.808, 1.889, 5.0, 0.1),
        (10.0, 2.0, 1.0, 0.1),
        (10.5, 1.85, 0.93, 0.1),
        (20.0, 0.5, 1.0, None),
        (40.0, 0.04, 1.0, 1.0),
        (100.0, 0.1, 1.0, 1.0),
        (200.0, 0.02, 0.5, 3.0),
    ],
)
def test_95_percent_of_a_limit_are_used(
    rate: float, latency_s: float, burst_s: float, retry_after_s: float | None, advertises: bool
) -> None:
    server = TokenBucket(rate, burst_s, retry_after_s, advertises)
    assert_used(server, rate, latency_s, 2.0 if retry_after_s is None else retry_after_s)


@pytest.mark.parametrize(
    ("rate", "window_s", "says"), [(40.0, 1.0, True), (2.0, 60.0, True), (1.0, 10.0, False), (10.0, 60.0, False)]
)
def test_windows_that_are_counted_anew_are_used(rate: float, window_s: float, says: bool) -> None:
    server = FixedWindow(rate, window_s, says)
    seconds = 20 * window_s + 600
    drive(SiteThrottle(), server, seconds, 0.1, 16)
    assert server.counts.served >= 0.9 * rate * seconds
    windows = seconds / window_s
    assert server.counts.refused <= 0.05 * server.counts.served + 40 + 8 * min(windows, 30)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(6))
def test_95_percent_of_any_limit_are_used(seed: int) -> None:
    draws = random.Random(seed)
    for _ in range(50):
        rate = 0.5 * 400 ** draws.random()
        latency_s = 0.02 * 100 ** draws.random()
        # A bucket of one request cannot be used whole by requests that take longer and shorter.
        burst_s = max(draws.choice([0.5, 1.0, 1.0, 5.0, 30.0]), 2 / rate, 0.5 * latency_s)
        retry_after_s = draws.choice([0.0, 0.1, 1.0, 1.0, 5.0, 10.0, None])
        reason = draws.choice([None, "jira-burst-based"])
        server = TokenBucket(rate, burst_s, retry_after_s, draws.random() < 0.25, reason)
        assert_used(server, rate, latency_s, 2.0 if retry_after_s is None else retry_after_s)


@pytest.mark.parametrize(("before", "after"), [(40.0, 8.0), (8.0, 40.0), (100.0, 2.0)])
def test_a_limit_that_changes_is_found_again(before: float, after: float) -> None:
    server = TokenBucket(before)

    def change(now: float) -> None:
        server.rate = before if now < 200 else after

    drive(SiteThrottle(), server, 600, 0.1, 16, change=change)
    late = sum(moment >= 300 for moment in server.counts.served_at)
    assert late >= 0.93 * after * 300
    assert sum(moment >= 200 for moment in server.counts.refused_at) <= 80


def test_refusals_that_do_not_depend_on_the_rate_do_not_lower_it_for_ever() -> None:
    """A site that refuses one of 50 requests, whatever the rate, is still read at more than one request a second."""
    draws, server = random.Random(1), TokenBucket(1000.0)

    class Moody:
        counts = server.counts

        def answer(self, now: float) -> Signal:
            if draws.random() < 0.02:
                return Signal(is_refused=True, wait_s=1.0)
            return server.answer(now)

    drive(SiteThrottle(), Moody(), 900, 0.05, 16)
    assert sum(moment >= 600 for moment in server.counts.served_at) >= 2 * 300


def test_an_hour_without_requests_is_not_taken_for_a_low_limit() -> None:
    """A throttle outlives runs: between two refusals may be hours in which little was read."""
    server, throttle = TokenBucket(40.0), SiteThrottle()
    drive(throttle, server, 120, 0.1, 16)
    (before,) = throttle.states("site", 120)
    now = 125.0
    for _ in range(60):
        grant = throttle.grant("GET x", 1, 1, now)
        throttle.report("GET x", grant.first, server.answer(now), now + 0.1)
        now += 60.0
    grant = throttle.grant("GET x", 1, 1, now)
    throttle.report("GET x", grant.first, Signal(is_refused=True, wait_s=1.0), now + 0.1)
    (after,) = throttle.states("site", now + 0.2)
    assert after.rate >= before.rate / 2


def test_what_was_served_between_two_refusals_is_the_limit() -> None:
    estimate = LimitEstimate()
    assert estimate.refuse(50.0, 0.0) is None
    estimate.pause(1.0)
    for _ in range(99):
        estimate.count_served()
    assert estimate.refuse(25.0, 10.0) == pytest.approx(9.8)


def test_a_pause_that_overflows_the_bucket_is_not_counted() -> None:
    estimate = LimitEstimate()
    estimate.refuse(50.0, 0.0)
    estimate.pause(11.0)
    for _ in range(299):
        estimate.count_served()
    assert estimate.refuse(25.0, 40.0) == pytest.approx(9.8)


def test_a_lost_rate_is_found_where_the_throttle_meets_429_and_503_in_turn() -> None:
    aimd, now = Aimd(), 0.0
    for number in range(40):
        grant = aimd.grant(1, now)
        while not grant.waits_s:
            now += grant.retry_s
            grant = aimd.grant(1, now)
        now += grant.waits_s[0] + 0.05
        signal = Signal(is_refused=number < 20, is_failed=number % 2 == 0 and number < 20, wait_s=0.0)
        aimd.report(grant.first, signal, now)
    low = aimd.rate
    for _ in range(400):
        grant = aimd.grant(1, now)
        now += grant.waits_s[0] + 0.05 if grant.waits_s else grant.retry_s
        if grant.waits_s:
            aimd.report(grant.first, Signal(), now)
    assert aimd.rate > 2 * low
