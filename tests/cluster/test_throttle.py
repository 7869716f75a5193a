"""The throttle actor: one budget for all readers of a cluster, whichever process they are in."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from ingest_ray.http.permits import Watch, current
from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.kv import open_state
from ingest_ray.kv.keys import site_key
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.settings import Settings
from ingest_ray.state.shared_permits import sharing_permits

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path), state_url=f"sqlite:///{tmp_path}/state.db")


@ray.remote(num_cpus=0.5, max_retries=0)
def take(host: str, count: int, rate: float, settings: Settings) -> list[float]:
    """Takes permits one after the other; returns the moments, by the machine's clock."""
    moments = []
    for _ in range(count):
        lease = cluster_permits(settings).acquire(host, "rest")
        moments.append(time.time())
        cluster_permits(settings).report(lease, Signal(rate=rate))
    return moments


def test_e52_two_workers_share_one_budget(settings: Settings) -> None:
    ray.get([take.remote("shared.example", 1, 30.0, settings) for _ in range(2)])
    found = ray.get([take.remote("shared.example", 60, 30.0, settings) for _ in range(2)])
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


def test_c32_a_throttle_that_dies_is_replaced_and_no_permit_is_lost(settings: Settings) -> None:
    permits = ClusterPermits(settings)
    lease = permits.acquire("dies.example", "rest")
    ray.kill(throttle("dies.example", settings))
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


def test_a_throttle_is_found_by_site_and_has_a_budget_for_each_class(settings: Settings) -> None:
    for endpoint_class in ("rest", "media", "rest"):
        lease = cluster_permits(settings).acquire("named.example:8443", endpoint_class)
        cluster_permits(settings).report(lease, Signal())
    mine = [state for state in throttle_states() if state.host == "named.example:8443"]
    assert sorted(state.endpoint_class for state in mine) == ["media", "rest"]
    before = len(named_throttles())
    cluster_permits(settings).report(cluster_permits(settings).acquire("named.example:8443", "other"), Signal())
    assert len(named_throttles()) == before


def test_requests_of_different_points_share_a_class(settings: Settings) -> None:
    """A permit that was leased for few points does not hold up a request of many."""
    permits = ClusterPermits(settings)
    with ThreadPoolExecutor(8) as threads:

        def request(points: int) -> None:
            permits.report(permits.acquire("points.example", "rest", points), Signal())

        list(threads.map(request, [1, 101, 1, 5001, 1, 1, 101, 5001] * 4))
    assert sum(state.in_flight for state in throttle_states() if state.host == "points.example") <= 16


def test_a_quota_is_one_for_all_processes_of_a_cluster(settings: Settings) -> None:
    permits = ClusterPermits(settings)
    lease = permits.acquire("quota.example", "a")
    permits.report(
        lease, Signal(is_refused=True, is_quota_refused=True, wait_s=2760.0, reason="jira-quota-tenant-based")
    )
    stops = iter([False, True, True])
    with pytest.raises(SourceUnavailable, match="stopped"):
        permits.acquire("quota.example", "b", 1, Watch(is_stopping=lambda: next(stops)))
    (state,) = [state for state in throttle_states() if state.host == "quota.example"]
    assert state.quota_wait_s == pytest.approx(2760, abs=60)


def test_the_cluster_and_another_process_divide_one_budget(settings: Settings) -> None:
    """This process is the other one: it has no permits of the cluster's throttle."""
    with sharing_permits(settings):
        first = current().acquire("divided.example", "rest")
        current().report(first, Signal(rate=40.0))
        running = take.remote("divided.example", 40, 40.0, settings)
        moments = []
        while not ray.wait([running], timeout=0)[0] or len(moments) < 20:
            lease = current().acquire("divided.example", "rest")
            moments.append(time.time())
            current().report(lease, Signal(rate=40.0))
        theirs = ray.get(running)
        both = sorted(moment for moment in (*moments, *theirs) if theirs[5] <= moment <= theirs[-1])
        allowed = 40.0 * (both[-1] - both[0])
        assert len(both) <= allowed + 2 * 0.5 * 40 + 2  # each may use what it saved up in half a second
    state = open_state(settings).get(site_key("divided.example"))
    assert state is not None
    assert state[0]["classes"]["rest"]["learned"]["advertised"] == 40.0  # type: ignore[call-overload,index]
