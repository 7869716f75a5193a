"""Confluence Cloud v2, the pages: cursors, ids by the hundred, bodies on request, the tree, and no filter by date."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from ingest_ray.simulators.atlassian.confluence.page import LABELS, Container, Page, Space
from ingest_ray.simulators.atlassian.confluence.site_endpoints import Json
from ingest_ray.simulators.atlassian.confluence.v1_endpoints import ConfluenceV1
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.content.rich_text import adf, storage, view
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, RequestRefused, decode, encode, reply, route

MOST = 250
_SORTS = {"id": "id", "created-date": "created", "modified-date": "modified"}


class ConfluenceV2Pages(ConfluenceV1):
    def v2_error(self, status: int, title: str, code: str = "") -> Reply:
        code = (
            code
            or {404: "NOT_FOUND", 400: "INVALID_REQUEST_PARAMETER", 403: "FORBIDDEN", 500: "INTERNAL_SERVER_ERROR"}[
                status
            ]
        )
        return reply(
            {"errors": [{"status": status, "code": code, "title": self.localized(title), "detail": None}]}, status
        )

    def v2_refuse(self, status: int, title: str) -> RequestRefused:
        return RequestRefused(self.v2_error(status, title))

    def v2_space(self, number: str) -> Space:
        space = self.store.space(number) if number.isdecimal() else None
        if space is None:
            raise self.v2_refuse(404, "Not Found")
        self.v2_check(space)
        return space

    def v2_check(self, space: Space) -> None:
        if space.failing:
            raise self.v2_refuse(500, "Internal Server Error")
        if space.forbidden:
            raise self.v2_refuse(403, "Forbidden")

    def v2_page(self, call: Call, kind: str = "page") -> Page:
        page = self.store.find(call.params["id"])
        if page is None or page.kind != kind:
            raise self.v2_refuse(404, "Not Found")
        self.v2_check(self.store.spaces[page.space])
        return page

    # Cursors.

    def cursor(self, call: Call) -> tuple[list[Any] | None, int]:
        """What the cursor holds, and the number of its page."""
        text = call.parameter("cursor")
        if not text:
            return None, 0
        try:
            position, page = decode(urlsafe_b64decode(text))
        except Exception:
            raise self.v2_refuse(400, "The provided cursor is invalid.") from None
        if self.traps.number("expired-token") >= 1:
            self.traps.numbers["expired-token"] -= 1
            raise self.v2_refuse(400, "The provided cursor is expired.")
        return position, page

    def limit(self, call: Call, default: int = 25) -> int:
        limit = call.integer("limit", default)
        if not 1 <= limit <= MOST:
            raise self.v2_refuse(
                400, f"Provided value {{{limit}}} for 'limit' is not valid: it must be between 1 and {MOST}."
            )
        return limit

    def multi(self, call: Call, results: list[Any], position: list[Any] | None) -> Reply:
        """The v2 envelope; `position` goes into the cursor of the next link, None ends the listing."""
        links = {"base": f"{self.site}/wiki"}
        header = f'<{self.site}/wiki>; rel="base"'
        if position is None and "empty-next" in self.traps and results:
            position = [1 << 60, 1 << 60]
        if position is not None:
            text = call.parameter("cursor")
            page = self.cursor_page(text)
            repeats = self.traps.number("repeated-token")
            if not (text and repeats and page >= repeats):
                text = urlsafe_b64encode(encode([position, page + 1])).decode()
            kept = {k: v for k, v in call.query.items() if k != "cursor"}
            following = f"{call.path}?{urlencode({**kept, 'cursor': text}, doseq=True)}"
            links["next"] = following
            header = f'<{following}>; rel="next", {header}'
        return Reply(200, encode({"results": results, "_links": links}), {"Link": header})

    @staticmethod
    def cursor_page(text: str) -> int:
        return int(decode(urlsafe_b64decode(text))[1]) if text else 0

    def by_offset(self, call: Call, values: Sequence[Any], make: Callable[[Any], Any], default: int = 25) -> Reply:
        """For short lists: the cursor holds an offset."""
        limit = self.limit(call, default)
        position, _ = self.cursor(call)
        start = int(position[0]) if position else 0
        part = list(values[start : start + limit])
        end = start + limit
        return self.multi(call, [make(v) for v in part], [end, 0] if end < len(values) else None)

    # Pages and blog posts.

    def _pages(
        self, call: Call, spaces: Sequence[int], kind: str, keep: Callable[[Page], bool] = lambda p: True
    ) -> Reply:
        limit, statuses = self.limit(call), set(call.parameters("status") or ["current", "archived"])
        form, title = self.body_format(call), call.parameter("title")
        sort = call.parameter("sort", "id")
        down, name = sort.startswith("-"), sort.lstrip("-")
        position, _ = self.cursor(call)
        if name == "title":
            ordered: Iterable[tuple[Any, int]] = self._by_title(spaces, position, down)
        elif name in _SORTS:
            at = (int(position[0]), int(position[1])) if position else None
            ordered = self.store.orders.entries_after(spaces, _SORTS[name], at, down=down)
        else:
            raise self.v2_refuse(400, f"Invalid sort parameter: {sort}")
        pages, store = self.store.pages, self.store

        def suits(entry: tuple[Any, int]) -> bool:
            page = pages[entry[1]]
            return (
                page.kind == kind and page.status in statuses and store.visible(page) and keep(page)
                and (not title or self.content.title(page) == title)
            )  # fmt: skip

        entries = list(islice(filter(suits, ordered), limit + 1))
        chosen = [pages[i] for _, i in entries[:limit]]
        more = list(entries[limit - 1]) if len(entries) > limit else None
        return self.multi(call, self.page_list(chosen, form), more)

    def _by_title(self, spaces: Sequence[int], position: list[Any] | None, down: bool) -> Iterable[tuple[str, int]]:
        ids = self.store.orders.between(spaces, "id", 0, 1 << 60)
        entries = sorted(((self.content.title(self.store.pages[i]), i) for i in ids), reverse=down)
        if position is None:
            return entries
        at = (str(position[0]), int(position[1]))
        return (e for e in entries if (e < at if down else e > at))

    def body_format(self, call: Call, *, single: bool = False) -> str:
        form = call.parameter("body-format")
        allowed = (
            "",
            "storage",
            "atlas_doc_format",
            *(("view", "export_view", "anonymous_export_view", "styled_view", "editor") if single else ()),
        )
        if form not in allowed:
            raise self.v2_refuse(400, f"Invalid body-format: {form}")
        return form

    def page_list(self, pages: list[Page], form: str) -> list[Json]:
        if form:
            self.check_bodies(pages, storage_too=form == "storage")
        return [self.page_v2(p, form) for p in pages]

    def page_v2(self, page: Page, form: str) -> Json:
        people, key = self.store.people, self.store.spaces[page.space].key
        document: Json = {
            "id": str(page.id),
            "status": page.status,
            "title": self.content.title(page),
            "spaceId": str(self.store.spaces[page.space].id),
            "authorId": people[page.author].account_id,
            "createdAt": spell_utc(page.created),
            "version": self.version_v2(page, page.version),
            "body": {},
            "_links": {
                "webui": f"/spaces/{key}/pages/{page.id}",
                "editui": f"/pages/resumedraft.action?draftId={page.id}",
                "tinyui": f"/x/{page.id:x}",
            },
        }
        if page.kind == "page":
            document |= {
                "ownerId": people[page.author].account_id,
                "lastOwnerId": None,
                "position": page.position,
                "subtype": None,
            }
            document |= {"parentId": str(page.parent) if page.parent else None, "parentType": self._parent_type(page)}
        if form:
            document["body"] = {form: {"value": self.body_value(page, form), "representation": form}}
        return document

    def body_value(self, page: Page, form: str) -> str:
        text = self.content.body(page)
        if form == "storage":
            return storage(text, cloud=True)
        return encode(adf(text)).decode() if form == "atlas_doc_format" else view(text)

    def _parent_type(self, page: Page) -> str | None:
        container = self.store.containers.get(page.parent)
        return container.kind if container is not None else "page" if page.parent else None

    def version_v2(self, page: Page, number: int) -> Json:
        at, author, message = self.content.version_at(page, number)
        document: Json = {"number": number, "message": message, "minorEdit": False}
        return document | {"authorId": self.store.people[author].account_id, "createdAt": spell_utc(at)}

    def _by_ids(self, call: Call, kind: str) -> Reply:
        ids = call.parameters("id")
        if len(ids) > MOST:
            raise self.v2_refuse(400, f"Cannot provide more than {MOST} ids.")
        limit, statuses = self.limit(call), set(call.parameters("status") or ["current", "archived"])
        position, _ = self.cursor(call)
        after = int(position[1]) if position else 0
        readable = set(self.readable_spaces())
        matches = sorted(
            {p.id: p for i in ids if (p := self.store.find(i)) is not None and p.kind == kind and p.status in statuses and p.space in readable}.values(),
            key=lambda p: p.id,
        )  # fmt: skip
        matches = [p for p in matches if p.id > after]
        more = [matches[limit - 1].id, matches[limit - 1].id] if len(matches) > limit else None
        return self.multi(call, self.page_list(matches[:limit], self.body_format(call)), more)

    def _site_wide(self, call: Call, kind: str) -> Reply:
        if call.parameters("id"):
            return self._by_ids(call, kind)
        wanted = set(call.parameters("space-id"))
        if len(wanted) > 100:
            raise self.v2_refuse(400, "Cannot provide more than 100 space ids.")
        readable = set(self.readable_spaces())
        spaces = [s.index for s in self.store.spaces if s.index in readable and (not wanted or str(s.id) in wanted)]
        return self._pages(call, spaces, kind)

    @route("GET ~/api/v2/pages")
    def v2_pages(self, call: Call) -> Reply:
        return self._site_wide(call, "page")

    @route("GET ~/api/v2/blogposts")
    def v2_blogposts(self, call: Call) -> Reply:
        return self._site_wide(call, "blogpost")

    @route("GET ~/api/v2/spaces/{id}/pages")
    def v2_space_pages(self, call: Call) -> Reply:
        space = self.v2_space(call.params["id"])
        root = call.parameter("depth") == "root"
        return self._pages(call, [space.index], "page", lambda p: not root or not p.parent)

    @route("GET ~/api/v2/spaces/{id}/blogposts")
    def v2_space_blogposts(self, call: Call) -> Reply:
        return self._pages(call, [self.v2_space(call.params["id"]).index], "blogpost")

    @route("GET ~/api/v2/labels/{id}/pages")
    def v2_label_pages(self, call: Call) -> Reply:
        number = int(call.params["id"]) - 500_000 if call.params["id"].isdecimal() else -1
        if not 0 <= number < len(LABELS):
            raise self.v2_refuse(404, "Not Found")
        return self._pages(call, self.readable_spaces(), "page", lambda p: number in p.labels)

    @route("GET ~/api/v2/pages/{id}")
    def v2_one_page(self, call: Call) -> Reply:
        return self._single(call, "page")

    @route("GET ~/api/v2/blogposts/{id}")
    def v2_one_blogpost(self, call: Call) -> Reply:
        return self._single(call, "blogpost")

    def _single(self, call: Call, kind: str) -> Reply:
        """Trashed pages are shown; `include-...` adds up to fifty labels or versions."""
        page = self.v2_page(call, kind)
        form = self.body_format(call, single=True)
        if form:
            self.check_bodies([page], storage_too=form == "storage")
        document = self.page_v2(page, form)
        document.pop("subtype", None)
        own = f"{call.path}"
        if call.boolean("include-labels"):
            document["labels"] = self._included(own, "labels", [self.label_v2(n) for n in page.labels])
        if call.boolean("include-versions"):
            versions = [self.version_v2(page, n) for n in range(page.version, max(page.version - 50, 0), -1)]
            document["versions"] = self._included(own, "versions", versions)
        document["_links"] = document["_links"] | {"base": f"{self.site}/wiki"}
        return reply(document)

    def label_v2(self, number: int) -> Json:
        return {"id": str(500_000 + number), "name": LABELS[number], "prefix": "global"}

    def _included(self, own: str, name: str, results: list[Json]) -> Json:
        return {"results": results, "meta": {"hasMore": False}, "_links": {"self": f"{own}/{name}"}}

    # The tree.

    @route("GET ~/api/v2/pages/{id}/ancestors")
    def v2_ancestors(self, call: Call) -> Reply:
        """Top to bottom, without a cursor: where `limit` cuts, the topmost are missing. Folders are left out
        (https://jira.atlassian.com/browse/CONFCLOUD-82920): only `parentType` tells that one is above."""
        chain = [n for n in self.store.ancestors(self.v2_page(call)) if n not in self.store.containers]
        sent = chain[-self.limit(call) :]
        return self.multi_plain([{"id": str(n), "type": self._type_of(n)} for n in sent])

    def multi_plain(self, results: list[Any]) -> Reply:
        return reply({"results": results, "_links": {"base": f"{self.site}/wiki"}})

    def _type_of(self, number: int) -> str:
        container = self.store.containers.get(number)
        return container.kind if container is not None else "page"

    def _node(self, number: int) -> Json | None:
        thing: Page | Container | None = self.store.find(str(number)) or self.store.containers.get(number)
        if thing is None or (isinstance(thing, Page) and thing.status not in ("current", "archived")):
            return None
        title = self.content.title(thing) if isinstance(thing, Page) else thing.title
        status = thing.status if isinstance(thing, Page) else "current"
        document: Json = {"id": str(number), "status": status, "title": title, "type": self._type_of(number)}
        return document | {"childPosition": thing.position if isinstance(thing, Page) else None}

    @route("GET ~/api/v2/pages/{id}/direct-children", "GET ~/api/v2/folders/{id}/direct-children",
           "GET ~/api/v2/whiteboards/{id}/direct-children", "GET ~/api/v2/databases/{id}/direct-children",
           "GET ~/api/v2/embeds/{id}/direct-children")  # fmt: skip
    def v2_direct_children(self, call: Call) -> Reply:
        parent = int(call.params["id"]) if call.params["id"].isdecimal() else 0
        if parent not in self.store.containers:
            parent = self.v2_page(call).id
        space = str(self.store.spaces[(self.store.containers.get(parent) or self.store.pages[parent]).space].id)
        nodes = [n for i in sorted(self.store.children.get(parent, ())) if (n := self._node(i)) is not None]
        return self.by_offset(call, nodes, lambda n: n | {"spaceId": space})

    @route("GET ~/api/v2/pages/{id}/children")
    def v2_children(self, call: Call) -> Reply:
        page = self.v2_page(call)
        space = str(self.store.spaces[page.space].id)
        nodes = [
            n
            for i in sorted(self.store.children.get(page.id, ()))
            if (n := self._node(i)) is not None and n["type"] == "page"
        ]
        return self.by_offset(call, nodes, lambda n: {k: v for k, v in n.items() if k != "type"} | {"spaceId": space})

    @route("GET ~/api/v2/pages/{id}/descendants")
    def v2_descendants(self, call: Call) -> Reply:
        page, depth = self.v2_page(call), call.integer("depth", 5)
        if not 1 <= depth <= 10:
            raise self.v2_refuse(400, "depth must be between 1 and 10")
        matches: list[Json] = []
        level = [page.id]
        for number in range(1, depth + 1):
            below = [(c, parent) for parent in level for c in sorted(self.store.children.get(parent, ()))]
            matches += [
                n | {"parentId": str(parent), "depth": number}
                for c, parent in below
                if (n := self._node(c)) is not None
            ]
            level = [c for c, _ in below]
        return self.by_offset(call, matches, lambda n: n)

    def _container(self, call: Call, kind: str) -> Reply:
        container = self.store.containers.get(int(call.params["id"])) if call.params["id"].isdecimal() else None
        if container is None or container.kind != kind:
            raise self.v2_refuse(404, "Not Found")
        author, space = self.store.people[container.author].account_id, self.store.spaces[container.space]
        document: Json = {
            "id": str(container.id),
            "type": kind,
            "status": "current",
            "title": container.title,
            "spaceId": str(space.id),
        }
        document |= {
            "parentId": str(container.parent),
            "parentType": self._type_of(container.parent),
            "position": 0,
            "authorId": author,
        }
        document |= {"ownerId": author, "createdAt": spell_utc(container.created)}
        document["version"] = {
            "number": 1,
            "message": "",
            "minorEdit": False,
            "authorId": author,
            "createdAt": spell_utc(container.created),
        }
        if kind == "embed":
            document["embedUrl"] = f"https://example.com/board/{container.id}"
        return reply(
            document | {"_links": {"webui": f"/spaces/{space.key}/{kind}/{container.id}", "base": f"{self.site}/wiki"}}
        )

    @route("GET ~/api/v2/folders/{id}")
    def v2_folder(self, call: Call) -> Reply:
        return self._container(call, "folder")

    @route("GET ~/api/v2/whiteboards/{id}")
    def v2_whiteboard(self, call: Call) -> Reply:
        return self._container(call, "whiteboard")

    @route("GET ~/api/v2/databases/{id}")
    def v2_database(self, call: Call) -> Reply:
        return self._container(call, "database")

    @route("GET ~/api/v2/embeds/{id}")
    def v2_embed(self, call: Call) -> Reply:
        return self._container(call, "embed")
