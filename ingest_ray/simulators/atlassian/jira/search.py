"""Runs a JQL search over the index and pages through it.

A Cloud token holds the end of the last page in the search's own order, not a snapshot: an issue that changes during
a scan may occur twice or not at all, as on a real site.
"""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.query.jql import JqlCompiler, JqlSearch
from ingest_ray.simulators.atlassian.query.jql_order import order_key
from ingest_ray.simulators.atlassian.query.predicates import FOREVER_MS

_CACHED = 64
DEFAULT_ORDER = (("issuekey", True),)


@total_ordering
class _Descending:
    """A sort key in descending order."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.value == other.value

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other.value < self.value)


@dataclass(slots=True)
class SearchResult:
    """Ids in order, with the sort key of each."""

    ids: list[int]
    keys: list[tuple[Any, ...]]
    search: JqlSearch

    def after(self, position: list[Any]) -> int:
        """The offset of the first issue after the position that `page_end` returned."""
        names = self.search.order or DEFAULT_ORDER
        key = tuple(
            _Descending(_plain(v)) if down else _plain(v) for v, (_, down) in zip(position, names, strict=False)
        )
        return bisect_right(self.keys, (*key, position[-1]))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Searcher:
    def __init__(self, store: IssueStore, *, cloud: bool) -> None:
        self.store = store
        self.compiler = JqlCompiler(store, cloud=cloud)
        self._cache: OrderedDict[tuple[str, int, int], SearchResult] = OrderedDict()

    def count(self, jql: str) -> tuple[int, JqlSearch]:
        self.store.index_due_changes()
        search = self.compiler.compile(jql)
        if search.test is None and search.ids is None:
            return self.store.index.count_between(search.projects, search.lower, search.upper), search
        return len(self._matching(search)), search

    def find(self, jql: str) -> SearchResult:
        """Raises QueryError."""
        self.store.index_due_changes()
        key = (jql, self.store.index.revision, self.store.node)
        result = self._cache.get(key)
        if result is not None:
            self._cache.move_to_end(key)
            return result
        search = self.compiler.compile(jql)
        result = self._sorted(search)
        if not search.relative:
            self._cache[key] = result
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return result

    def _matching(self, search: JqlSearch) -> list[int]:
        index = self.store.index
        if search.ids is not None:
            wanted = set(search.projects)
            ids = [
                i for i in search.ids
                if (d := index.documents.get(i)) is not None
                and d.project in wanted
                and search.lower <= d.updated < search.upper
            ]  # fmt: skip
        elif search.lower or search.upper != FOREVER_MS:
            ids = index.between(search.projects, search.lower, search.upper)
        else:
            ids = [i for p in search.projects if p < len(index.projects) for i in index.projects[p].by_id]
        if search.test is not None:
            documents, test = index.documents, search.test
            ids = [i for i in ids if test(documents[i])]
        return ids

    def _sorted(self, search: JqlSearch) -> SearchResult:
        ids = self._matching(search)
        documents = self.store.index.documents
        order = search.order or DEFAULT_ORDER
        keyed = sorted((self._key(order, documents[i]), i) for i in ids)
        return SearchResult([i for _, i in keyed], [(*k, i) for k, i in keyed], search)

    def _key(self, order: tuple[tuple[str, bool], ...], issue: Issue) -> tuple[Any, ...]:
        values = ((order_key(self.store, name, issue), down) for name, down in order)
        return tuple(_Descending(v) if down else v for v, down in values)

    def page_end(self, result: SearchResult, offset: int) -> list[Any]:
        """The position of a page's end: the sort key of the issue at `offset`, and its id, as plain values."""
        return [k.value if isinstance(k, _Descending) else k for k in result.keys[offset]]
