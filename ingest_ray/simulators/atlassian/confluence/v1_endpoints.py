"""The v1 endpoints that both deployments serve: content, spaces, children, restrictions, search, groups.

On Cloud most of them are deprecated and, at the gateway, gone.
"""

from typing import Any

from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import Container, Page, Space
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.confluence.site_endpoints import ConfluenceSite
from ingest_ray.simulators.atlassian.server.byte_ranges import ranged_reply
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

_KEPT_LISTS = 16


class ConfluenceV1(ConfluenceSite):
    def __init__(self, store: PageStore, site: str) -> None:
        super().__init__(store, site)
        self._lists: dict[tuple[Any, ...], list[Page]] = {}

    # Content.

    def _listed(self, call: Call, spaces: list[int], kinds: list[str], statuses: list[str]) -> list[Page]:
        """Pages by ascending id. Caches the last lists until a page changes, because offsets count from the start each time."""
        key = (tuple(spaces), tuple(kinds), tuple(statuses), call.parameter("title"), self.store.revision)
        pages = self._lists.get(key)
        if pages is None:
            pages = self._list(spaces, kinds, statuses, call.parameter("title"))
            if len(self._lists) >= _KEPT_LISTS:
                self._lists.clear()
            self._lists[key] = pages
        return pages

    def _list(self, spaces: list[int], kinds: list[str], statuses: list[str], title: str) -> list[Page]:
        store = self.store
        pages = [store.pages[i] for i in sorted(store.orders.between(spaces, "id", 0, 1 << 60))]
        chosen = [
            p for p in pages if p.kind in kinds and ("any" in statuses or p.status in statuses) and store.visible(p)
        ]
        return [p for p in chosen if self.content.title(p) == title] if title else chosen

    def _spaces(self, call: Call) -> list[int]:
        key = call.parameter("spaceKey")
        return [self.space_of(key).index] if key else self.readable_spaces()

    def page_size(self, expand: set[str], requested_size: int) -> int:
        """The page size after the caps of the deployment."""
        return requested_size

    @route("GET ~/rest/api/content")
    def contents(self, call: Call) -> Reply:
        expand, statuses = self.expand_of(call), call.parameters("status") or ["current"]
        if call.integer("start", 0) > 100_000:
            raise self.refuse(400, "start cannot be greater than 100000")
        pages = self._listed(call, self._spaces(call), [call.parameter("type", "page")], statuses)
        return self.pages_array(call, pages, expand)

    def pages_array(self, call: Call, pages: list[Page], expand: set[str], cap: int = 1000) -> Reply:
        most = min(cap, self.page_size(expand, 1000))
        if "body" in expand:
            start, limit = self.start_limit(call, 25, most)
            self.check_bodies(pages[start : start + limit], storage_too="body.storage" in expand)
        return self.array(call, pages, lambda p: self.content_json(p, expand), most=most)

    @route("GET ~/rest/api/content/{id}")
    def one_content(self, call: Call) -> Reply:
        number, expand = call.params["id"], self.expand_of(call)
        if match := self.comment_by_id(number):
            return reply(self.comment_json(*match, expand))
        if number.startswith("att"):
            file = self.attachment_by_id(number)
            if file is None:
                raise self.content_not_found(number)
            return reply(self.attachment_json(*file, expand))
        page = self.page_of(call)
        statuses = call.parameters("status") or ["current"]
        if call.parameter("version") and "historical" in statuses:
            return self._historical(call, page, expand)
        if page.status not in statuses and "any" not in statuses:
            raise self.content_not_found(number)
        if "body" in expand:
            self.check_bodies([page], storage_too="body.storage" in expand)
        return reply(self.content_json(page, expand))

    def _historical(self, call: Call, page: Page, expand: set[str]) -> Reply:
        number = call.integer("version", page.version)
        if not 1 <= number <= page.version:
            raise self.content_not_found(call.params["id"])
        document = self.content_json(page, expand) | {"status": "historical" if number < page.version else page.status}
        document["version"] = self.version_json(page, number)
        if "history" in expand:
            document["history"] = self.history_json(page, expand, latest=number == page.version)
        if "body.storage" in expand and number < page.version:
            document["body"]["storage"] = self.body_json(page, "storage", 1000 + number)
        return reply(document)

    @route("GET ~/rest/api/content/{id}/history")
    def history(self, call: Call) -> Reply:
        return reply(self.history_json(self.page_of(call), self.expand_of(call) | {"lastUpdated", "previousVersion"}))

    # Children of content.

    @route("GET ~/rest/api/content/{id}/child/page")
    def child_pages(self, call: Call) -> Reply:
        page = self.page_of(call)
        below = [p for n in sorted(self.store.children.get(page.id, ())) if (p := self.store.find(str(n))) is not None]
        return self.pages_array(call, [p for p in below if p.status == "current"], self.expand_of(call))

    @route("GET ~/rest/api/content/{id}/child/comment")
    def child_comments(self, call: Call) -> Reply:
        """Only the roots, unless `depth=all`; `location` narrows to inline or footer."""
        if match := self.comment_by_id(call.params["id"]):
            page, parent = match
            comments = [c for c in self.content.comments(page) if c.parent == parent.id]
        else:
            page = self.page_of(call)
            comments = self.content.comments(page)
            if call.parameter("depth") != "all":
                comments = [c for c in comments if not c.parent]
        where = call.parameters("location")
        if where:
            comments = [c for c in comments if ("inline" if c.inline else "footer") in where]
        expand = self.expand_of(call)
        return self.array(call, comments, lambda c: self.comment_json(page, c, expand))

    @route("GET ~/rest/api/content/{id}/child/attachment")
    def child_attachments(self, call: Call) -> Reply:
        page, expand = self.page_of(call), self.expand_of(call)
        if page.attachment_fails:
            raise self.refuse(400, "Cannot list the attachments")
        files = [a for a in self.content.attachments(page) if call.parameter("filename", a.title) == a.title]
        return self.array(
            call, files, lambda a: self.attachment_json(page, a, expand), default=50, most=self.page_size(set(), 1000)
        )

    def file_bytes(self, call: Call, page: Page, number: str) -> Reply:
        file = self.attachment_on(page, number)
        if file is None or page.attachment_fails:
            raise self.content_not_found(number)
        response = ranged_reply(call, self.content.attachment_bytes(file), file.kind)
        response.headers["Content-Disposition"] = "attachment"
        return response

    @route("GET ~/rest/api/content/{id}/label")
    def labels(self, call: Call) -> Reply:
        page = self.page_of(call)
        if call.parameter("limit") == "0":
            raise self.refuse(400, "limit must be greater than 0")
        return self.array(call, page.labels, self.label_json, default=200, most=200)

    def restricted_of(self, call: Call) -> Page | Container:
        container = self.store.containers.get(int(call.params["id"])) if call.params["id"].isdecimal() else None
        return container or self.page_of(call)

    @route("GET ~/rest/api/content/{id}/restriction")
    def restrictions(self, call: Call) -> Reply:
        page = self.restricted_of(call)
        response = self.array(call, ("read", "update"), lambda k: self.restriction_json(page, k), default=100)
        return self._hashed(response)

    def _hashed(self, response: Reply) -> Reply:
        """The listing has a hash over the restrictions beside the envelope."""
        from_body = response.body[:-1] + b',"restrictionsHash":"%08x"}' % (
            len(response.body) * 2_654_435_761 % (1 << 32)
        )
        return Reply(response.status, from_body, response.headers, response.kind)

    @route("GET ~/rest/api/content/{id}/restriction/byOperation")
    def restrictions_by_operation(self, call: Call) -> Reply:
        page = self.restricted_of(call)
        document = {k: self.restriction_json(page, k) for k in ("read", "update")}
        return reply(
            document
            | {"_links": {"self": f"{self.site}{call.path}", "base": f"{self.site}{self.root}", "context": self.root}}
        )

    @route("GET ~/rest/api/content/{id}/restriction/byOperation/{operation}")
    def restriction(self, call: Call) -> Reply:
        page, operation = self.restricted_of(call), call.params["operation"]
        if operation not in ("read", "update"):
            raise self.refuse(400, f"unsupported operation {operation}")
        return reply(self.restriction_json(page, operation))

    # Spaces.

    def wide_space(self, space: Space, expand: set[str]) -> Json:
        document = self.space_json(space)
        if "description" in expand:
            document["description"] = {
                "plain": {"value": f"About {space.name}", "representation": "plain", "embeddedContent": []}
            }
        if "homepage" in expand:
            home = self.store.find(str(space.homepage))
            if home is not None:
                document["homepage"] = self.content_json(home, set())
        if "history" in expand:
            document["history"] = {"createdDate": self.time(space.created), "createdBy": self.person(space.author)}
        return document

    @route("GET ~/rest/api/space")
    def spaces(self, call: Call) -> Reply:
        keys, kind, status, expand = (
            call.parameters("spaceKey"),
            call.parameter("type"),
            call.parameter("status"),
            self.expand_of(call),
        )
        chosen = [
            s for s in self.store.spaces
            if (not keys or s.key in keys) and (not kind or s.kind == kind)
            and (not status or status == ("archived" if s.archived else "current"))
        ]  # fmt: skip
        return self.array(call, chosen, lambda s: self.wide_space(s, expand), most=self.page_size(set(), 1000))

    @route("GET ~/rest/api/space/{key}")
    def one_space(self, call: Call) -> Reply:
        return reply(self.wide_space(self.space_of(call.params["key"]), self.expand_of(call)))

    @route("GET ~/rest/api/space/{key}/content")
    def space_content(self, call: Call) -> Reply:
        space, expand = self.space_of(call.params["key"]), self.expand_of(call)
        document: Json = {}
        for kind in ("page", "blogpost"):
            pages = self._listed(call, [space.index], [kind], ["current"])[:25]
            document[kind] = {
                "results": [self.content_json(p, expand) for p in pages],
                "start": 0,
                "limit": 25,
                "size": len(pages),
            }
        return reply(document | {"_links": self.links(call, None)})

    @route("GET ~/rest/api/space/{key}/content/{type}")
    def space_content_of(self, call: Call) -> Reply:
        space = self.space_of(call.params["key"])
        pages = self._listed(call, [space.index], [call.params["type"]], ["current"])
        if call.parameter("depth") == "root":
            pages = [p for p in pages if not p.parent]
        return self.pages_array(call, pages, self.expand_of(call))

    # Search, groups.

    def search_window(self, call: Call, expand: set[str], total: int) -> tuple[int, int, Json | None]:
        """(offset, limit, parameters of the next link) of one page of search results."""
        raise NotImplementedError

    def content_search_totals(self, call: Call, total: int) -> Json:
        return {}

    @route("GET ~/rest/api/content/search")
    def content_search(self, call: Call) -> Reply:
        expand, hits = self.expand_of(call), self.hits(call)
        start, limit, following = self.search_window(call, expand, len(hits))
        part = hits[start : start + limit]
        if "body" in expand:
            self.check_bodies(self.pages_of_hits(part), storage_too="body.storage" in expand)
        results = [self.hit_json(h, expand) for h in self.without_skipped(call, list(part))]
        document: Json = {"results": results, "start": start, "limit": limit, "size": len(part)}
        document |= self.content_search_totals(call, len(hits))
        return reply(document | {"_links": self.links(call, following)})

    @route("GET ~/rest/api/search")
    def search(self, call: Call) -> Reply:
        total = self.counted(call)
        if total is not None:
            return self.only_total(call, total)
        expand, hits = self.expand_of(call), self.hits(call)
        start, limit, following = self.search_window(call, expand, len(hits))
        document = self.search_document(call, hits, start, hits[start : start + limit], expand)
        return reply(document | {"limit": limit, "_links": self.links(call, following)})

    def only_total(self, call: Call, total: int) -> Reply:
        document: Json = {
            "results": [],
            "start": 0,
            "limit": 0,
            "size": 0,
            "totalSize": total,
            "cqlQuery": call.parameter("cql"),
        }
        return reply(document | {"searchDuration": 4, "_links": self.links(call, None)})

    def search_document(self, call: Call, hits: list[Any], start: int, part: list[Any], expand: set[str]) -> Json:
        if any(e.startswith("content.body") for e in expand):
            self.check_bodies(self.pages_of_hits(part), storage_too="content.body.storage" in expand)
        document = {"results": [self.result_json(h, expand) for h in part], "start": start, "size": len(part)}
        return document | {"totalSize": len(hits), "cqlQuery": call.parameter("cql"), "searchDuration": 12}

    @route("GET ~/rest/api/group")
    def groups(self, call: Call) -> Reply:
        return self.array(call, range(len(self.store.groups)), self.group_json, default=200)
