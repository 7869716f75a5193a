"""Which pages are read again after some moved: all of them, and few others; also against a checkpoint of an earlier version."""

from collections.abc import Collection
from random import Random

import pytest

from ingest_strategies.confluence.api.contract import TreePage
from ingest_strategies.confluence.planning.page_tree import PageTree, build_tree, first_bucket

HORIZON_MS = 10


def tree_of(pages: int, moved: Collection[int] = (), without: Collection[int] = ()) -> PageTree:
    ids = [number for number in range(pages) if number not in without]
    listed = (TreePage(9 * n + 7, "page", "current", 1, 1, "there" if n in moved else "here") for n in ids)
    return build_tree([list(listed)])


def changed(tree: PageTree, known: tuple[str, int]) -> set[int]:
    return {(tree.ids[index] - 7) // 9 for _, index in tree.changed(known)}


@pytest.mark.parametrize(("pages", "moves", "most"), [(500, 3, 20), (5_000, 12, 60), (13_000, 30, 400)])
def test_few_pages_besides_the_moved_ones_are_read_again(pages: int, moves: int, most: int) -> None:
    moved = set(Random(pages).sample(range(pages), moves))
    digest, before_ms = tree_of(pages).position(HORIZON_MS, None)
    assert len(str(digest)) <= 2_052
    found = changed(tree_of(pages, moved), (str(digest), int(before_ms)))
    assert moved <= found
    assert len(found) <= most
    assert tree_of(pages).is_unchanged((digest, before_ms), HORIZON_MS)


def test_a_digest_of_an_earlier_version_is_followed_and_replaced() -> None:
    old = (tree_of(900).sums(first_bucket, 32, HORIZON_MS), HORIZON_MS)
    tree = tree_of(900, {5, 800})
    assert tree_of(900).is_unchanged(old, HORIZON_MS)
    assert {5, 800} <= changed(tree, old)
    digest, before_ms = tree.position(HORIZON_MS, old)
    assert changed(tree_of(900, {5, 800, 17}), (str(digest), int(before_ms))) >= {17}
    assert tree.is_unchanged((digest, before_ms), HORIZON_MS)


def test_pages_that_vanish_hide_no_page_that_moved() -> None:
    digest, before_ms = tree_of(3_000).position(HORIZON_MS, None)
    random = Random(3)
    gone, moved = set(random.sample(range(1_500), 40)), set(random.sample(range(1_500, 3_000), 40))
    assert moved <= changed(tree_of(3_000, moved, gone), (str(digest), int(before_ms)))


def test_a_page_that_was_created_and_trashed_since_is_read() -> None:
    digest, before_ms = tree_of(300).position(HORIZON_MS, None)
    listed = [TreePage(9 * n + 7, "page", "current", 1, 1, "here") for n in range(300)]
    for created, status in ((HORIZON_MS - 1, "current"), (HORIZON_MS, "trashed"), (HORIZON_MS, "current")):
        listed.append(TreePage(9 * len(listed) + 7, "page", status, created, 1, "here"))
    tree = build_tree([listed])
    assert 301 in changed(tree, (str(digest), int(before_ms)))
    assert 302 not in changed(tree, (str(digest), int(before_ms))), "search finds it"
