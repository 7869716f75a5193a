"""The common parts of Confluence Cloud and Data Center: pages and spaces by id, searches, the v1 envelope and its caps."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from ingest_ray.simulators.atlassian.confluence.content_json import ContentDocuments, Json
from ingest_ray.simulators.atlassian.confluence.page import (
    PER_PAGE,
    Page,
    PageAttachment,
    PageComment,
    Space,
)
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.confluence.search import CqlSearcher
from ingest_ray.simulators.atlassian.query.cql import Hit
from ingest_ray.simulators.atlassian.query.grammar import QueryError
from ingest_ray.simulators.atlassian.server.routing import JSON, Call, Reply, RequestRefused, Router, reply

NO_START = "java.lang.IllegalArgumentException: start cannot be less than zero"


class ConfluenceSite(ContentDocuments):
    """Answers of one site; `Cloud` and `DataCenter` add their endpoints."""

    def __init__(self, store: PageStore, site: str) -> None:
        super().__init__(store, site)
        self.searcher = CqlSearcher(store, is_cloud=self.cloud)
        self.router = Router(self)

    def answer_from_node(self, number: int) -> None:
        self.store.answer_from_node(number)

    def finish_reply(self, call: Call, response: Reply) -> Reply:
        return response

    # Looking up pages and spaces.

    def check_space(self, space: Space) -> None:
        if space.failing:
            raise self.internal_error()
        if space.forbidden:
            raise self.refuse(403, "User not permitted to view space")

    def page_of(self, call: Call, name: str = "id") -> Page:
        page = self.store.find(call.params[name])
        if page is None or page.status == "deleted":
            raise self.content_not_found(call.params[name])
        self.check_space(self.store.spaces[page.space])
        return page

    def space_of(self, key: str) -> Space:
        space = self.store.space(key)
        if space is None:
            raise self.refuse(404, f"No space found with key : {key}")
        self.check_space(space)
        return space

    def check_bodies(self, pages: Sequence[Page], *, storage_too: bool = True) -> None:
        """Fails the whole answer for poisoned pages, pages whose storage fails, and too many bodies at once."""
        limit = self.traps.number("large-page-504")
        if limit and len(pages) > limit:
            raise self.gateway_timeout_error()
        for page in pages:
            if page.poison:
                if "poison-json" in self.traps:
                    raise RequestRefused(
                        Reply(200, b'{"results":[{"id":"1","body":{"storage":{"value":"\x00\xff\xfe', kind=JSON)
                    )
                raise self.internal_error()
            if storage_too and page.storage_fails:
                raise self.internal_error()

    def without_skipped(self, call: Call, results: list[Any]) -> list[Any]:
        """The results of one answer, or, where the trap strikes, without the last fifth of them."""
        if not results or not self.traps.strikes("skipped-content", call.path, self.store.draws):
            return results
        return results[: -max(1, len(results) // 5)]

    def readable_spaces(self) -> list[int]:
        return [s.index for s in self.store.spaces if not s.forbidden and not s.failing]

    # v1 paging.

    def expand_of(self, call: Call) -> set[str]:
        """Every requested path with all its prefixes: `body.storage` adds `body` too."""
        paths: set[str] = set()
        for path in call.parameters("expand"):
            parts = path.strip().split(".")
            paths.update(".".join(parts[:n]) for n in range(1, len(parts) + 1))
        return paths

    def links(self, call: Call, following: Json | None, self_query: bool = True) -> Json:
        kept = {k: v for k, v in call.query.items() if k not in ("start", "limit", "cursor", "next")}
        tail = urlencode(kept, doseq=True)
        where = call.path.removeprefix(self.root)
        document = {
            "base": f"{self.site}{self.root}",
            "context": self.root,
            "self": f"{self.site}{call.path}" + (f"?{tail}" if tail else ""),
        }
        if following is not None:
            document["next"] = f"{where}?{urlencode({**kept, **following}, doseq=True)}"
        return document

    def start_limit(self, call: Call, default: int, most: int) -> tuple[int, int]:
        start, limit = call.integer("start", 0), call.integer("limit", default)
        if start < 0:
            raise self.refuse(400, NO_START)
        if limit < 0:
            raise self.refuse(400, NO_START.replace("start", "limit"))
        return start, min(limit, most)

    def array(
        self, call: Call, values: Sequence[Any], make: Callable[[Any], Json], default: int = 25, most: int = 1000
    ) -> Reply:
        """The v1 envelope by offset, with its two faults: an undercounted next start, and a next to nothing."""
        start, limit = self.start_limit(call, default, most)
        part = values[start : start + limit]
        document = {"results": [make(v) for v in part], "start": start, "limit": limit, "size": len(part)}
        following = None
        if start + limit < len(values) and limit:
            short = int(self.traps.number("undercounted-start"))
            following = {"limit": limit, "start": max(start + len(part) - short, start + 1)}
        elif "empty-next" in self.traps and part:
            following = {"limit": limit, "start": start + len(part)}
        return reply(document | {"_links": self.links(call, following)})

    def hits(self, call: Call) -> list[Hit]:
        cql = call.parameter("cql")
        if not cql:
            raise self.refuse(400, "cql query parameter is required")
        try:
            return self.searcher.find(cql, archived=call.boolean("includeArchivedSpaces"))
        except QueryError as failure:
            raise self.refuse(400, str(failure)) from None

    def counted(self, call: Call) -> int | None:
        """`totalSize` where a search requests no results; None where it requests some."""
        if call.parameter("limit") != "0" or not call.parameter("cql"):
            return None
        try:
            return self.searcher.count(call.parameter("cql"), archived=call.boolean("includeArchivedSpaces"))
        except QueryError as failure:
            raise self.refuse(400, str(failure)) from None

    def pages_of_hits(self, hits: Sequence[Hit]) -> list[Page]:
        return [self.store.pages.get(h.page.id, h.page) for h in hits if h.kind in ("page", "blogpost")]

    def comment_by_id(self, number: str) -> tuple[Page, PageComment] | None:
        if not number.isdecimal():
            return None
        page = self.store.page_of(int(number))
        if page is None:
            return None
        matches = [c for c in self.content.comments(page) if c.id == int(number)]
        return (page, matches[0]) if matches else None

    def attachment_by_id(self, number: str) -> tuple[Page, PageAttachment] | None:
        text = number.removeprefix("att")
        page = self.store.find(str(int(text) // PER_PAGE)) if text.isdecimal() else None
        file = self.attachment_on(page, text) if page is not None else None
        return (page, file) if page is not None and file is not None else None

    def attachment_on(self, page: Page, number: str) -> PageAttachment | None:
        text = number.removeprefix("att")
        matches = [a for a in self.content.attachments(page) if str(a.id) == text]
        return matches[0] if matches else None
