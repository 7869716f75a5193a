"""Jira Data Center 10.3: offset search with silent caps, complete comments and changelogs, users by name and key."""

from urllib.parse import unquote

from ingest_ray.simulators.atlassian.content.clock import spell
from ingest_ray.simulators.atlassian.content.people import jira_dc
from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import PROFILE_EXTRAS, JiraSite
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.query.grammar import QueryError
from ingest_ray.simulators.atlassian.server.byte_ranges import ranged_reply
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route


class JiraDataCenter(JiraSite):
    cloud = False

    def anonymous_reply(self, call: Call) -> Reply:
        return self.unauthorized_reply()

    def unauthorized_reply(self) -> Reply:
        page = b"<html><head><title>Unauthorized (401)</title></head><body>Basic Authentication Failure</body></html>"
        headers = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED", "WWW-Authenticate": 'OAuth realm="jira"'}
        return Reply(401, page, headers, "text/html;charset=UTF-8")

    @route("GET /rest/api/{api}/myself")
    def myself(self, call: Call) -> Reply:
        me = self.store.people[0]
        return reply(jira_dc(me, self.site) | {"deleted": False, "locale": me.locale} | PROFILE_EXTRAS)

    @route("GET /rest/auth/1/session")
    def session(self, call: Call) -> Reply:
        me = self.store.people[0]
        info: Json = {"failedLoginCount": 0, "loginCount": 1}
        return reply(
            {"self": f"{self.site}/rest/api/2/user?username={me.username}", "name": me.username, "loginInfo": info}
        )

    @route("GET /rest/api/{api}/serverInfo")
    def server_info(self, call: Call) -> Reply:
        now = spell(self.store.clock.now(), "America/New_York")
        document: Json = {
            "baseUrl": self.site,
            "version": "10.3.24",
            "versionNumbers": [10, 3, 24],
            "deploymentType": "Server",
        }
        document |= {
            "buildNumber": 10_030_024,
            "buildDate": now,
            "serverTime": now,
            "scmInfo": "0" * 40,
            "serverTitle": "Jira",
        }
        return reply(
            document | {"databaseBuildNumber": 10_030_024, "serverTimeZone": {"timeZoneId": "America/New_York"}}
        )

    @route("GET /rest/api/{api}/search")
    def search_get(self, call: Call) -> Reply:
        fields, expand = call.parameters("fields"), call.parameters("expand")
        return self._search(
            call, call.parameter("jql"), call.integer("startAt", 0), call.integer("maxResults", 50), fields, expand
        )

    @route("POST /rest/api/{api}/search")
    def search_post(self, call: Call) -> Reply:
        payload = call.json_body()
        fields = self.listed(payload, "fields")
        expand = payload.get("expand") or []
        if not isinstance(expand, list):
            raise self.refuse(400, "Can not deserialize instance of java.util.ArrayList out of VALUE_STRING token")
        start, size = self.whole(payload, "startAt", 0), self.whole(payload, "maxResults", 50)
        return self._search(call, str(payload.get("jql", "")), start, size, fields, [str(e) for e in expand])

    def _search(self, call: Call, jql: str, start: int, size: int, names: list[str], expand: list[str]) -> Reply:
        cap = int(self.traps.number("dc-caps"))
        size = min(size, cap) if cap and size >= 0 else cap or 1000
        start = max(start, 0)
        deep = self.traps.number("deep-start-500")
        if deep and start + size > deep:
            raise self.refuse(500, f"Search limit exceeded: startAt + maxResults must be at most {int(deep)}.")
        try:
            result = self.searcher.find(jql)
        except QueryError as failure:
            raise self.query_failed(failure) from None
        renderer = self.renderer(call)
        fields = renderer.selected([n for n in names or ["*navigable"] if n not in ("id", "key", "issuekey")])
        part = [i for n in result.ids[start : start + size] if (i := self.store.issues.get(n)) is not None]
        issues = self.render_issues(renderer, part, fields, expand)
        if not fields:
            issues = [{k: v for k, v in i.items() if k != "fields"} for i in issues]
        document: Json = {
            "expand": "schema,names",
            "startAt": start,
            "maxResults": size,
            "total": len(result.ids),
            "issues": issues,
        }
        return reply(document)

    @route("GET /rest/api/{api}/project")
    def projects(self, call: Call) -> Reply:
        renderer, archived = self.renderer(call), call.boolean("includeArchived")
        chosen = [p for p in self.store.configuration.projects if not p.deleted and (archived or not p.archived)]
        return reply([self.project(renderer, p, wide=False) for p in chosen])

    @route("GET /rest/api/{api}/user")
    def user(self, call: Call) -> Reply:
        for person in self.store.people:
            if call.parameter("username") == person.username or call.parameter("key") == person.key:
                return reply(jira_dc(person, self.site))
        raise self.refuse(404, f"The user named '{call.parameter('username')}' does not exist")

    @route("GET /rest/api/{api}/user/search")
    def user_search(self, call: Call) -> Reply:
        """`username=.` matches everybody; at most 1000 of them."""
        wanted, inactive = call.parameter("username").lower(), call.boolean("includeInactive")
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 0), 1000)
        users = [
            p for p in self.store.people
            if (p.active or inactive) and (wanted in (".", "") or wanted in f"{p.username} {p.display} {p.email}".lower())
        ]  # fmt: skip
        return reply([jira_dc(p, self.site) for p in users[:1000][start : start + size]])

    @route("GET /rest/api/{api}/user/list")
    def user_list(self, call: Call) -> Reply:
        at, size = call.integer("cursor", 0), min(max(call.integer("maxResults", 50), 1), 100)
        part = self.store.people[at : at + size]
        document: Json = {
            "values": [jira_dc(p, self.site) for p in part],
            "cursor": str(at),
            "isLast": at + size >= len(self.store.people),
        }
        document["maxResults"] = size
        return reply(document if document["isLast"] else document | {"nextCursor": str(at + size)})

    @route("GET /rest/api/{api}/group/member")
    def group_members(self, call: Call) -> Reply:
        for group in self.store.groups:
            if call.parameter("groupname") == group.name:
                inactive = call.boolean("includeInactiveUsers")
                people = [self.store.people[n] for n in group.members]
                bean = self.page_bean(call, [p for p in people if inactive or p.active], 50, 50)
                return reply(bean | {"values": [jira_dc(p, self.site) for p in bean["values"]]})
        raise self.refuse(404, f"The group named '{call.parameter('groupname')}' does not exist.")

    @route("GET /rest/api/{api}/attachment/{id}")
    def attachment(self, call: Call) -> Reply:
        return reply({k: v for k, v in self.attachment_document(call).items() if k != "id"})

    @route("GET /secure/attachment/{id}/{file}")
    def attachment_content(self, call: Call) -> Reply:
        body = self.attachment_body(call, call.params["id"])
        if body is None or unquote(call.params["file"]) != body[2]:
            raise self.refuse(404, "The attachment does not exist")
        return ranged_reply(call, body[0], body[1])
