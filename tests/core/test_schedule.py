"""When a unit with an interval is due: for any interval, any clock, and any moment of the decision."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ingest_ray.core.schedule import Decision, Schedule, ScheduleState, decide, jitter_of, next_due, slot
from ingest_ray.sdk.refs import UnitRef

schedules = st.builds(
    Schedule,
    interval_s=st.integers(60, 40 * 86_400),
    jitter_s=st.integers(0, 300),
    catch_up=st.sampled_from(["once", "skip"]),
    grace_s=st.just(60),
)
moments = st.integers(1_600_000_000, 2_200_000_000)
HOUR = Schedule(interval_s=3600)
NOW = 1_700_000_000 - 1_700_000_000 % 3600 + 5


@given(schedules, moments)
def test_every_moment_is_in_one_slot(schedule: Schedule, now: int) -> None:
    start = slot(schedule, now)
    assert start <= now < start + schedule.interval_s
    assert slot(schedule, start) == start
    assert next_due(schedule, now) == start + schedule.interval_s
    assert (start - schedule.jitter_s) % schedule.interval_s == 0


@given(schedules, st.lists(st.integers(1, 20_000), max_size=60), st.data())
def test_no_slot_starts_two_runs_and_nothing_starts_beside_a_run_or_while_it_is_held(
    schedule: Schedule, steps: list[int], data: st.DataObject
) -> None:
    now, last = 1_700_000_000, None
    started: Counter[int] = Counter()
    for step in steps:
        now += step
        known = ScheduleState(
            last_due=last,
            is_running=data.draw(st.booleans()),
            is_held=data.draw(st.booleans()),
            is_full=data.draw(st.booleans()),
        )
        decision = decide(schedule, known, now)
        if decision.starts:
            assert (known.is_running, known.is_held, known.is_full) == (False, False, False)
            assert decision.last_due == slot(schedule, now)
            started[decision.last_due] += 1
        assert last is None or decision.last_due is None or decision.last_due >= last
        last = decision.last_due
    assert all(count == 1 for count in started.values())


@given(schedules, st.integers(2, 50))
def test_somebody_who_looks_often_enough_starts_every_slot_once(schedule: Schedule, slots: int) -> None:
    now = slot(schedule, 1_700_000_000)
    last = decide(schedule, ScheduleState(), now).last_due
    started = 0
    for n in range(1, slots + 1):
        for late in (0, 5, 30):
            decision = decide(schedule, ScheduleState(last_due=last), now + n * schedule.interval_s + late)
            last = decision.last_due
            started += decision.starts
    assert started == slots


def test_a_unit_that_has_just_got_its_schedule_waits_for_the_next_slot() -> None:
    assert decide(HOUR, ScheduleState(), NOW) == Decision(False, NOW - 5)


def test_after_a_long_silence_one_run_makes_up_for_all_that_was_missed_or_none() -> None:
    long_ago = ScheduleState(last_due=NOW - 5 - 100 * 3600)
    assert decide(HOUR, long_ago, NOW + 1800) == Decision(True, NOW - 5)
    assert decide(Schedule(interval_s=3600, catch_up="skip"), long_ago, NOW + 1800) == Decision(False, NOW - 5)
    assert decide(Schedule(interval_s=3600, catch_up="skip"), long_ago, NOW) == Decision(True, NOW - 5)


def test_a_slot_waits_for_the_run_before_it_and_is_forgotten_while_the_unit_is_held() -> None:
    before = NOW - 5 - 3600
    assert decide(HOUR, ScheduleState(last_due=before, is_running=True), NOW) == Decision(False, before)
    assert decide(HOUR, ScheduleState(last_due=before), NOW + 600) == Decision(True, NOW - 5)
    assert decide(HOUR, ScheduleState(last_due=before, is_held=True), NOW) == Decision(False, NOW - 5)


def test_a_clock_that_was_in_the_future_and_is_right_again_does_not_stop_the_schedule() -> None:
    assert decide(HOUR, ScheduleState(last_due=NOW + 10**9), NOW) == Decision(False, NOW - 5)
    assert decide(HOUR, ScheduleState(last_due=NOW - 5), NOW - 7200) == Decision(False, slot(HOUR, NOW - 7200))


@given(st.text(max_size=20), st.text(max_size=20), st.integers(60, 10**7), st.integers(0, 3600))
def test_jitter_is_the_same_every_time_and_within_a_tenth(endpoint: str, unit: str, interval: int, most: int) -> None:
    found = jitter_of(UnitRef(endpoint, unit), interval, most)
    assert found == jitter_of(UnitRef(endpoint, unit), interval, most)
    assert 0 <= found <= min(interval // 10, most)


def test_units_of_one_interval_are_spread() -> None:
    found = {jitter_of(UnitRef("shop", f"table-{n}"), 3600, 300) for n in range(100)}
    assert len(found) > 60
