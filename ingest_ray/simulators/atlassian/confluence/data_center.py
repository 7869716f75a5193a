"""Confluence Data Center 10: v1 by offset with silent caps, content/scan by cursor, users by name and key."""

from bisect import bisect_right
from typing import Any
from urllib.parse import unquote

from ingest_ray.simulators.atlassian.confluence import space_grants
from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import Page
from ingest_ray.simulators.atlassian.confluence.v1_children import ConfluenceV1Children
from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, decode, reply, route

# https://confluence.atlassian.com/confkb/: caps of search and listings by what is expanded
WITH_BODY, WITH_EXPAND, PLAIN = 50, 200, 1000


class ConfluenceDataCenter(ConfluenceV1Children):
    cloud = False
    root = ""

    def anonymous_reply(self, call: Call) -> Reply:
        return self.unauthorized_reply()

    def unauthorized_reply(self) -> Reply:
        page = b"<html><head><title>Unauthorized (401)</title></head><body>Basic Authentication Failure</body></html>"
        headers = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED", "WWW-Authenticate": 'OAuth realm="confluence"'}
        return Reply(401, page, headers, "text/html;charset=UTF-8")

    def failed_login_reply(self, call: Call, verdict: str) -> Reply:
        return self.unauthorized_reply()

    def unknown_path_reply(self, call: Call) -> Reply:
        return reply({"statusCode": 404, "message": f"null for uri: {self.site}{call.path}"}, 404)

    def page_size(self, expand: set[str], size: int) -> int:
        if "dc-caps" not in self.traps:
            return size
        inner = {e.removeprefix("content.") for e in expand}
        return min(size, WITH_BODY if "body" in inner else WITH_EXPAND if expand else PLAIN)

    # By cursor.

    def _scanned(self, call: Call, pages: list[Page], expand: set[str], prefix: str) -> Reply:
        """`nextCursor` names the last content that was sent; pages come by ascending id."""
        limit = min(max(call.integer("limit", 25), 1), self.page_size(expand, 1000))
        cursor = call.parameter("cursor")
        after = 0
        if cursor:
            number = cursor.rpartition(":")[2]
            if not number.isdecimal() or not cursor.startswith(prefix):
                raise self.refuse(400, f"Invalid cursor: {cursor}")
            after = int(number)
        at = bisect_right(pages, after, key=lambda p: p.id)
        part = pages[at : at + limit]
        if "body" in expand:
            self.check_bodies(part, storage_too="body.storage" in expand)
        document: Json = {"results": [self.content_json(p, expand) for p in part], "limit": limit, "size": len(part)}
        document["cursor"] = cursor or f"{prefix}:false:null"
        following: Json | None = None
        if at + limit < len(pages) or ("empty-next" in self.traps and part):
            document["nextCursor"] = f"{prefix}:false:{part[-1].id}"
            repeats = self.traps.number("repeated-token")
            if repeats and cursor and not cursor.endswith("null"):
                document["nextCursor"] = cursor
            following = {"limit": limit, "cursor": document["nextCursor"]}
        return reply(document | {"_links": self.links(call, following)})

    @route("GET ~/rest/api/content/scan")
    def scan(self, call: Call) -> Reply:
        statuses = call.parameters("status") or ["current"]
        pages = self._listed(call, self._spaces(call), [call.parameter("type", "page")], statuses)
        return self._scanned(call, pages, self.expand_of(call), "content")

    @route("GET ~/rest/api/space/{key}/trash")
    def trash(self, call: Call) -> Reply:
        space = self.space_of(call.params["key"])
        pages = self._listed(call, [space.index], ["page", "blogpost"], ["trashed"])
        return self._scanned(call, pages, self.expand_of(call), "trash")

    # Search by offset.

    def search_window(self, call: Call, expand: set[str], total: int) -> tuple[int, int, Json | None]:
        start, limit = self.start_limit(call, 25, self.page_size(expand, 1000))
        deep = self.traps.number("deep-start-500")
        if deep and start + limit > deep:
            raise self.refuse(500, f"Search limit exceeded: start + limit must be at most {int(deep)}.")
        following: Json | None = None
        if limit and start + limit < total:
            short = int(self.traps.number("undercounted-start"))
            following = {"limit": limit, "start": max(start + limit - short, start + 1)}
        elif limit and "empty-next" in self.traps and start < total:
            following = {"limit": limit, "start": start + limit}
        return start, limit, following

    def content_search_totals(self, call: Call, total: int) -> Json:
        return {"totalSize": total, "cqlQuery": call.parameter("cql"), "searchDuration": 9}

    # Restrictions and permissions.

    @route("GET ~/rest/api/content/{id}/restriction/relevantViewRestrictions")
    def relevant_view(self, call: Call) -> Reply:
        """Every view restriction that counts for this content: its own, and those of the pages above."""
        page = self.page_of(call)
        chain = [self.store.pages[n] for n, _ in self.store.readers(page)]
        results = [self.restriction_json(p, "read") | {"content": self.content_json(p, set())} for p in chain]
        return self.array(call, results, lambda r: r, default=100)

    @route("GET ~/rest/api/space/{key}/permissions")
    def space_permissions(self, call: Call) -> Reply:
        space = self.space_of(call.params["key"])
        owner = {
            "type": "known",
            **{k: v for k, v in self.person(space.author).items() if k in ("displayName", "username", "userKey")},
        }
        subjects: list[tuple[Json, str]] = [(owner, "read"), (owner, "administer")]
        if space.kind != "personal":
            subjects += [
                ({"type": "group", "displayName": g.name, "name": g.name}, "read") for g in self.store.groups[:2]
            ]
        results: list[Any] = [
            {"operation": {"targetType": "space", "operationKey": key}, "subject": s, "spaceKey": space.key, "spaceId": space.id}
            for s, key in subjects
        ]  # fmt: skip
        return reply(results)

    @route("GET ~/rest/api/space/{key}/permissions/anonymous")
    def anonymous_space_permissions(self, call: Call) -> Reply:
        """The grants to everyone are here only, without a subject."""
        space = self.space_of(call.params["key"])
        granted = [
            {"operation": {"targetType": "space", "operationKey": "read"}, "spaceKey": space.key, "spaceId": space.id}
        ]
        return reply(granted if space_grants.is_anonymous(self.store, space) else [])

    @route("GET ~/rest/api/space/{key}/permissions/group/{name}", "GET ~/rest/api/space/{key}/permissions/user/{user}")
    def subject_permissions(self, call: Call) -> Reply:
        """The grants to one group, by name, or to one user, by key."""
        granted = decode(self.space_permissions(call).body)
        wanted = {unquote(call.params.get("name", "")), call.params.get("user", "")} - {""}
        return reply([g for g in granted if wanted & {g["subject"].get("name"), g["subject"].get("userKey")}])

    @route("GET ~/rest/api/space/{key}/property")
    def space_properties(self, call: Call) -> Reply:
        self.space_of(call.params["key"])
        return self.array(call, [], lambda each: each, default=10)

    @route("GET ~/rest/api/content/{id}/property")
    def content_properties(self, call: Call) -> Reply:
        return self.array(call, [self._property(self.page_of(call))], lambda each: each, default=10)

    @route("GET ~/rest/api/content/{id}/property/{name}")
    def content_property(self, call: Call) -> Reply:
        document = self._property(self.page_of(call))
        if call.params["name"] != document["key"]:
            raise self.refuse(404, f"No property with key {call.params['name']}")
        return reply(document)

    def _property(self, page: Page) -> Json:
        return {"id": str(page.id), "key": "editor", "value": "v2", "version": {"number": 1, "minorEdit": False}}

    @route("GET ~/rest/api/accessmode")
    def access_mode(self, call: Call) -> Reply:
        return reply("READ_WRITE")

    @route("GET ~/rest/api/longtask")
    def long_tasks(self, call: Call) -> Reply:
        return self.array(call, [], lambda each: each, default=100)

    @route("GET ~/rest/api/permissions/anonymous")
    def anonymous_site_permissions(self, call: Call) -> Reply:
        is_allowed = "anonymous-spaces" in self.traps and "anonymous-site-off" not in self.traps
        return reply([{"operation": {"targetType": "application", "operationKey": "use"}}] if is_allowed else [])

    # People and server.

    @route("GET ~/rest/api/user/current")
    def current_user(self, call: Call) -> Reply:
        return reply(self.person(0))

    @route("GET ~/rest/api/user")
    def one_user(self, call: Call) -> Reply:
        for person in self.store.people:
            if call.parameter("key") == person.key or call.parameter("username") == person.username:
                return reply(self.user(person))
        raise self.refuse(404, "No user found")

    @route("GET ~/rest/api/user/list")
    def user_list(self, call: Call) -> Reply:
        return self.array(call, self.store.people, self._listed_user, default=200)

    def _listed_user(self, person: Person) -> Json:
        return self.user(person)

    @route("GET ~/rest/api/group/{name}/member")
    def group_members(self, call: Call) -> Reply:
        for group in self.store.groups:
            if group.name == unquote(call.params["name"]):
                return self.array(call, group.members, self.person, default=200)
        raise self.refuse(404, f"No group found with name: {call.params['name']}")

    @route("GET ~/rest/api/server-information")
    def server_information(self, call: Call) -> Reply:
        document: Json = {"baseUrl": self.site, "version": "10.0.3", "buildNumber": 10_003, "buildDate": "2026-01-15"}
        return reply(document | {"marketplaceBuildNumber": 10_003})

    @route("GET ~/download/attachments/{id}/{file}")
    def download(self, call: Call) -> Reply:
        page, name = self.page_of(call), unquote(call.params["file"])
        for file in self.content.attachments(page):
            if file.title == name:
                return self.file_bytes(call, page, f"att{file.id}")
        raise self.content_not_found(call.params["id"])
