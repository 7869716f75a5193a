"""The whole protocol under any order and any failure, killed anywhere, then resumed: each row once, and no watermark moves back."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.sdk.types import RunState
from tests.core.in_memory_installation import Crash, InMemoryInstallation, IntStrategy, MemoryKV, Sink, Source
from tests.searches import examples


def installation_of(
    seed: int, *, is_upsert: bool, segments: int, rows: int, lookback: int = 0, **rates: float
) -> InMemoryInstallation:
    source = Source(segments=segments)
    for key in range(rows):
        source.change(key)
    return InMemoryInstallation(
        Random(seed),
        source,
        Sink(is_upsert),
        IntStrategy(source, is_upsert, lookback=lookback),
        MemoryKV(),
        fault_rate=rates.get("fault_rate", 0.0),
        crash_rate=rates.get("crash_rate", 0.0),
    )


def run_until_done(installation: InMemoryInstallation) -> None:
    """Runs with crashes and faults, then once without."""
    for _ in range(12):
        try:
            if installation.run() is RunState.SUCCEEDED:
                break
        except Crash:
            continue
    fault_rate, crash_rate = installation.fault_rate, installation.crash_rate
    installation.fault_rate = installation.crash_rate = 0.0
    assert installation.run() is RunState.SUCCEEDED
    installation.fault_rate, installation.crash_rate = fault_rate, crash_rate


@settings(max_examples=examples(short=120, long=300), deadline=None)
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
    installation = installation_of(
        seed,
        is_upsert=is_upsert,
        segments=segments,
        rows=rows,
        lookback=lookback,
        fault_rate=fault_rate,
        crash_rate=crash_rate,
    )
    installation.mappers = mappers
    for _ in range(rounds):
        run_until_done(installation)
        expected = Counter(installation.source.rows.items())
        if is_upsert:
            assert installation.sink.content == expected
        else:
            assert expected <= installation.sink.content
            assert max(installation.sink.content.values(), default=1) == 1, "a row version was doubled"
        for key in installation.random.sample(range(rows + 5), k=min(5, rows + 5)):
            installation.source.change(key)
    assert installation.peak_bytes <= 120


@settings(max_examples=examples(short=40, long=100), deadline=None)
@given(seed=st.integers(0, 2**32), crash_rate=st.sampled_from([0.0, 0.05]))
def test_a_whole_commit_is_all_or_nothing(seed: int, crash_rate: float) -> None:
    installation = installation_of(seed, is_upsert=False, segments=1, rows=30, crash_rate=crash_rate)
    installation.is_whole = True
    seen = {0}
    for _ in range(10):
        try:
            installation.run()
            break
        except Crash:
            seen.add(len(installation.sink.history))
    assert seen <= {0, 30}


def test_a_second_run_over_an_unchanged_source_reads_nothing_again() -> None:
    installation = installation_of(1, is_upsert=True, segments=2, rows=40)
    installation.run()
    installation.reads.clear()
    installation.run()
    assert all(":" in read and "since" in read for read in installation.reads)
    assert installation.sink.content == Counter(installation.source.rows.items())


def test_committed_slices_are_not_read_again_after_a_crash() -> None:
    installation = installation_of(3, is_upsert=True, segments=1, rows=40, crash_rate=0.02)
    while True:
        try:
            installation.run()
            break
        except Crash:
            pass
    in_sink = Counter(key for key, _ in installation.sink.history)
    assert max(in_sink.values()) == 1


@settings(max_examples=examples(short=60, long=150), deadline=None)
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
    installation = installation_of(
        seed, is_upsert=is_upsert, segments=segments, rows=40 * segments, fault_rate=fault_rate, crash_rate=crash_rate
    )
    installation.failed_slices = 3
    broken = "0" if first_fails else str(segments - 1)
    installation.broken = {broken}
    others = {
        row for name in map(str, range(segments)) if name != broken for row in installation.source.of(name).items()
    }
    states = set()
    for _ in range(40):
        installation.crash_rate = 0.0 if len(states) else installation.crash_rate / 2
        try:
            states.add(installation.run())
        except Crash:
            continue
        if set(installation.sink.content) == others:
            break
    assert set(installation.sink.content) == others, "another segment is not whole"
    assert RunState.SUCCEEDED not in states, "a run that left a segment out said that it had succeeded"
    assert installation.failed[broken] < 3 + 3, "a segment that fails was read on and on"
    installation.broken = set()
    run_until_done(installation)
    assert installation.sink.content == Counter(installation.source.rows.items())


def test_a_source_of_which_everything_fails_is_given_up() -> None:
    installation = installation_of(5, is_upsert=True, segments=60, rows=240)
    installation.failed_slices = 4
    installation.broken = set(map(str, range(60)))
    assert installation.run() is RunState.FAILED
    assert sum(installation.failed.values()) < 20
