"""Finds pages that changed without a new version: moved below another parent or to another space, trashed, archived or restored.

Search knows no date of such changes. So each run lists the tree of every space (ids, parents, status, no bodies) and compares it with
the tree of the run before. The checkpoint keeps a digest of the tree: pages fall into buckets by their id, and the digest has the sum
of the hashes of each bucket's pages. All pages of a changed bucket are read again; a bucket of a large space has some 200.

A position on this axis is `(digest, created before)`. Pages created later are not in the digest, so that a new page, which search
finds, changes no bucket. Between the two ends of a scope a position is `("~", bucket, id)`.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from ingest_ray.sdk.types import Interval, Position
from ingest_strategies.confluence.api.contract import TreePage

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
WIDTH = 4  # signs of one bucket: 24 bits
MASK = (1 << 6 * WIDTH) - 1
PAGES_PER_BUCKET = 48
MOST_BUCKETS = 512  # 2 KiB in the checkpoint
WITHIN_SCOPE = "~"
"""Marks a position between the two ends of a scope."""
KINDS = ("page", "blogpost")


@dataclass
class PageTree:
    """The pages of one space, as numbers: a million of them are some 25 MB."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    created: "array[int]" = field(default_factory=lambda: array("q"))
    hashes: "array[int]" = field(default_factory=lambda: array("I"))
    flags: bytearray = field(default_factory=bytearray)
    """Bit 0: a blog post; bit 1: not current."""
    recent: list[str] = field(default_factory=list)
    """Names of current pages that were changed recently."""

    def add(self, page: TreePage) -> None:
        self.ids.append(page.id)
        self.created.append(page.created_ms)
        self.hashes.append(
            int.from_bytes(blake2b(f"{page.id} {page.location}".encode(), digest_size=4).digest(), "big") & MASK
        )
        self.flags.append(KINDS.index(page.type) | (page.status != "current") << 1)

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self, buckets: int, before_ms: int) -> str:
        sums = [0] * buckets
        for number, created, value in zip(self.ids, self.created, self.hashes, strict=True):
            if created < before_ms:
                bucket = bucket_of(number, buckets)
                sums[bucket] = (sums[bucket] + value + 1) & MASK
        return "".join(encoded(value) for value in sums)

    def position(self, before_ms: int, known: Position | None) -> Position:
        """The tree's current position. Keeps the known number of buckets unless the space has outgrown it."""
        fitting = buckets_for(len(self))
        current = len(str(known[0])) // WIDTH if is_digest(known) and known is not None else 0
        buckets = current if current and fitting // 4 < current else fitting
        return (self.digest(buckets, before_ms), before_ms)

    def is_unchanged(self, known: Position | None, before_ms: int) -> bool:
        """True where no page changed, and no page was created that a new digest has and the known one has not."""
        if known is None or not is_digest(known) or self.changed(known):
            return False
        return not any(int(known[1]) <= created < before_ms for created in self.created)

    def changed(self, known: Position | None) -> list[tuple[int, int]]:
        """(bucket, index in the tree) of the pages to be read again, in the order of buckets and ids.

        Without a known position: the pages that are not current, because a load reads all that are current. With one that is no
        digest: all pages.
        """
        if known is None:
            selected = ((0, index) for index in range(len(self)) if self.flags[index] & 2)
        elif not is_digest(known):
            selected = ((0, index) for index in range(len(self)))
        else:
            old, before_ms = str(known[0]), int(known[1])
            buckets = len(old) // WIDTH
            new = self.digest(buckets, before_ms)
            differing = {
                bucket
                for bucket in range(buckets)
                if old[WIDTH * bucket : WIDTH * (bucket + 1)] != new[WIDTH * bucket : WIDTH * (bucket + 1)]
            }
            by_bucket = ((bucket_of(number, buckets), index) for index, number in enumerate(self.ids))
            selected = ((bucket, index) for bucket, index in by_bucket if bucket in differing)
        return sorted(selected, key=lambda entry: (entry[0], self.ids[entry[1]]))


def is_digest(position: Position | None) -> bool:
    return (
        position is not None
        and len(position) == 2
        and len(str(position[0])) % WIDTH == 0
        and position[0] != WITHIN_SCOPE
    )


def bucket_of(number: int, buckets: int) -> int:
    """Spreads consecutive ids over the buckets."""
    return (number * 0x9E3779B1 >> 7) % buckets


def buckets_for(pages: int) -> int:
    buckets = 1
    while buckets < MOST_BUCKETS and buckets * PAGES_PER_BUCKET < pages:
        buckets *= 2
    return buckets


def encoded(value: int) -> str:
    return "".join(SIGNS[value >> 6 * digit & 63] for digit in range(WIDTH))


def build_tree(listing: Iterable[Iterable[TreePage]], recent_ms: int = 1 << 62) -> PageTree:
    """`recent_ms`: pages changed since then are recent."""
    tree, seen = PageTree(), set[int]()
    for pages in listing:
        for page in pages:
            if page.id not in seen:
                seen.add(page.id)
                tree.add(page)
                if page.status == "current" and page.modified_ms >= recent_ms:
                    tree.recent.append(page_name(page.type, page.id))
    return tree


def cut_by_buckets(
    tree: PageTree, known: Position | None, gap: Interval, most: int
) -> Iterator[tuple[Position | None, list[str]]]:
    """Ends of slices, each with the names of its pages. The last end is the gap's own."""
    lower = bucket_position(gap.lower) or (-1, -1)
    upper = bucket_position(gap.upper)
    pages = [
        (bucket, index)
        for bucket, index in tree.changed(known)
        if lower < (bucket, tree.ids[index]) and (upper is None or (bucket, tree.ids[index]) <= upper)
    ]
    while len(pages) > most:
        head, pages = pages[:most], pages[most:]
        bucket, index = head[-1]
        yield (WITHIN_SCOPE, bucket, tree.ids[index]), page_names(tree, head)
    yield gap.upper, page_names(tree, pages)


def bucket_position(position: Position | None) -> tuple[int, int] | None:
    """(bucket, id) of a position between the two ends of a scope; None for an end."""
    return (int(position[1]), int(position[2])) if position is not None and position[0] == WITHIN_SCOPE else None


def page_name(kind: str, number: int | str) -> str:
    """`p1` for page 1, `b1` for blog post 1."""
    return f"{kind[0]}{number}"


def page_names(tree: PageTree, pages: Sequence[tuple[int, int]]) -> list[str]:
    return [page_name(KINDS[tree.flags[index] & 1], tree.ids[index]) for _, index in pages]


def parse_page_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """(type, id)"""
    return [(KINDS[name[0] == "b"], name[1:]) for name in names]
