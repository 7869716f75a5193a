"""Finds pages that changed without a new version: moved below another parent or to another space, trashed, archived or restored.

Search knows no date of such changes. So each run lists the tree of every space (ids, parents, status, no bodies) and compares it with
the tree of the run before. The checkpoint keeps a digest of the tree: pages fall into buckets by their id, in two ways that are
independent, and the digest has the sum of the hashes of each bucket's pages. A page is read again where both of its buckets changed:
of d changes among n pages in two times b buckets, besides the changed ones, some n (d/b)^2.

A position on this axis is `(digest, created before)`. Pages created later are not in the digest, so that a new page, which search
finds unless it is in the trash already, changes no bucket. Between the two ends of a scope a position is `("~", bucket, id)`; the bucket is that of the first way.
Digests of earlier versions have one way, and no `TWO_WAYS` before it: all pages of a changed bucket are read again.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from ingest_ray.sdk.types import Interval, Position
from ingest_strategies.confluence.api.contract import TreePage

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
WIDTH = 4  # signs of one bucket: 24 bits
MASK = (1 << 6 * WIDTH) - 1
PAGES_PER_BUCKET = 16
MOST_BUCKETS = 256  # of each way: 2 KiB in the checkpoint
TWO_WAYS = "...."
"""Begins a digest of two ways; as wide as a bucket, and no sum."""
WITHIN_SCOPE = "~"
"""Marks a position between the two ends of a scope."""
NO_DIGEST: Position = ("none",)
"""Where a space was loaded and its tree is not known: every page may have moved since."""
KINDS = ("page", "blogpost")


def first_bucket(number: int, buckets: int) -> int:
    """Spreads consecutive ids over the buckets."""
    return (number * 0x9E3779B1 >> 7) % buckets


def second_bucket(number: int, buckets: int) -> int:
    """Spreads the ids of a bucket of the first way over all buckets."""
    return ((number * 0xC2B2AE3D27D4EB4F & 0xFFFFFFFFFFFFFFFF) >> 40) % buckets


BucketOf = Callable[[int, int], int]
"""(id, number of buckets) -> bucket"""
WAYS: tuple[BucketOf, ...] = (first_bucket, second_bucket)


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
        """Of two ways."""
        return TWO_WAYS + "".join(self.sums(way, buckets, before_ms) for way in WAYS)

    def sums(self, bucket_of: BucketOf, buckets: int, before_ms: int) -> str:
        sums = [0] * buckets
        for number, created, value in zip(self.ids, self.created, self.hashes, strict=True):
            if created < before_ms:
                bucket = bucket_of(number, buckets)
                sums[bucket] = (sums[bucket] + value + 1) & MASK
        return "".join(encoded(value) for value in sums)

    def position(self, before_ms: int, known: Position | None) -> Position:
        """The tree's current position. Keeps the known number of buckets unless the space has outgrown it."""
        fitting = buckets_for(len(self))
        current = len(ways_of(str(known[0]))[0]) // WIDTH if is_digest(known) and known is not None else 0
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
        selected: Iterator[tuple[int, int]]
        if known is None:
            selected = ((0, index) for index in range(len(self)) if self.flags[index] & 2)
        elif not is_digest(known):
            selected = ((0, index) for index in range(len(self)))
        else:
            selected = self._differing(ways_of(str(known[0])), int(known[1]))
        return sorted(selected, key=lambda entry: (entry[0], self.ids[entry[1]]))

    def _differing(self, ways: Sequence[str], before_ms: int) -> Iterator[tuple[int, int]]:
        """(bucket of the first way, index) of the pages whose bucket differs in every way, and of those that are in no digest yet and
        that search does not find: created since, and not current any more."""
        buckets = len(ways[0]) // WIDTH
        selected: Sequence[int] = range(len(self))
        for old, bucket_of in zip(ways, WAYS, strict=False):
            new = self.sums(bucket_of, buckets, before_ms)
            starts = range(0, WIDTH * buckets, WIDTH)
            differing = {start // WIDTH for start in starts if old[start : start + WIDTH] != new[start : start + WIDTH]}
            selected = [index for index in selected if bucket_of(self.ids[index], buckets) in differing]
        lost = [n for n, created in enumerate(self.created) if created >= before_ms and self.flags[n] & 2]
        return ((WAYS[0](self.ids[index], buckets), index) for index in {*selected, *lost} if buckets)


def is_digest(position: Position | None) -> bool:
    return (
        position is not None
        and len(position) == 2
        and len(str(position[0])) % WIDTH == 0
        and position[0] != WITHIN_SCOPE
    )


def ways_of(digest: str) -> tuple[str, ...]:
    """The sums of each way: of two, or of the one of an earlier version."""
    if not digest.startswith(TWO_WAYS):
        return (digest,)
    sums = digest[len(TWO_WAYS) :]
    return (sums[: len(sums) // 2], sums[len(sums) // 2 :])


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
