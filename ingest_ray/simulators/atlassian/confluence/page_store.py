"""The pages of one Confluence: their current state, their state in the search index, and their restrictions."""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.simulators.atlassian.confluence.page import PER_PAGE, Container, Page, PageContent, Space
from ingest_ray.simulators.atlassian.content.clock import Clock
from ingest_ray.simulators.atlassian.content.people import Group, Person
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws
from ingest_ray.simulators.atlassian.content.sorted_index import SortedIndex
from ingest_ray.simulators.atlassian.server.traps import Traps

ORDERS = ("id", "created", "modified")
NODE_LAG_MS = 600_000  # of the second node of a Data Center


@dataclass(slots=True)
class PageStore:
    """`pages` has the current pages, without purged ones. `searched` has the pages that CQL sees, by `search_keys`."""

    clock: Clock
    draws: SeededDraws
    traps: Traps
    people: list[Person]
    groups: list[Group]
    content: PageContent
    site_zone: str
    spaces: list[Space]
    pages: dict[int, Page]
    containers: dict[int, Container]
    orders: SortedIndex = field(default_factory=lambda: SortedIndex(ORDERS))
    searched: dict[int, Page] = field(default_factory=dict)
    search_orders: SortedIndex = field(default_factory=lambda: SortedIndex(ORDERS))
    search_revision: int = 0
    revision: int = 0
    pending: list[tuple[int, int]] = field(default_factory=list)
    """(time in ms, page) of changes that search has not seen."""
    other_node: tuple[dict[int, Page], SortedIndex, list[tuple[int, int]]] | None = None
    """`searched`, `search_orders` and `pending` of the node that does not answer."""
    node: int = 0
    purged: dict[int, int] = field(default_factory=dict)
    children: dict[int, set[int]] = field(default_factory=dict)
    reader_sets: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)
    hidden: int = 0
    next_id: int = 0

    def keys(self, page: Page) -> tuple[int, int, int]:
        return page.id, page.created, page.modified

    @staticmethod
    def search_group(space: int, kind: str) -> int:
        """The index keeps pages and posts of a space apart, so that it can count each kind."""
        return space * 2 + (kind != "page")

    def search_keys(self, page: Page) -> tuple[int, int, int]:
        return page.id, page.created, self.content.search_time(page)

    def load(self) -> None:
        self.orders.load([(p.space, p.id, self.keys(p)) for p in self.pages.values()])
        for page in self.pages.values():
            self.children.setdefault(page.parent, set()).add(page.id)
            self.hidden += page.hidden
        for container in self.containers.values():
            self.children.setdefault(container.parent, set()).add(container.id)
        seen = [p for p in self.pages.values() if self.searchable(p)]
        self.searched = {p.id: p for p in seen}
        self.search_orders = self._ordered(seen)
        for space in self.spaces:
            self.orders.group(space.index)
        self.next_id = max([*self.pages, *self.containers], default=100_000) + 1

    def _ordered(self, pages: Iterable[Page]) -> SortedIndex:
        orders = SortedIndex(ORDERS)
        orders.load([(self.search_group(p.space, p.kind), p.id, self.search_keys(p)) for p in pages])
        for space in self.spaces:
            orders.group(space.index * 2 + 1)
        return orders

    def space(self, id_or_key: str) -> Space | None:
        for space in self.spaces:
            if id_or_key in (str(space.id), space.key):
                return space
        return None

    def ancestors(self, page: Page | Container) -> list[int]:
        """Ids from the top down to the parent; containers among them."""
        matches: list[int] = []
        at = page.parent
        while at and len(matches) < 1000:
            matches.append(at)
            up: Page | Container | None = self.pages.get(at) or self.containers.get(at)
            at = up.parent if up is not None else 0
        return matches[::-1]

    def visible(self, page: Page) -> bool:
        """A page is hidden with the page above it."""
        if not self.hidden:
            return True
        if page.hidden:
            return False
        return not any((up := self.pages.get(n)) is not None and up.hidden for n in self.ancestors(page))

    def searchable(self, page: Page) -> bool:
        return page.status == "current" and self.visible(page)

    def find(self, page_id: str) -> Page | None:
        page = self.pages.get(int(page_id)) if page_id.isdecimal() else None
        return page if page is not None and self.visible(page) else None

    def readers(self, page: Page) -> list[tuple[int, tuple[str, ...]]]:
        """(page or folder, who may read it) of every restriction that counts, top down: a reader must pass all of them."""
        above = (self.pages.get(n) or self.containers.get(n) for n in self.ancestors(page))
        chain: list[Page | Container] = [up for up in above if up is not None]
        return [(up.id, up.restricted) for up in [*chain, page] if up.restricted]

    def has_folder_above(self, page: Page) -> bool:
        return any(n in self.containers for n in self.ancestors(page))

    def restrict_container(self, number: int, readers: tuple[str, ...]) -> None:
        container = copy(self.containers[number])
        container.restricted = readers
        self.containers[number] = container

    def index_due_changes(self) -> None:
        now = self.clock.now()
        while self.pending and self.pending[0][0] <= now:
            self.reindex(self.pending.pop(0)[1])

    def reindex(self, page_id: int) -> None:
        old = self.searched.pop(page_id, None)
        if old is not None:
            self.search_orders.drop(self.search_group(old.space, old.kind), old.id, self.search_keys(old))
        page = self.pages.get(page_id)
        if page is not None and self.searchable(page):
            self.searched[page_id] = page
            self.search_orders.add(self.search_group(page.space, page.kind), page.id, self.search_keys(page))
        self.search_revision += 1

    def put(self, page: Page) -> Page:
        self._forget(page.id)
        self.pages[page.id] = page
        self.hidden += page.hidden
        self.orders.add(page.space, page.id, self.keys(page))
        self.children.setdefault(page.parent, set()).add(page.id)
        self._changed(page.id)
        return page

    def _forget(self, page_id: int) -> None:
        self.revision += 1
        old = self.pages.pop(page_id, None)
        if old is not None:
            self.hidden -= old.hidden
            self.orders.drop(old.space, old.id, self.keys(old))
            self.children.get(old.parent, set()).discard(page_id)

    def _changed(self, page_id: int) -> None:
        if "node-switch" in self.traps:
            self.answer_from_node(0)
            self._other_node()[2].append((self.clock.now() + NODE_LAG_MS, page_id))
        lag_ms = int(self.traps.number("index-lag") * 1000)
        if lag_ms:
            self.pending.append((self.clock.now() + lag_ms, page_id))
        else:
            self.reindex(page_id)

    def _other_node(self) -> tuple[dict[int, Page], SortedIndex, list[tuple[int, int]]]:
        if self.other_node is None:
            self.other_node = dict(self.searched), self._ordered(self.searched.values()), list(self.pending)
        return self.other_node

    def answer_from_node(self, number: int) -> None:
        """Takes the index of node 0 or 1 for the one that search sees."""
        if number != self.node:
            other = self._other_node()
            self.other_node = (self.searched, self.search_orders, self.pending)
            self.searched, self.search_orders, self.pending = other
            self.node = number

    def edit(self, page_id: int, **changes: Any) -> Page:
        page = copy(self.pages[page_id])
        for name, value in changes.items():
            setattr(page, name, value)
        return self.put(page)

    def refresh_below(self, page_id: int) -> None:
        """Reindexes the descendants of a page that was hidden or shown again."""
        for below in self.descendants(page_id):
            if below in self.pages:
                self._changed(below)

    def purge(self, page_id: int) -> None:
        self._forget(page_id)
        self.purged[page_id] = self.clock.now()
        self._changed(page_id)

    def descendants(self, page_id: int) -> list[int]:
        below, open_ = [], sorted(self.children.get(page_id, ()))
        while open_:
            page = open_.pop(0)
            below.append(page)
            open_ += sorted(self.children.get(page, ()))
        return below

    def visible_pages(self) -> Iterator[Page]:
        """Every page that the account may see, of any status but deleted, by ascending id."""
        return (p for _, p in sorted(self.pages.items()) if self.visible(p))

    def page_of(self, hanging_id: int) -> Page | None:
        """The page of a comment or an attachment."""
        return self.find(str(hanging_id // PER_PAGE))
