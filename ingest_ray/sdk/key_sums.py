"""Counts and sums of keys, by which two systems compare many keys of whole numbers without moving them.

Every database evaluates the same integer arithmetic: remainders with the sign of the dividend, and products below 2^63. Two sets of
keys with the same count and the same two sums are taken for equal: sets that differ in some keys have equal sums by chance
about once in 2^60.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

# Above 2^31, so that databases calculate in 64 bits whatever the type of the column, and below 2^31.5, so that products fit.
MODULUS, FIRST, SECOND, PRODUCT = 3_037_000_493, 3_037_000_453, 3_037_000_447, 3_037_000_427
LONGEST_SPAN = 2**62  # of keys: differences of them fit 64 bits


class KeySum(NamedTuple):
    rows: int
    keys: int
    products: int


class KeyRange(NamedTuple):
    """The keys of `[lower, upper)`, in blocks of `step`."""

    lower: int
    upper: int
    step: int

    def block(self, number: int) -> tuple[int, int]:
        start = self.lower + number * self.step
        return start, min(start + self.step, self.upper)

    @property
    def blocks(self) -> int:
        return -(-(self.upper - self.lower) // self.step)


def sums_sql(key: str, keys: KeyRange, source: str, remainder: Callable[[str, int], str] | None = None) -> str:
    """A query for the sums of every block: its first key relative to `lower`, count, sum of keys, sum of products.

    `key` is the expression of the column, `source` everything from FROM on up to the condition, which has a WHERE.
    """
    rest = remainder or (lambda value, divisor: f"{value} % {divisor}")
    wide = f"({key} + 0 * {MODULUS})"
    offset = f"({wide} - {literal(keys.lower)})"
    block = f"{offset} - {rest(offset, keys.step)}"
    product = rest(f"(({rest(wide, FIRST)}) * ({rest(wide, SECOND)}))", PRODUCT)
    return (
        f"SELECT {block} AS block, count(*) AS n, sum({rest(wide, MODULUS)}) AS k, sum({product}) AS p {source}"
        f" AND {key} >= {literal(keys.lower)} AND {key} < {literal(keys.upper)} GROUP BY {block}"
    )


def literal(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"


def differing_ranges(
    keys: KeyRange, left: Mapping[int, KeySum], right: Mapping[int, KeySum]
) -> Iterator[tuple[int, int]]:
    """Yields the ranges whose sums differ; neighbouring blocks are one range."""
    start: int | None = None
    end = 0
    for number in sorted(left.keys() | right.keys()):
        if left.get(number) == right.get(number):
            continue
        lower, upper = keys.block(number)
        if start is not None and lower != end:
            yield start, end
            start = None
        start = lower if start is None else start
        end = upper
    if start is not None:
        yield start, end
