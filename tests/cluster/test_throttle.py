"""The throttle actor: one budget for all readers of a cluster, whichever process they are in."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import ray

from ingest_ray.executors.ray.throttle import (
    ClusterPermits,
    cluster_permits,
    named_throttles,
    throttle,
    throttle_states,
)
from ingest_ray.http.aimd import Bounds
from ingest_ray.http.permits import Watch
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.sdk.errors import SourceUnavailable

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


@ray.remote(num_cpus=0.5, max_retries=0)
def take(host: str, count: int, rate: float) -> list[float]:
    """Takes permits one after the other; returns the moments, by the machine's clock."""
    moments = []
    for _ in range(count):
        lease = cluster_permits().acquire(host, "rest")
        moments.append(time.time())
        cluster_permits().report(lease, Signal(rate=rate))
    return moments


def test_e52_two_workers_share_one_budget() -> None:
    ray.get([take.remote("shared.example", 1, 30.0) for _ in range(2)])
    found = ray.get([take.remote("shared.example", 60, 30.0) for _ in range(2)])
    moments = sorted(moment for worker in found for moment in worker)
    seconds = moments[-1] - moments[0]
    bounds = Bounds()
    spared = bounds.burst_s * bounds.margin * 30.0  # what a burst may make up for
    assert (119 - spared) / seconds <= 30.0  # no lower limit: workers of a busy machine ask too rarely
    states = [state for state in throttle_states() if state.host == "shared.example"]
    assert len(states) == 1
    assert states[0].advertised_rate == 30.0
    assert states[0].rate == pytest.approx(29.4)
    assert states[0].requests >= 120


def test_c32_a_throttle_that_dies_is_replaced_and_no_permit_is_lost() -> None:
    permits = ClusterPermits()
    lease = permits.acquire("dies.example", "rest")
    ray.kill(throttle("dies.example"))
    permits.report(lease, Signal())
    for _ in range(5):
        permits.report(permits.acquire("dies.example", "rest"), Signal())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = next(state for state in throttle_states() if state.host == "dies.example")
        if state.requests == 5:
            break
        time.sleep(0.05)
    assert (state.requests, state.in_flight) == (5, 0)


def test_a_throttle_is_found_by_site_and_has_a_budget_for_each_class() -> None:
    for endpoint_class in ("rest", "media", "rest"):
        lease = cluster_permits().acquire("named.example:8443", endpoint_class)
        cluster_permits().report(lease, Signal())
    mine = [state for state in throttle_states() if state.host == "named.example:8443"]
    assert sorted(state.endpoint_class for state in mine) == ["media", "rest"]
    before = len(named_throttles())
    cluster_permits().report(cluster_permits().acquire("named.example:8443", "other"), Signal())
    assert len(named_throttles()) == before


def test_requests_of_different_points_share_a_class() -> None:
    """A permit that was leased for few points does not hold up a request of many."""
    permits = ClusterPermits()
    with ThreadPoolExecutor(8) as threads:

        def request(points: int) -> None:
            permits.report(permits.acquire("points.example", "rest", points), Signal())

        list(threads.map(request, [1, 101, 1, 5001, 1, 1, 101, 5001] * 4))
    assert sum(state.in_flight for state in throttle_states() if state.host == "points.example") <= 16


def test_a_quota_is_one_for_all_processes_of_a_cluster() -> None:
    permits = ClusterPermits()
    lease = permits.acquire("quota.example", "a")
    permits.report(
        lease, Signal(is_refused=True, is_quota_refused=True, wait_s=2760.0, reason="jira-quota-tenant-based")
    )
    stops = iter([False, True, True])
    with pytest.raises(SourceUnavailable, match="stopped"):
        permits.acquire("quota.example", "b", 1, Watch(is_stopping=lambda: next(stops)))
    (state,) = [state for state in throttle_states() if state.host == "quota.example"]
    assert state.quota_wait_s == pytest.approx(2760, abs=60)
