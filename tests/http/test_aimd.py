"""The throttle's logic, driven against a token bucket in simulated time."""

import heapq
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.http.aimd import Aimd, Bounds, Grant
from ingest_ray.http.rate_limit_headers import Signal
from tests.searches import examples

OK = Signal()


@dataclass
class Bucket:
    """A server that allows `rate` requests per second, with one second's worth saved up."""

    rate: float
    retry_after_s: float | None = 1.0
    advertises: bool = True
    level: float = field(init=False)
    at: float = 0.0
    refused: int = 0
    served: int = 0

    def __post_init__(self) -> None:
        self.level = self.rate

    def answer(self, now: float) -> Signal:
        self.level = min(self.rate, self.level + (now - self.at) * self.rate)
        self.at = now
        told = self.rate if self.advertises else None
        if self.level < 1:
            self.refused += 1
            return Signal(is_refused=True, wait_s=self.retry_after_s, rate=told)
        self.level -= 1
        self.served += 1
        return Signal(rate=told)


def driven(aimds: list[Aimd], server: Bucket, seconds: float, latency_s: float = 0.1, batch: int = 8) -> None:
    """Clients that always want more, each asking a throttle in turn; events in the order of their time."""
    events: list[tuple[float, int, str, int, int]] = []
    answers: dict[tuple[int, int], Signal] = {}
    count = 0
    for who in range(len(aimds)):
        heapq.heappush(events, (0.0, count, "ask", who, 0))
        count += 1
    while events:
        now, _, what, who, permit = heapq.heappop(events)
        if now > seconds:
            return
        count += 1
        match what:
            case "ask":
                grant = aimds[who].grant(batch, now)
                for place, wait_s in enumerate(grant.waits_s):
                    heapq.heappush(events, (now + wait_s + latency_s / 2, count, "arrive", who, grant.first + place))
                    count += 1
                again = now + (max(grant.waits_s) if grant.waits_s else max(grant.retry_s, 0.005))
                heapq.heappush(events, (max(again, now + 0.001), count, "ask", who, 0))
            case "arrive":
                answers[who, permit] = server.answer(now)
                heapq.heappush(events, (now + latency_s / 2, count, "end", who, permit))
            case _:
                aimds[who].report(permit, answers.pop((who, permit)), now)


def test_an_advertised_limit_is_used_to_95_percent_without_refusals() -> None:
    server = Bucket(50)
    driven([Aimd()], server, 60)
    assert server.served >= 0.95 * 50 * 60
    assert server.refused <= 0.01 * server.served


def test_an_unknown_limit_is_found_and_used() -> None:
    server = Bucket(50, advertises=False)
    driven([Aimd()], server, 120)
    assert server.served >= 0.8 * 50 * 120
    assert server.refused <= 0.02 * server.served


def test_e52_without_retry_after_the_pause_doubles_until_something_is_served() -> None:
    aimd, now, pauses = Aimd(), 0.0, []
    for _ in range(6):
        grant = aimd.grant(1, now)
        while not grant.waits_s:
            now += grant.retry_s
            grant = aimd.grant(1, now)
        now += grant.waits_s[0] + 0.05
        aimd.report(grant.first, Signal(is_refused=True), now)
        pauses.append(round(aimd.state("h", "c", now).paused_s))
    assert pauses == [2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("is_overloaded", "concurrency"), [(False, 16), (True, 8)])
def test_a_refusal_halves_once_for_all_that_were_sent_before_it(is_overloaded: bool, concurrency: int) -> None:
    """A 429 is about the rate; only a 503 is about the requests at once, too."""
    aimd = Aimd(Bounds(first_rate=40, first_concurrency=16, unknown_concurrency=16))
    grant = aimd.grant(8, 0.0)
    assert len(grant.waits_s) == 8
    for place in range(8):
        aimd.report(grant.first + place, Signal(is_refused=True, is_failed=is_overloaded, wait_s=1.0), 0.5)
    assert aimd.rate == 20
    assert aimd.concurrency == concurrency
    assert aimd.refusals == 8


def test_an_hour_of_retry_after_is_told_and_not_waited_for() -> None:
    aimd = Aimd()
    aimd.report(aimd.grant(1, 0.0).first, Signal(is_refused=True, wait_s=3000.0), 0.1)
    later = aimd.grant(1, 1.0)
    assert later.waits_s == ()
    assert later.retry_s > 2000


def test_before_the_first_answer_a_few_requests_are_sent_and_more_if_it_does_not_come() -> None:
    aimd = Aimd()
    assert len(aimd.grant(12, 0.0).waits_s) == 4
    assert aimd.grant(12, 1.0).is_crowded
    more = aimd.grant(12, 11.0)
    assert len(more.waits_s) == 4
    aimd.report(more.first, OK, 11.1)
    assert len(aimd.grant(12, 11.2).waits_s) > 4


def test_lost_permits_come_back() -> None:
    aimd = Aimd(Bounds(first_concurrency=2, first_rate=1000))
    assert len(aimd.grant(5, 0.0).waits_s) == 2
    assert aimd.grant(1, 1.0).waits_s == ()
    assert len(aimd.grant(5, 181.0).waits_s) == 2


def test_a_second_report_of_a_permit_counts_nothing() -> None:
    aimd = Aimd()
    grant = aimd.grant(1, 0.0)
    aimd.report(grant.first, OK, 0.1)
    aimd.report(grant.first, OK, 0.2)
    assert aimd.requests == 1
    assert aimd.state("h", "c", 0.3).in_flight == 0


signals = st.builds(
    Signal,
    is_refused=st.booleans(),
    is_failed=st.booleans(),
    wait_s=st.none() | st.floats(0, 40),
    rate=st.none() | st.floats(0.5, 500),
)


@settings(deadline=None, max_examples=examples(short=60, long=200))
@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 5), st.lists(signals, max_size=6)), max_size=40))
def test_whatever_is_reported_permits_are_unique_spaced_bounded_and_never_in_a_pause(
    steps: list[tuple[int, float, list[Signal]]],
) -> None:
    aimd = Aimd()
    bounds, now, open_permits, seen = aimd.bounds, 0.0, list[int](), set[int]()
    for wanted, passed_s, reports in steps:
        now += passed_s
        paused_until = now + aimd.state("h", "c", now).paused_s
        rate = aimd.rate
        grant: Grant = aimd.grant(wanted, now)
        assert len(grant.waits_s) <= wanted
        moments = [now + wait_s for wait_s in grant.waits_s]
        assert all(moment >= paused_until - 0.002 for moment in moments)
        assert all(moment <= now + bounds.ahead_s + 1 / rate + 1e-6 for moment in moments)
        burst = bounds.burst_s * rate + 1
        for first in range(len(moments)):
            in_second = [moment for moment in moments if moments[first] <= moment < moments[first] + 1]
            assert len(in_second) <= rate + burst + 1
        permits = set(range(grant.first, grant.first + len(moments)))
        assert not permits & seen
        seen |= permits
        open_permits += sorted(permits)
        for signal in reports[: len(open_permits)]:
            aimd.report(open_permits.pop(0), signal, now)
        state = aimd.state("h", "c", now)
        assert state.in_flight <= bounds.most_concurrency
        assert bounds.least_rate <= state.rate <= bounds.most_rate
        assert 1 <= state.concurrency <= bounds.most_concurrency


@settings(deadline=None, max_examples=examples(short=10, long=25))
@given(
    st.floats(5, 120),
    st.sampled_from([0.05, 0.1, 0.3]),
    st.booleans(),
    st.sampled_from([None, 1.0, 3.0]),
    st.integers(1, 16),
)
def test_any_server_is_used_well_and_rarely_refuses(
    rate: float, latency_s: float, advertises: bool, retry_after_s: float | None, batch: int
) -> None:
    server = Bucket(rate, retry_after_s=retry_after_s, advertises=advertises)
    driven([Aimd()], server, 90, latency_s, batch)
    if advertises:  # its burst of the first second is no part of what it bears
        assert server.served >= 0.9 * min(rate, 0.9 * 12 / latency_s) * 90
        assert server.refused <= 0.01 * server.served + 24
    else:
        assert server.served >= 0.75 * min(rate, 0.9 * 12 / latency_s) * 90
        assert server.refused <= 0.1 * server.served + 30


def test_a_permit_is_never_handed_out_below_the_least_rate_or_not_at_all() -> None:
    aimd, now = Aimd(), 0.0
    for _ in range(30):
        grant = aimd.grant(1, now)
        while not grant.waits_s:
            now += grant.retry_s
            grant = aimd.grant(1, now)
        signal = Signal(is_refused=True, is_failed=True, wait_s=0.0)
        aimd.report(grant.first, signal, now + grant.waits_s[0] + 0.01)
        now += grant.waits_s[0] + 0.02
    assert aimd.rate == aimd.bounds.least_rate
    assert aimd.concurrency == 1
    assert now < 200
