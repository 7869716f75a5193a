"""Runs a CQL search over the indexed pages; results are pages, comments and attachments, in order."""

from collections import OrderedDict

from ingest_ray.simulators.atlassian.confluence.page import Container, Page, PageAttachment, PageComment
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.query.cql import ORDER_KEYS, CqlCompiler, CqlSearch, Hit
from ingest_ray.simulators.atlassian.query.predicates import FOREVER_MS

_CACHED = 64


class CqlSearcher:
    def __init__(self, store: PageStore, *, is_cloud: bool) -> None:
        self.store = store
        self.compiler = CqlCompiler(store, is_cloud=is_cloud)
        self._cache: OrderedDict[tuple[str, bool, int, int], list[Hit]] = OrderedDict()
        self._hanging: tuple[tuple[int, int], list[Hit]] | None = None

    def find(self, cql: str, *, archived: bool = False) -> list[Hit]:
        """Raises QueryError."""
        self.store.index_due_changes()
        key = (cql, archived, self.store.search_revision, self.store.node)
        result = self._cache.get(key)
        if result is None:
            search = self._compile(cql, archived=archived)
            result = self._run(search)
            if not search.relative:
                self._cache[key] = result
                if len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
        return result

    def count(self, cql: str, *, archived: bool = False) -> int:
        """Counts hits, from the index alone where that is enough."""
        self.store.index_due_changes()
        search = self._compile(cql, archived=archived)
        has_modified_range = search.lower or search.upper != FOREVER_MS
        has_created_range = search.created_lower or search.created_upper != FOREVER_MS
        if (
            search.test
            or search.ids is not None
            or search.kinds - {"page", "blogpost"}
            or (has_modified_range and has_created_range)
        ):
            return len(self.find(cql, archived=archived))
        name, lower, upper = (
            ("modified", search.lower, search.upper)
            if has_modified_range
            else ("created", search.created_lower, search.created_upper)
        )
        return self.store.search_orders.count_between(self._groups(search), name, lower, upper)

    def _compile(self, cql: str, *, archived: bool) -> CqlSearch:
        """Spaces that refuse everything are left out."""
        search = self.compiler.compile(cql, archived=archived)
        spaces = self.store.spaces
        search.spaces = [n for n in search.spaces if not spaces[n].forbidden and not spaces[n].failing]
        return search

    def _groups(self, search: CqlSearch) -> list[int]:
        kinds = search.kinds & {"page", "blogpost"}
        return [self.store.search_group(space, kind) for space in search.spaces for kind in sorted(kinds)]

    def _run(self, search: CqlSearch) -> list[Hit]:
        hits = self._pages(search)
        if search.kinds - {"page", "blogpost"}:
            spaces = set(search.spaces)
            hits += [
                h for h in (*self._attached_hits(), *self._container_hits())
                if h.kind in search.kinds and h.page.space in spaces and search.lower <= h.modified < search.upper
                and search.created_lower <= h.created < search.created_upper and (search.ids is None or h.id in search.ids)
            ]  # fmt: skip
        if search.test is not None:
            hits = [h for h in hits if search.test(h)]
        order = search.order or (("id", True),)
        hits.sort(key=lambda h: h.id)
        for name, down in reversed(order):
            key = ORDER_KEYS[name]
            hits.sort(key=lambda h: key(self.store, h), reverse=down)
        return hits

    def _pages(self, search: CqlSearch) -> list[Hit]:
        store = self.store
        if search.ids is not None:
            ids = [i for i in search.ids if i in store.searched]
        elif search.lower or search.upper != FOREVER_MS:
            ids = store.search_orders.between(self._groups(search), "modified", search.lower, search.upper)
        else:
            ids = store.search_orders.between(
                self._groups(search), "created", search.created_lower, search.created_upper
            )
        spaces, searched, time_of = set(search.spaces), store.searched, store.content.search_time
        hits = []
        for number in ids:
            page = searched[number]
            if page.kind not in search.kinds or page.space not in spaces:
                continue
            hit = Hit(number, page.kind, page, page.created, time_of(page), page.author)
            if (
                search.lower <= hit.modified < search.upper
                and search.created_lower <= hit.created < search.created_upper
            ):
                hits.append(hit)
        return hits

    def _container_hits(self) -> list[Hit]:
        return [container_hit(container) for container in self.store.containers.values()]

    def _attached_hits(self) -> list[Hit]:
        """Every comment and attachment of the indexed pages; rebuilt after each change."""
        state = (self.store.search_revision, self.store.node)
        if self._hanging is None or self._hanging[0] != state:
            hits = []
            for page in self.store.searched.values():
                if page.comments or page.more_comments:
                    hits += [comment_hit(page, c) for c in self.store.content.comments(page)]
                if page.attachments or page.more_attachments:
                    hits += [attachment_hit(page, a) for a in self.store.content.attachments(page)]
            self._hanging = (state, hits)
        return self._hanging[1]


def container_hit(container: Container) -> Hit:
    """As a page without versions: v1 shows containers in the shape of content."""
    at, author = container.created, container.author
    page = Page(container.id, container.space, container.kind, at, at, author, author, 1, title=container.title)
    page.parent = container.parent
    return Hit(container.id, container.kind, page, at, at, author, container.title)


def comment_hit(page: Page, comment: PageComment) -> Hit:
    return Hit(comment.id, "comment", page, comment.created, comment.created, comment.author, "Re: comment")


def attachment_hit(page: Page, attachment: PageAttachment) -> Hit:
    return Hit(
        attachment.id, "attachment", page, attachment.first, attachment.created, attachment.creator, attachment.title
    )
