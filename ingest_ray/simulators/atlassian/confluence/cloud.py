"""Confluence Cloud: the remaining v1 endpoints, with CQL by cursor; v2 is in `v2`."""

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import LABELS, Space
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.confluence.v2.extras import ConfluenceV2Extras
from ingest_ray.simulators.atlassian.confluence.v2.parameters import guarded, parameters_by_path
from ingest_ray.simulators.atlassian.server.application import CLOUD_ID
from ingest_ray.simulators.atlassian.server.routing import Call, Endpoint, Reply, decode, encode, reply, route

NO_ACCESS = (
    'com.atlassian.confluence.mvc.rest.common.exception.StacklessResponseStatusException: 403 FORBIDDEN "Request rejected '
    'because caller cannot access Confluence"'
)
_DEPRECATED = {
    "deprecation": "Wed, 1 Mar 2023 00:00:00 GMT",
    "link": '<https://developer.atlassian.com/cloud/confluence/changelog/#CHANGE-864>; rel="deprecation"',
    "warning": '299 - "Deprecated API, will be removed on Mon, 31 Mar 2025 00:00:00 GMT"',
}
_KEPT = ("/search", "/restriction", "/download", "/group", "/user", "/settings", "/audit", "/api/label", "/template")


def is_kept_v1_path(path: str) -> bool:
    """Whether a v1 path is not deprecated."""
    return any(part in path for part in _KEPT)


_NAME = re.compile(r"\{[^}]*\}")


class ConfluenceCloud(ConfluenceV2Extras):
    def __init__(self, store: PageStore, site: str) -> None:
        super().__init__(store, site)
        self.router.wrap(self._guarded)

    def _guarded(self, template: str, endpoint: Endpoint) -> Endpoint:
        """Endpoints of v2 refuse parameters with other values than the OpenAPI file has."""
        method, path = template.split(" ")
        own = path.removeprefix(f"{self.root}/api/v2")
        parameters = parameters_by_path().get(_NAME.sub("{}", own), ()) if method == "GET" and own != path else ()
        return guarded(parameters, endpoint, self.v2_refuse) if parameters else endpoint

    def anonymous_reply(self, call: Call) -> Reply:
        if "/api/v2/" in call.path:
            return reply({"message": "Current user not permitted to use Confluence", "statusCode": 403}, 403)
        return reply({"statusCode": 403, "message": NO_ACCESS}, 403)

    def unauthorized_reply(self) -> Reply:
        return reply({"statusCode": 401, "message": "Basic authentication with passwords is deprecated."}, 401)

    def failed_login_reply(self, call: Call, verdict: str) -> Reply:
        if call.gateway:
            return reply({"code": 401, "message": "Unauthorized"}, 401)
        if verdict == "bearer-on-site":
            return reply({"error": "Failed to parse Connect Session Auth Token"}, 403)
        return self.unauthorized_reply() if verdict == "unreadable" else self.anonymous_reply(call)

    def unknown_path_reply(self, call: Call) -> Reply:
        if "/api/v2/" in call.path:
            return self.v2_error(404, "Not Found")
        return reply({"statusCode": 404, "message": "null for uri: " + call.path}, 404)

    def finish_reply(self, call: Call, response: Reply) -> Reply:
        """Adds deprecation headers to deprecated v1 endpoints on the site's host, and answers 410 at the gateway."""
        if "/rest/api/" not in call.path or is_kept_v1_path(call.path):
            return response
        if call.gateway or "removed-v1" in self.traps or "deprecated-v1" not in self.traps:
            return reply({"statusCode": 410, "message": "This deprecated endpoint has been removed."}, 410)
        response.headers |= _DEPRECATED
        return response

    def page_size(self, expand: set[str], size: int) -> int:
        return 25 if "body.export_view" in expand or "body.styled_view" in expand else size

    # CQL by cursor; a `start` in the request is ignored.

    def search_window(self, call: Call, expand: set[str], total: int) -> tuple[int, int, Json | None]:
        """(offset, limit, parameters of the next link). A cursor holds the offset in the result list of its own query."""
        limit = self.page_size(expand | {e.removeprefix("content.") for e in expand}, call.integer("limit", 25))
        if limit < 0:
            raise self.refuse(400, "limit cannot be less than zero")
        page, start = 0, 0
        mark = hashlib.blake2b(call.parameter("cql").encode(), digest_size=6).hexdigest()
        if token := call.parameter("cursor"):
            try:
                start, page, of = decode(urlsafe_b64decode(token))
            except Exception:
                raise self.refuse(400, "Invalid cursor") from None
            if of != mark or self.consume_expired_token():
                raise self.refuse(400, "Invalid cursor")
        following: Json | None = None
        end = start + limit
        if limit and (end < total or ("empty-next" in self.traps and start < total)):
            repeats = self.traps.number("repeated-token")
            position = [min(end, total), page + 1, mark]
            again = bool(token) and bool(repeats) and page >= repeats
            following = {
                "next": "true",
                "cursor": token if again else urlsafe_b64encode(encode(position)).decode(),
                "limit": limit,
                "start": end,
            }
        return start, limit, following

    def consume_expired_token(self) -> bool:
        """Whether this cursor is one of those that the trap refuses."""
        if self.traps.number("expired-token") < 1:
            return False
        self.traps.numbers["expired-token"] -= 1
        return True

    @route("GET ~/rest/api/content/{id}/version")
    def versions(self, call: Call) -> Reply:
        page = self.page_of(call)
        return self.array(call, range(page.version, 0, -1), lambda n: self.version_json(page, n), most=200)

    @route("GET ~/rest/api/content/{id}/version/{number}")
    def version(self, call: Call) -> Reply:
        page, number = self.page_of(call), call.params["number"]
        if not number.isdecimal() or not 1 <= int(number) <= page.version:
            raise self.refuse(404, f"No version {number} of content {page.id}")
        return reply(self.version_json(page, int(number)))

    # Labels and templates of the site.

    @route("GET ~/rest/api/label")
    def label_details(self, call: Call) -> Reply:
        name = call.parameter("name")
        if name not in LABELS:
            raise self.refuse(404 if name else 400, f"No label found with name: {name}")
        number = LABELS.index(name)
        readable = set(self.readable_spaces())
        pages = [p for p in self.store.searched.values() if number in p.labels and p.space in readable]
        start, limit = self.start_limit(call, 25, 200)
        sent = [
            {"contentType": p.kind, "contentId": p.id, "title": self.content.title(p)}
            for p in pages[start : start + limit]
        ]
        document: Json = {"results": sent, "start": start, "limit": limit, "size": len(sent)}
        label = self.label_json(number) | {"prefix": "global"}
        return reply({"label": label, "associatedContents": document})

    @route("GET ~/rest/api/template/page", "GET ~/rest/api/template/blueprint")
    def templates(self, call: Call) -> Reply:
        key = call.parameter("spaceKey")
        space = self.space_of(key) if key else None
        kind = call.path.rpartition("/")[2]
        return self.array(call, range(1 if kind == "page" else 0), lambda n: self._template(n, space))

    def _template(self, number: int, space: Space | None) -> Json:
        document: Json = {"templateId": str(700_000 + number), "name": "Meeting notes", "description": "", "labels": []}
        document |= {"templateType": "page", "editorVersion": "v2", "body": {}, "_links": {}}
        return document if space is None else document | {"space": self.space_json(space)}

    @route("GET ~/rest/api/template/{template}")
    def template(self, call: Call) -> Reply:
        if call.params["template"] != "700000":
            raise self.refuse(404, "No template found")
        return reply(self._template(0, None))

    @route("GET ~/rest/api/search/user")
    def search_user(self, call: Call) -> Reply:
        """`type=user`, by offset."""

        def entry(number: int) -> Json:
            person = self.store.people[number]
            document: Json = {
                "user": self.user(person),
                "title": person.display,
                "excerpt": "",
                "url": f"/people/{person.account_id}",
            }
            document |= {
                "breadcrumbs": [],
                "entityType": "user",
                "iconCssClass": "",
                "lastModified": self.time(0),
                "score": 0.0,
            }
            return document

        document = decode(self.array(call, range(len(self.store.people)), entry, most=200).body)
        extra = {"totalSize": len(self.store.people), "cqlQuery": call.parameter("cql"), "searchDuration": 3}
        return reply(document | extra)

    # People, settings.

    @route("GET ~/rest/api/user/current")
    def current_user(self, call: Call) -> Reply:
        return reply(self.person(0))

    @route("GET ~/rest/api/user")
    def one_user(self, call: Call) -> Reply:
        for person in self.store.people:
            if person.account_id == call.parameter("accountId"):
                return reply(self.user(person))
        raise self.refuse(404, "No user found with account id")

    @route("GET ~/rest/api/user/bulk")
    def users_bulk(self, call: Call) -> Reply:
        wanted = set(call.parameters("accountId"))
        return self.array(call, [p for p in self.store.people if p.account_id in wanted], self.user, default=100)

    @route("GET ~/rest/api/group/{group}/membersByGroupId")
    def group_members(self, call: Call) -> Reply:
        for group in self.store.groups:
            if group.group_id == call.params["group"]:
                return self.array(call, group.members, self.person, default=200)
        raise self.refuse(404, "There is no group with that id")

    @route("GET ~/rest/api/settings/systemInfo")
    def system_info(self, call: Call) -> Reply:
        document: Json = {
            "cloudId": CLOUD_ID,
            "commitHash": "0" * 40,
            "baseUrl": f"{self.site}/wiki",
            "edition": "standard",
        }
        return reply(
            document | {"siteTitle": "Simulated", "defaultLocale": "en_GB", "defaultTimeZone": self.store.site_zone}
        )

    # Attachments' bytes.

    @property
    def media_host(self) -> str:
        """Another host than the site's."""
        return self.site.replace("127.0.0.1", "localhost")

    @route("GET ~/download/attachments/{id}/{file}")
    def servlet(self, call: Call) -> Reply:
        """Closed to API tokens since May 2026: https://developer.atlassian.com/cloud/confluence/changelog/#CHANGE-2735, #CHANGE-3007"""
        return Reply(401, b"<html><body>Unauthorized</body></html>", kind="text/html;charset=UTF-8")

    @route("GET ~/rest/api/content/{id}/child/attachment/{file}/download")
    def download(self, call: Call) -> Reply:
        page = self.page_of(call)
        file = self.attachment_on(page, call.params["file"])
        if file is None or page.attachment_fails:
            raise self.content_not_found(call.params["file"])
        return Reply(
            302,
            b"",
            {"Location": f"{self.media_host}/wiki/media/{page.id}/att{file.id}?signature={self._sign(file.id)}"},
        )

    def _sign(self, number: int) -> str:
        return hashlib.blake2b(str(number).encode(), digest_size=8).hexdigest()

    @route("GET ~/media/{id}/{file}")
    def media(self, call: Call) -> Reply:
        """The signed address of the media host, which refuses a second login beside the signature."""
        number = call.params["file"].removeprefix("att")
        if "authorization" in call.headers:
            return Reply(400, b"Only one auth mechanism allowed", kind="text/plain")
        if not number.isdecimal() or call.parameter("signature") != self._sign(int(number)):
            return Reply(403, b"", kind="text/plain")
        return self.file_bytes(call, self.page_of(call), call.params["file"])
