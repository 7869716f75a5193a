"""A short form of the simulation, and the proof that it detects bugs. Any length: `python -m tests.simulation --seeds N`."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import pytest

from tests.simulation.fault_injection import FAULTS, WORLD_FAULTS
from tests.simulation.history import History
from tests.simulation.logs.log_server import LOG_FAULTS
from tests.simulation.mutations import MUTATIONS, SHOWN_BY_FILE, first_violation
from tests.simulation.worlds import DATABASE, LAKE, LOG, PROTOCOL, SQL_SINK

pytestmark = pytest.mark.slow

HISTORIES = {
    PROTOCOL: 300,
    DATABASE: 100,
    SQL_SINK: 30,
    LOG: 60,
    LAKE: 10,
}  # about as many seconds as 1,000 of the protocol alone
MOST_HISTORIES = 3_000
PINNED = {
    "an intent whose prepared rows were lost, then a store that lost the next one": (DATABASE, 2510),
    "an intent that was dropped, then a store that lost the next one": (PROTOCOL, 975),
    "a replacement under an epoch that was raised after its scopes were recorded": (SQL_SINK, 1025865),
    "a unit that was set apart between two looks at its slots": (LOG, 2000),
}
"""Histories that lost or doubled rows once."""
RARE = {"log: slot copied": (LOG, 296)}
"""Histories with faults that few others have."""

# The histories that showed the bugs when they were last searched for: they are played first. They may be others after a change of
# the protocol; then all are searched, and `python -m tests.simulation --find-mutations` writes the file anew.
SHOWN_BY: dict[str, list[int]] = json.loads(SHOWN_BY_FILE.read_text())


@pytest.fixture(autouse=True)
def _is_silent() -> Iterator[None]:
    """Histories are full of failures, whose log lines have no use."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def play(world: str, first: int, count: int) -> Counter[str]:
    fault_counts: Counter[str] = Counter()
    for seed in range(first, first + count):
        result = History(seed, world).play()
        assert result.violation is None, f"replay: python -m tests.simulation --seed {seed} --world '{world}' --trace"
        fault_counts += result.fault_counts
    return fault_counts


def test_histories_full_of_faults_lose_and_double_nothing() -> None:
    fault_counts: Counter[str] = Counter()
    for world, count in HISTORIES.items():
        fault_counts += play(world, 0, count)
    for world, seed in RARE.values():
        fault_counts += play(world, seed, 1)
    missing = {*FAULTS, *WORLD_FAULTS, *LOG_FAULTS} - set(fault_counts)
    assert not missing, f"kinds of fault that never occurred: {missing}"


@pytest.mark.faults
@pytest.mark.parametrize("world", HISTORIES)
def test_many_more_histories(world: str) -> None:
    play(world, 1_000, 3_000)


@pytest.mark.parametrize("kind", PINNED)
def test_a_history_that_lost_rows_once_loses_none(kind: str) -> None:
    world, seed = PINNED[kind]
    play(world, seed, 1)


@pytest.mark.parametrize("world", HISTORIES)
def test_a_seed_plays_the_same_history_again(world: str) -> None:
    assert History(77, world).play() == History(77, world).play()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_deliberate_bug_is_seen(name: str) -> None:
    shown_by = first_violation(name, chain(SHOWN_BY.get(name, []), range(MOST_HISTORIES)))
    assert shown_by is not None, f"'{name}' was not detected"
    print(f"'{name}' is shown by the history {shown_by}")
