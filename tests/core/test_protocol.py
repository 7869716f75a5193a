"""The whole protocol under any order, any failure, killed anywhere, then resumed: each row once, no watermark back."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.sdk.types import RunState
from tests.core.world import Crash, IntStrategy, MemoryKV, Sink, Source, World


def world_of(seed: int, *, is_upsert: bool, segments: int, rows: int, lookback: int = 0, **rates: float) -> World:
    source = Source(segments=segments)
    for key in range(rows):
        source.change(key)
    return World(
        Random(seed),
        source,
        Sink(is_upsert),
        IntStrategy(source, is_upsert, lookback=lookback),
        MemoryKV(),
        fault_rate=rates.get("fault_rate", 0.0),
        crash_rate=rates.get("crash_rate", 0.0),
    )


def run_until_done(world: World) -> None:
    """Crashes as often as it likes, then once without."""
    for _ in range(12):
        try:
            if world.run() is RunState.SUCCEEDED:
                break
        except Crash:
            continue
    fault_rate, crash_rate = world.fault_rate, world.crash_rate
    world.fault_rate = world.crash_rate = 0.0
    assert world.run() is RunState.SUCCEEDED
    world.fault_rate, world.crash_rate = fault_rate, crash_rate


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    is_upsert=st.booleans(),
    segments=st.integers(1, 3),
    rows=st.integers(0, 40),
    lookback=st.sampled_from([0, 5, 50]),
    fault_rate=st.sampled_from([0.0, 0.1, 0.25]),
    crash_rate=st.sampled_from([0.0, 0.02, 0.1]),
    rounds=st.integers(1, 4),
    mappers=st.sampled_from([0, 2]),
)
def test_every_version_of_every_row_arrives_exactly_once(
    seed: int,
    is_upsert: bool,
    segments: int,
    rows: int,
    lookback: int,
    fault_rate: float,
    crash_rate: float,
    rounds: int,
    mappers: int,
) -> None:
    world = world_of(
        seed,
        is_upsert=is_upsert,
        segments=segments,
        rows=rows,
        lookback=lookback,
        fault_rate=fault_rate,
        crash_rate=crash_rate,
    )
    world.mappers = mappers
    for _ in range(rounds):
        run_until_done(world)
        expected = Counter(world.source.rows.items())
        if is_upsert:
            assert world.sink.content == expected
        else:
            assert expected <= world.sink.content
            assert max(world.sink.content.values(), default=1) == 1, "a row version was doubled"
        for key in world.random.sample(range(rows + 5), k=min(5, rows + 5)):
            world.source.change(key)
    assert world.peak_bytes <= 120


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), crash_rate=st.sampled_from([0.0, 0.05]))
def test_a_whole_commit_is_all_or_nothing(seed: int, crash_rate: float) -> None:
    world = world_of(seed, is_upsert=False, segments=1, rows=30, crash_rate=crash_rate)
    world.is_whole = True
    seen = {0}
    for _ in range(10):
        try:
            world.run()
            break
        except Crash:
            seen.add(len(world.sink.history))
    assert seen <= {0, 30}


def test_a_second_run_over_an_unchanged_source_reads_nothing_again() -> None:
    world = world_of(1, is_upsert=True, segments=2, rows=40)
    world.run()
    world.reads.clear()
    world.run()
    assert all(":" in read and "since" in read for read in world.reads)
    assert world.sink.content == Counter(world.source.rows.items())


def test_committed_slices_are_not_read_again_after_a_crash() -> None:
    world = world_of(3, is_upsert=True, segments=1, rows=40, crash_rate=0.02)
    while True:
        try:
            world.run()
            break
        except Crash:
            pass
    in_sink = Counter(key for key, _ in world.sink.history)
    assert max(in_sink.values()) == 1


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    segments=st.integers(2, 6),
    is_upsert=st.booleans(),
    first_fails=st.booleans(),
    fault_rate=st.sampled_from([0.0, 0.1]),
    crash_rate=st.sampled_from([0.0, 0.03]),
)
def test_a_segment_that_fails_takes_no_other_with_it_and_is_whole_when_it_is_well_again(
    seed: int, segments: int, is_upsert: bool, first_fails: bool, fault_rate: float, crash_rate: float
) -> None:
    world = world_of(
        seed, is_upsert=is_upsert, segments=segments, rows=40 * segments, fault_rate=fault_rate, crash_rate=crash_rate
    )
    world.failed_slices = 3
    broken = "0" if first_fails else str(segments - 1)
    world.broken = {broken}
    others = {row for name in map(str, range(segments)) if name != broken for row in world.source.of(name).items()}
    states = set()
    for _ in range(40):
        world.crash_rate = 0.0 if len(states) else world.crash_rate / 2
        try:
            states.add(world.run())
        except Crash:
            continue
        if set(world.sink.content) == others:
            break
    assert set(world.sink.content) == others, "another segment is not whole"
    assert RunState.SUCCEEDED not in states, "a run that left a segment out said that it had succeeded"
    assert world.failed[broken] < 3 + 3, "a segment that fails was read on and on"
    world.broken = set()
    run_until_done(world)
    assert world.sink.content == Counter(world.source.rows.items())


def test_a_source_of_which_everything_fails_is_given_up() -> None:
    world = world_of(5, is_upsert=True, segments=60, rows=240)
    world.failed_slices = 4
    world.broken = set(map(str, range(60)))
    assert world.run() is RunState.FAILED
    assert sum(world.failed.values()) < 20
