"""A short form of the simulation, and the proof that it detects bugs. Any length: `python -m tests.simulation --seeds N`."""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import pytest

from tests.simulation.fault_injection import FAULTS
from tests.simulation.history import History
from tests.simulation.mutations import MUTATIONS, mutated

pytestmark = pytest.mark.slow

MOST_HISTORIES = 3_000  # most of the deliberate bugs are detected within a hundred, the last one within 2,000

# The histories that showed the bugs which need the longest search: they are played first. They may be others after a change
# of the protocol; then all are searched, and the history that is printed belongs here.
SHOWN_BY = {
    "intent_not_fenced": 304,
    "last_write_wins": 145,
    "early_stop_taken_for_the_end": 197,
    "lost_answer_taken_for_a_failure": 256,
    "inserts_go_on_after_lost_writes": 248,
    "planning_failure_leaves_the_commit": 148,
    "reset_that_died_is_not_finished": 79,
    "segments_of_a_fold_that_died_not_compared": 883,
}


@pytest.fixture(autouse=True)
def _is_silent() -> Iterator[None]:
    """Histories are full of failures, whose log lines have no use."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", [0, 500])
def test_histories_full_of_faults_lose_and_double_nothing(first: int) -> None:
    fault_counts: Counter[str] = Counter()
    for seed in range(first, first + 500):
        result = History(seed).play()
        assert result.violation is None, f"replay: python -m tests.simulation --seed {seed} --trace"
        fault_counts += result.fault_counts
    assert not set(FAULTS) - set(fault_counts), "a kind of fault never occurred"


def test_a_seed_plays_the_same_history_again() -> None:
    assert History(77).play() == History(77).play()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_deliberate_bug_is_seen(name: str) -> None:
    seeds = chain([SHOWN_BY.get(name, 0)], range(MOST_HISTORIES))
    with mutated(name):
        shown_by = next((seed for seed in seeds if History(seed).play().violation), None)
    assert shown_by is not None, f"'{name}' was not detected"
    print(f"'{name}' is shown by the history {shown_by}")
