"""Pseudo-random numbers that depend only on the seed, a purpose and an id.

No number is drawn in sequence, so any body can be generated again at any time, in any order, by any process.
"""

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
_SIXTEEN = struct.Struct("<16I").unpack
WIDTH = 1 << 32


class SeededDraws:
    """Sixteen numbers of 32 bits for each (purpose, number, part)."""

    __slots__ = ("_key", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._key = seed.to_bytes(16, "little", signed=True)

    def __call__(self, what: bytes, number: int, part: int = 0) -> tuple[int, ...]:
        return _SIXTEEN(blake2b(b"%b:%d:%d" % (what, number, part), digest_size=64, key=self._key).digest())

    def chance(self, what: bytes, number: int, share: float) -> bool:
        return self(what, number)[0] < share * WIDTH

    def sample(self, what: bytes, ids: Iterable[int], count: int) -> list[int]:
        """At most `count` of the ids, ascending."""
        return sorted(sorted(ids, key=lambda number: self(what, number))[:count])


def pick(choices: Sequence[T], draw: int) -> T:
    return choices[draw % len(choices)]


def weighted(weights: Sequence[int], draw: int) -> int:
    """The index that a draw falls on, given whole-number weights."""
    point = draw % sum(weights)
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    raise AssertionError("unreachable: the point lies below the sum")
