"""Lists the trees of spaces in threads of the planner: some are waited for by the probe, others only when their pages are cut.

The pages of a Cloud space come 250 at a time, and each answer has the cursor of the next: two chains, from both ends
(https://developer.atlassian.com/cloud/confluence/rest/v2/api-group-page/). What search finds can be read meanwhile, but not where the tree
becomes the digest that the next run compares with: a page that moves after it was read and before it was listed would stay as it was read.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Self

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.confluence.api.contract import Api, Space, TreePage
from ingest_strategies.confluence.planning.page_tree import PageTree, build_tree

LISTED_MEANWHILE = (
    2_000  # pages of a space from which on it is not waited for: fewer are listed in four requests of each chain
)


class TreeListings:
    """A context manager: at its end listings that still run are given up."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._is_closed = Event()
        self._pool = ThreadPoolExecutor(api.client.config.requests_at_once, thread_name_prefix="trees")

    def begin(self, space: Space, recent_ms: int) -> "Future[PageTree]":
        """`recent_ms`: pages changed since then are recent."""
        return self._pool.submit(lambda: build_tree(self._pages(space), recent_ms))

    def _pages(self, space: Space) -> Iterator[list[TreePage]]:
        for pages in self._api.list_tree(space):
            if self._is_closed.is_set():
                raise SourceUnavailable(f"the listing of space '{space.key}' was given up")
            yield pages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
