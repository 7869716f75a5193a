"""The whole protocol under any order, any failure, killed anywhere, then resumed: each row once, no watermark back."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.models import RunState
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
