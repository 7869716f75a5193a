"""What moved without a new version: a page below another parent or in another space, trashed, archived or restored.

Nothing of that has a date that search knows. So each run lists the tree of every space (ids, parents, status, no bodies), and
compares it with what it was. What is remembered is not the tree but its digest: pages fall into buckets by their number, and each bucket has
the sum of its pages' hashes. Pages of a bucket that has changed are read again, all of them; there are some 200 in one of a large space.

A position on this axis is `(digest, created before)`: pages that were made later are not in the digest, so that a new page, which search
finds, changes no bucket. Between the two ends of a scope a position is `("~", bucket, id)`.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from ingest_ray.sdk.types import Interval, Position
from ingest_strategies.confluence.api.client import Leaf

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
WIDTH = 4  # signs of one bucket: 24 bits
MASK = (1 << 6 * WIDTH) - 1
PAGES_PER_BUCKET = 48
MOST_BUCKETS = 512  # 2 KiB in the checkpoint
PARTLY = "~"
KINDS = ("page", "blogpost")


@dataclass
class Tree:
    """The pages of one space, as numbers: a million of them are some 25 MB."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    created: "array[int]" = field(default_factory=lambda: array("q"))
    hashes: "array[int]" = field(default_factory=lambda: array("I"))
    flags: bytearray = field(default_factory=bytearray)
    """Bit 0: a blog post; bit 1: not current."""
    recent: list[str] = field(default_factory=list)
    """Current pages that were changed lately, as `p1` or `b1`."""

    def add(self, leaf: Leaf) -> None:
        self.ids.append(leaf.id)
        self.created.append(leaf.created_ms)
        self.hashes.append(
            int.from_bytes(blake2b(f"{leaf.id} {leaf.place}".encode(), digest_size=4).digest(), "big") & MASK
        )
        self.flags.append(KINDS.index(leaf.type) | (leaf.status != "current") << 1)

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self, buckets: int, before_ms: int) -> str:
        sums = [0] * buckets
        for number, created, value in zip(self.ids, self.created, self.hashes, strict=True):
            if created < before_ms:
                bucket = bucket_of(number, buckets)
                sums[bucket] = (sums[bucket] + value + 1) & MASK
        return "".join(spelled(value) for value in sums)

    def position(self, before_ms: int, known: Position | None) -> Position:
        """Where the tree is now. The number of buckets stays as it was, unless the space has grown out of it."""
        wanted = buckets_for(len(self))
        before = len(str(known[0])) // WIDTH if is_digest(known) and known is not None else 0
        buckets = before if before and wanted // 4 < before else wanted
        return (self.digest(buckets, before_ms), before_ms)

    def is_as_before(self, known: Position | None, before_ms: int) -> bool:
        """Nothing moved, and there is no page yet that a new digest would hold and the known one does not."""
        if known is None or not is_digest(known) or self.changed(known):
            return False
        return not any(int(known[1]) <= created < before_ms for created in self.created)

    def changed(self, known: Position | None) -> list[tuple[int, int]]:
        """(bucket, place in the tree) of the pages to be read again, in the order of buckets and ids.

        Where nothing is known the tree is only remembered: a load reads all that is current, so only the rest is left to read.
        Where what is known makes no sense, all pages are.
        """
        if known is None:
            chosen = ((0, place) for place in range(len(self)) if self.flags[place] & 2)
        elif not is_digest(known):
            chosen = ((0, place) for place in range(len(self)))
        else:
            old, before_ms = str(known[0]), int(known[1])
            buckets = len(old) // WIDTH
            now = self.digest(buckets, before_ms)
            moved = {b for b in range(buckets) if old[WIDTH * b : WIDTH * (b + 1)] != now[WIDTH * b : WIDTH * (b + 1)]}
            by_bucket = ((bucket_of(number, buckets), place) for place, number in enumerate(self.ids))
            chosen = ((bucket, place) for bucket, place in by_bucket if bucket in moved)
        return sorted(chosen, key=lambda one: (one[0], self.ids[one[1]]))


def is_digest(position: Position | None) -> bool:
    return position is not None and len(position) == 2 and len(str(position[0])) % WIDTH == 0 and position[0] != PARTLY


def bucket_of(number: int, buckets: int) -> int:
    """Numbers that follow each other are spread."""
    return (number * 0x9E3779B1 >> 7) % buckets


def buckets_for(pages: int) -> int:
    buckets = 1
    while buckets < MOST_BUCKETS and buckets * PAGES_PER_BUCKET < pages:
        buckets *= 2
    return buckets


def spelled(value: int) -> str:
    return "".join(SIGNS[value >> 6 * place & 63] for place in range(WIDTH))


def tree_of(leaves: Iterable[Iterable[Leaf]], recent_ms: int = 1 << 62) -> Tree:
    tree, seen = Tree(), set[int]()
    for page in leaves:
        for leaf in page:
            if leaf.id not in seen:
                seen.add(leaf.id)
                tree.add(leaf)
                if leaf.status == "current" and leaf.modified_ms >= recent_ms:
                    tree.recent.append(f"{leaf.type[0]}{leaf.id}")
    return tree


def pieces(tree: Tree, known: Position | None, gap: Interval, most: int) -> Iterator[tuple[Position | None, list[str]]]:
    """Ends, and the pages up to there as `p1` or `b1`. The last one ends where the gap does."""
    after = (int(gap.lower[1]), int(gap.lower[2])) if gap.lower is not None and gap.lower[0] == PARTLY else (-1, -1)
    until = (int(gap.upper[1]), int(gap.upper[2])) if gap.upper is not None and gap.upper[0] == PARTLY else None
    chosen = [
        (bucket, place)
        for bucket, place in tree.changed(known)
        if after < (bucket, tree.ids[place]) and (until is None or (bucket, tree.ids[place]) <= until)
    ]
    while len(chosen) > most:
        held, chosen = chosen[:most], chosen[most:]
        bucket, place = held[-1]
        yield (PARTLY, bucket, tree.ids[place]), names(tree, held)
    yield gap.upper, names(tree, chosen)


def names(tree: Tree, chosen: Sequence[tuple[int, int]]) -> list[str]:
    return [f"{'b' if tree.flags[place] & 1 else 'p'}{tree.ids[place]}" for _, place in chosen]


def parsed(names: Iterable[str]) -> list[tuple[str, str]]:
    """(type, id)"""
    return [(KINDS[name[0] == "b"], name[1:]) for name in names]
