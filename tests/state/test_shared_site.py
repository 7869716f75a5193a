"""Several processes share the budget of one site through the KV. Simulated time; the processes are objects, the KV is a dictionary."""

import heapq
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from ingest_ray.http.rate_limit_headers import Signal
from ingest_ray.kv.documents import decode, encode
from ingest_ray.kv.keys import site_key
from ingest_ray.sdk.errors import StateConflict, StateUnavailable, StateUnreadable
from ingest_ray.state import shared_site
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import this_process
from ingest_ray.state.shared_site import SharedSite
from ingest_ray.state.site_document import HOLD_S, KEPT_S, SiteDocument, divided
from tests.http.limited_servers import LimitedServer, TokenBucket

HOST, CLASS = "site.example@1", "GET x"


@dataclass
class MemoryKV:
    texts: dict[str, tuple[str, int]] = field(default_factory=dict)
    is_away: bool = False
    puts: int = 0

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None:
        if self.is_away:
            raise StateUnavailable("away")
        found = self.texts.get(key)
        return None if found is None else (decode(key, found[0]), found[1])

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        if self.is_away:
            raise StateUnavailable("away")
        if self.texts.get(key, ("", 0))[1] != if_version:
            raise StateConflict(key)
        self.puts += 1
        self.texts[key] = (encode(key, value), if_version + 1)
        return if_version + 1

    def delete(self, key: str, if_version: int) -> None:
        del self.texts[key]

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        yield from ()

    def document(self) -> SiteDocument:
        return SiteDocument.model_validate(decode(HOST, self.texts[site_key(HOST)][0]))


@dataclass
class Process:
    """`workers` requests at once at most; without, it has nothing to send. `skew_s`: how far its wall clock is off."""

    site: SharedSite
    workers: int
    begins_at: float = 0.0
    ends_at: float = float("inf")
    sent: list[float] = field(default_factory=list)


class World:
    """Real sites, one KV, one limited server; `run` advances the clock."""

    def __init__(self, server: LimitedServer, kv: MemoryKV | None = None, now: float = 0.0) -> None:
        self.server, self.kv, self.now = server, kv or MemoryKV(), now
        self.processes: list[Process] = []
        self._draws = random.Random(1)

    def add(
        self,
        workers: int,
        begins_at: float = 0.0,
        ends_at: float = float("inf"),
        skew_s: float = 0.0,
        host: str = "elsewhere",
    ) -> Process:
        site = SharedSite(
            self.kv,
            HOST,
            clock=lambda: self.now,
            wall=lambda: 1_000_000.0 + self.now + skew_s,
            owner=Owner(host=host, pid=1, started="1"),
            is_threaded=False,
        )
        self.processes.append(Process(site, workers, begins_at, ends_at))
        return self.processes[-1]

    def run(self, seconds: float, latency_s: float = 0.05, away: tuple[float, float] = (0.0, 0.0)) -> None:
        """`away`: when the KV does not answer."""
        events: list[tuple[float, int, str, Process, int, Signal | None]] = []
        count, end = 0, self.now + seconds

        def add(at: float, what: str, process: Process, permit: int = 0, signal: Signal | None = None) -> None:
            nonlocal count
            count += 1
            heapq.heappush(events, (at, count, what, process, permit, signal))

        for process in self.processes:
            add(max(self.now, process.begins_at) + self._draws.random(), "synchronize", process)
            for _ in range(process.workers):
                add(max(self.now, process.begins_at), "ask", process)
        while events and events[0][0] <= end:
            self.now, _, what, process, permit, signal = heapq.heappop(events)
            self.kv.is_away = away[0] <= self.now < away[1]
            if self.now > process.ends_at:
                continue
            match what:
                case "synchronize":
                    self._synchronize(process)
                    add(self.now + shared_site.SYNC_S, what, process)
                case "ask":
                    grant = process.site.grant(CLASS, 1, 1)
                    half_s = latency_s / 2 * self._draws.uniform(0.9, 1.1)
                    if grant.waits_s:
                        add(self.now + grant.waits_s[0] + half_s, "arrive", process, grant.first)
                    else:
                        add(self.now + min(0.05, max(0.001, grant.retry_s)), "ask", process)
                case "arrive":
                    answer = self.server.answer(self.now)
                    process.sent.append(self.now)
                    add(self.now + latency_s / 2, "end", process, permit, answer)
                case _:
                    assert signal is not None
                    process.site.report(CLASS, permit, signal)
                    if signal.is_refused:
                        self._synchronize(process)
                    add(self.now, "ask", process)
        self.now = end

    def _synchronize(self, process: Process) -> None:
        with suppress(StateUnavailable):
            process.site.synchronize()


def served_between(server: LimitedServer, begin: float, end: float) -> int:
    return sum(begin <= moment < end for moment in server.counts.served_at)


def sent_between(process: Process, begin: float, end: float) -> int:
    return sum(begin <= moment < end for moment in process.sent)


@pytest.mark.parametrize("advertises", [True, False])
@pytest.mark.parametrize("processes", [1, 3])
def test_processes_use_the_limit_together_with_few_refusals(processes: int, advertises: bool) -> None:
    world = World(TokenBucket(20.0, advertises=advertises))
    for number in range(processes):
        world.add(workers=8, begins_at=2.0 * number)
    world.run(240)
    counts = world.server.counts
    assert served_between(world.server, 100, 240) >= 0.92 * 20 * 140
    assert counts.refused <= 0.02 * counts.served + 40
    fair = 20 * 140 / processes
    for process in world.processes:
        assert sent_between(process, 100, 240) >= 0.85 * fair


def test_what_an_idle_process_does_not_use_goes_to_the_others() -> None:
    world = World(TokenBucket(20.0, advertises=True))
    busy, _ = world.add(workers=8), world.add(workers=8, ends_at=float("inf"), begins_at=1e9)
    little = world.add(workers=1)
    little.site.grant(CLASS, 1, 1)
    little.workers = 0  # it has a share, and sends nothing more
    world.run(100)
    assert sent_between(busy, 20, 100) >= 0.9 * 20 * 80


def test_a_process_with_little_to_do_gets_it_and_leaves_the_rest() -> None:
    world = World(TokenBucket(40.0, advertises=True))
    busy, slow = world.add(workers=16), world.add(workers=1)
    world.run(100, latency_s=0.25)
    assert sent_between(slow, 20, 100) >= 0.7 * 80 / 0.3
    assert sent_between(busy, 20, 100) + sent_between(slow, 20, 100) >= 0.88 * 40 * 80


def test_the_share_of_a_dead_process_returns() -> None:
    world = World(TokenBucket(20.0, advertises=True))
    lives, _ = world.add(workers=8), world.add(workers=8, ends_at=100.0)
    world.run(200)
    assert sent_between(lives, 50, 100) <= 0.6 * 20 * 50
    assert sent_between(lives, 100 + HOLD_S + 3, 200) >= 0.9 * 20 * (97 - HOLD_S)


def test_the_share_of_a_process_of_this_host_returns_at_once() -> None:
    world = World(TokenBucket(20.0, advertises=True))
    lives = world.add(workers=8)
    world.add(workers=8, ends_at=50.0, host=this_process().host)  # its pid is not that of the live process 1
    world.run(53)
    assert [one.holder_id for one in world.kv.document().holders] == [lives.site._holder_id]


def test_shares_never_add_up_to_more_than_the_whole() -> None:
    world = World(TokenBucket(20.0))
    for number in range(4):
        world.add(workers=4, begins_at=7.0 * number, ends_at=60.0 + 9 * number)
    for _ in range(400):
        world.run(0.25)
        held = [one.shares[CLASS].share for one in world.kv.document().holders if CLASS in one.shares]
        assert sum(held) <= 1.0 + 1e-6


def test_a_later_process_begins_with_the_rate_that_was_learnt() -> None:
    kv, server = MemoryKV(), TokenBucket(10.0)
    first = World(server, kv)
    first.add(workers=8)
    first.run(200)
    first.processes[0].site.leave()
    second = World(server, kv, now=200 + KEPT_S / 2)
    second.add(workers=8)
    refused = server.counts.refused
    second.run(60)
    assert server.counts.refused - refused <= 5
    assert served_between(server, 200, 1e9) >= 0.9 * 10 * 55


def test_after_half_an_hour_the_rate_is_learnt_anew() -> None:
    kv = MemoryKV()
    first = World(TokenBucket(10.0), kv)
    first.add(workers=8)
    first.run(100)
    first.processes[0].site.leave()
    later = World(TokenBucket(10.0), kv, now=101 + KEPT_S)
    process = later.add(workers=1)
    later.run(0.05)
    assert process.site.states()[0].rate == 50.0


def test_without_the_kv_a_process_keeps_its_share_and_learns_alone() -> None:
    world = World(TokenBucket(20.0))
    world.add(workers=8), world.add(workers=8)
    world.run(300, away=(100, 200))
    assert served_between(world.server, 120, 300) >= 0.85 * 20 * 180
    assert world.server.counts.refused <= 0.04 * world.server.counts.served + 40


def test_a_process_without_a_share_waits_for_the_kv_and_gives_up_after_a_minute() -> None:
    world = World(TokenBucket(20.0), MemoryKV(is_away=True))
    process = world.add(workers=1)
    assert not process.site.grant(CLASS, 1, 1).waits_s
    world.now = 30.0
    assert not process.site.grant(CLASS, 1, 1).waits_s
    world.now = 70.0
    with pytest.raises(StateUnavailable):
        process.site.grant(CLASS, 1, 1)


def test_the_first_requests_of_several_classes_do_not_wait_for_each_other() -> None:
    """A reader of Confluence's cloud asks a dozen: a tenth of a second for each was a second of every small run."""
    site = World(TokenBucket(20.0)).add(workers=1).site
    assert all(site.grant(f"class {number}", 1, 1).waits_s for number in range(5))


def test_a_document_of_an_unknown_version_is_refused() -> None:
    kv = MemoryKV()
    kv.put(site_key(HOST), {"schema_number": 2}, 0)
    process = World(TokenBucket(20.0), kv).add(workers=1)
    with pytest.raises(StateUnreadable, match="schema number 2"):
        process.site.grant(CLASS, 1, 1)


def test_clocks_that_differ_cost_no_limit() -> None:
    world = World(TokenBucket(20.0))
    world.add(workers=8), world.add(workers=8, skew_s=4.0)
    world.run(300)
    assert served_between(world.server, 100, 300) >= 0.85 * 20 * 200
    assert world.server.counts.refused <= 0.04 * world.server.counts.served + 40


def test_a_quota_is_known_to_all_processes() -> None:
    world = World(TokenBucket(20.0))
    one, other = world.add(workers=1), world.add(workers=1)
    grant = one.site.grant(CLASS, 1, 1)
    one.site.report(
        CLASS, grant.first, Signal(is_refused=True, is_quota_refused=True, wait_s=1800.0, reason="jira-quota")
    )
    one.site.synchronize()
    for _ in range(3):
        world.now += 1.0
        one.site.synchronize(), other.site.grant(CLASS, 1, 1)
    refused = other.site.grant("another", 1, 1)
    assert refused.is_quota
    assert refused.retry_s == pytest.approx(1800, abs=10)


def test_fifty_processes_and_classes_fit_into_the_document() -> None:
    world = World(TokenBucket(200.0))
    for number in range(60):
        process = world.add(workers=1, host=f"a-host-with-a-long-name-{number}/{'b' * 36}/pid:[4026531836]")
        for endpoint_class in range(5):
            process.site.grant(f"GET /rest/api/3/some/path/{endpoint_class + number % 60}", 1, 1)
            world.now += 0.2
            process.site.synchronize()
    assert len(world.kv.document().holders) <= 48


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=2), st.none() | st.floats(0, 100), min_size=1, max_size=6), st.floats(0.2, 200))
def test_a_rate_is_divided_wholly_and_nobody_who_wants_more_gets_less_than_another(
    wants: dict[str, float | None], rate: float
) -> None:
    shares = divided(wants, rate)
    assert sum(shares.values()) == pytest.approx(1.0)
    hungry = [shares[name] for name in wants if wants[name] is None]
    assert all(share >= max(shares.values()) - 1e-9 for share in hungry)
