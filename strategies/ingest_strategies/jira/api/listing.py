"""Lists a set of Data Center by offset, so that no issue is missed that stays in the set.

An offset alone misses an issue wherever one before it leaves between two pages. So each page begins a little before the end of the one
before it. Pages are in the order of keys, which only a move changes: a page that shares an issue with the one before continues it
without a gap. A page that shares none is asked for again from further back.
"""

from collections.abc import Callable

from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.errors import SourceUnavailable

MOST_OVERLAP = 20  # issues; more than that leave between two pages only in a bulk change
MOST_REQUESTS = 2_000  # of one listing
MOST_LISTINGS = 3
ReadIds = Callable[[int, int], tuple[list[int], int]]
"""(start, how many at most) -> (ids in the order of keys, total)."""


def list_window(read_ids: ReadIds, counted: int) -> set[int]:
    """All ids of a window, checked against its total; `counted` is what search counted just before.

    Raises:
        BrokenAnswer: a page is empty while issues are left.
        SourceUnavailable: fewer came than the total says, again and again.
    """
    ids: set[int] = set()
    total = 0
    for _ in range(MOST_LISTINGS):
        found, total = _list_once(read_ids, counted)
        ids |= found
        if len(ids) >= total:
            return ids
    raise SourceUnavailable(f"search: {len(ids)} of {total} issues came; the results change too fast to be read")


def _list_once(read_ids: ReadIds, counted: int) -> tuple[set[int], int]:
    page, total = read_ids(0, max(1, counted))
    ids, start, back = set(page), 0, MOST_OVERLAP
    for _ in range(MOST_REQUESTS):
        if start + len(page) >= total:
            return ids, total
        if not page:
            raise BrokenAnswer(f"search: {total - start} issues are left, and none came")
        overlap = min(back, len(page) // 2 if back == MOST_OVERLAP else len(page) - 1)
        begin = start + len(page) - overlap
        following, following_total = read_ids(begin, total - begin)
        if len(page) == 1 or set(following) & set(page):
            page, total, start, back = following, following_total, begin, MOST_OVERLAP
        elif overlap < len(page) - 1:
            back *= 4
        else:  # every issue of the page has left: the listing begins again
            (page, total), start, back = read_ids(0, total), 0, MOST_OVERLAP
        ids.update(page)
    raise SourceUnavailable(f"search: a listing takes more than {MOST_REQUESTS} requests")
