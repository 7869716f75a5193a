"""A short form of the simulation, and the proof that it sees bugs. Any length: `python -m tests.simulation --seeds N`."""

import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation.chance import KINDS
from tests.simulation.mutations import MUTATIONS, mutated
from tests.simulation.world import World

pytestmark = pytest.mark.slow

ENOUGH = 3_000  # histories; most of the deliberate bugs are seen within a hundred, the last one within 2,000


@pytest.fixture(autouse=True)
def _is_silent() -> Iterator[None]:
    """Histories are full of failures, and their log lines tell nobody anything."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", [0, 500])
def test_histories_full_of_faults_lose_and_double_nothing(first: int) -> None:
    struck: Counter[str] = Counter()
    for seed in range(first, first + 500):
        result = World(seed).play()
        assert result.violation is None, f"replay: python -m tests.simulation --seed {seed} --trace"
        struck += result.struck
    assert not set(KINDS) - set(struck), "a kind of fault never struck"


def test_a_seed_plays_the_same_history_again() -> None:
    assert World(77).play() == World(77).play()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_deliberate_bug_is_seen(name: str) -> None:
    with mutated(name):
        assert any(World(seed).play().violation for seed in range(ENOUGH)), f"'{name}' was not seen"
