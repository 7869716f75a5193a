"""Jira Cloud: search/jql with tokens, bulk endpoints, account ids, and the removed endpoints' 410."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import DAY_MS, spell
from ingest_ray.simulators.atlassian.content.people import jira_cloud
from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import PROFILE_EXTRAS, JiraSite
from ingest_ray.simulators.atlassian.jira.issue import PER_ISSUE, Issue
from ingest_ray.simulators.atlassian.jira.json_renderer import Json
from ingest_ray.simulators.atlassian.jira.search import SearchResult
from ingest_ray.simulators.atlassian.query.grammar import QueryError
from ingest_ray.simulators.atlassian.server.byte_ranges import ranged_reply
from ingest_ray.simulators.atlassian.server.error_messages import BAD_PAYLOAD, GONE, NO_ISSUE, NO_LOGIN, UNBOUNDED
from ingest_ray.simulators.atlassian.server.routing import (
    Call,
    Reply,
    RequestRefused,
    decode,
    encode,
    problem,
    reply,
    route,
)

TOKEN_LIFE_MS = 7 * DAY_MS
MOST_IDS = 5000  # issues a page, where only id and key are requested
MOST_WIDE = 100  # any other page
_PROPERTIES = frozenset(
    (
        "jql",
        "nextPageToken",
        "maxResults",
        "fields",
        "expand",
        "properties",
        "fieldsByKeys",
        "failFast",
        "reconcileIssues",
    )
)


def _listed(value: Any) -> list[str]:
    """`fields` and `expand` come as a list or as one comma string."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return [str(p).strip() for p in parts if str(p).strip()]


class JiraCloud(JiraSite):
    cloud = True

    def anonymous_reply(self, call: Call) -> Reply:
        """The answer for a request without login, on a site without public content: empty lists, no issues, no self."""
        where = call.template.partition(" ")[2]
        if where.endswith(("/search/jql", "/search")):
            return reply({"issues": [], "isLast": True})
        if where.endswith("/approximate-count"):
            return reply({"count": 0})
        if where.endswith("/bulkfetch"):
            return reply({"issues": [], "issueErrors": []} if "issue/" in where else {"issueChangeLogs": []})
        if where.endswith(("/project/search", "/user/bulk", "/field/search", "/comment/list")):
            return reply(self.page_bean(call, [], 50, 100))
        if where.endswith(
            ("/project", "/field", "/users/search", "/worklog/list", "/status", "/priority", "/issuetype")
        ):
            return reply([])
        if where.endswith("/serverInfo"):
            return self.server_info(call)
        if "/issue/" in where or "/project/" in where or "/attachment/" in where:
            return self.errors(404, NO_ISSUE)
        return self.unauthorized_reply()

    def unauthorized_reply(self) -> Reply:
        response = self.errors(401, NO_LOGIN)
        response.headers["WWW-Authenticate"] = f'OAuth realm="{self.site}"'
        return response

    def unknown_path_reply(self, call: Call) -> Reply:
        return problem(404, "Not Found", f"No endpoint {call.method} {call.path}.", call.path)

    # Account and server.

    @route("GET /rest/api/{api}/myself")
    def myself(self, call: Call) -> Reply:
        me = self.store.people[0]
        return reply(jira_cloud(me, self.site) | {"locale": me.locale} | PROFILE_EXTRAS)

    @route("GET /rest/api/{api}/serverInfo")
    def server_info(self, call: Call) -> Reply:
        zone = "America/New_York"
        now = spell(self.store.clock.now(), zone)
        document: Json = {"baseUrl": self.site, "version": "1001.0.0-SNAPSHOT", "versionNumbers": [1001, 0, 0]}
        document |= {
            "deploymentType": "Cloud",
            "buildNumber": 100_290,
            "buildDate": now,
            "serverTime": now,
            "scmInfo": "0" * 40,
        }
        return reply(document | {"serverTitle": "Jira", "defaultLocale": {"locale": "en_US"}, "serverTimeZone": zone})

    # Search.

    @route("GET /rest/api/{api}/search", "POST /rest/api/{api}/search", "GET /rest/api/{api}/search/id",
           "POST /rest/api/{api}/search/id", "POST /rest/api/{api}/expression/eval")  # fmt: skip
    def removed(self, call: Call) -> Reply:
        if "removed-endpoints" in self.traps or not call.path.endswith("/search"):
            raise self.refuse(410, GONE)
        return self._legacy_search(call)

    def _legacy_search(self, call: Call) -> Reply:
        payload = call.json_body() if call.method == "POST" else {k: v[-1] for k, v in call.query.items()}
        try:
            result = self.searcher.find(str(payload.get("jql", "")))
        except QueryError as failure:
            raise self.query_failed(failure) from None
        start = max(self.whole(payload, "startAt", 0), 0)
        size = min(max(self.whole(payload, "maxResults", 50), 0), 100)
        renderer = self.renderer(call)
        fields = renderer.selected(_listed(payload.get("fields")) or ["*navigable"])
        issues = self._current(result.ids[start : start + size])
        sent = self.render_issues(renderer, issues, fields, _listed(payload.get("expand")))
        return reply(
            {"expand": "schema,names", "startAt": start, "maxResults": size, "total": len(result.ids), "issues": sent}
        )

    def _current(self, ids: list[int]) -> list[Issue]:
        """The current state of the issues that search found, without those deleted since."""
        return [i for n in ids if (i := self.store.issues.get(n)) is not None and self.store.searchable(i)]

    @route("GET /rest/api/{api}/search/jql")
    def search_get(self, call: Call) -> Reply:
        document: Json = {k: v[-1] for k, v in call.query.items()}
        document["fields"] = call.parameters("fields")
        document["reconcileIssues"] = call.parameters("reconcileIssues")
        document["maxResults"] = call.integer("maxResults", 50)
        return self._search(call, document)

    @route("POST /rest/api/{api}/search/jql")
    def search_post(self, call: Call) -> Reply:
        request = call.json_body()
        if "strict-payload" in self.traps:
            wrong_type = not isinstance(request.get("expand", ""), str) or not isinstance(
                request.get("fields", []), list
            )
            if not set(request) <= _PROPERTIES or wrong_type:
                raise self.refuse(400, BAD_PAYLOAD)
        return self._search(call, request)

    def _search(self, call: Call, payload: Json) -> Reply:
        limit = payload.get("maxResults", 50)
        if not isinstance(limit, int) or not 1 <= limit <= MOST_IDS:
            raise self.refuse(400, "The value of maxResults must be between 1 and 5000.")
        jql = str(payload.get("jql", ""))
        result = self._find(jql, payload.get("reconcileIssues") or [])
        renderer = self.renderer(call)
        names = _listed(payload.get("fields"))
        if not names:
            names = [] if "fields-default" in self.traps else ["*navigable"]
        fields = renderer.selected([n for n in names if n not in ("id", "key", "issuekey")])
        expand = _listed(payload.get("expand"))
        if fields or expand:
            limit = min(limit, MOST_WIDE)
        token = str(payload.get("nextPageToken") or "")
        page, offset = self._decode_token(token, jql, result) if token else (0, 0)
        size = self._short_page_size(limit, offset)
        part = result.ids[offset : offset + size]
        if self.traps.strikes("skipped-issues", call.path, self.store.draws):
            part = part[: len(part) - max(1, len(part) // 10)]
        if fields or expand or "key" in names or "issuekey" in names:
            issues: list[Any] = self.render_issues(renderer, self._current(part), fields, expand)
            if not fields and not expand:
                issues = [{k: v for k, v in i.items() if k != "fields"} for i in issues]
        else:
            issues = [{"id": str(n)} for n in part]
        return self._answer(issues, token, result, offset + size, page, jql)

    def _answer(self, issues: list[Any], token: str, result: SearchResult, end: int, page: int, jql: str) -> Reply:
        last = end >= len(result.ids)
        document: Json = {"issues": issues, "isLast": last}
        if not last:
            repeats = self.traps.number("repeated-token")
            again = token and repeats and page >= repeats
            document["nextPageToken"] = (
                token if again else self._encode_token(self.searcher.page_end(result, end - 1), jql, page + 1)
            )
        elif "token-absent-on-last-page" not in self.traps:
            document["nextPageToken"] = ""
        if "search-warnings" in self.traps:
            document["warnings"] = ["The value 'gone' does not exist for the field 'status'."]
        if "missing-islast" in self.traps:
            del document["isLast"]
        return reply(document)

    def _find(self, jql: str, reconcile: list[Any]) -> SearchResult:
        if len(reconcile) > 50:
            raise self.refuse(400, "The number of issues to reconcile must not be greater than 50.")
        for number in self.numbers({"ids": reconcile}, "ids"):
            self.store.reindex(number)
        try:
            result = self.searcher.find(jql)
        except QueryError as failure:
            raise self.query_failed(failure) from None
        if not result.search.bounded:
            raise self.refuse(400, UNBOUNDED)
        return result

    def _short_page_size(self, limit: int, offset: int) -> int:
        share = self.traps.number("short-pages")
        if not share:
            return limit
        percent = share + self.store.draws(b"short", offset)[0] % (101 - int(share))
        return max(1, int(limit * percent / 100))

    # Tokens hold the end of the last page, a hash of the query, and the time of their making.

    def _encode_token(self, position: list[Any], jql: str, page: int) -> str:
        mark = hashlib.blake2b(jql.encode(), digest_size=6).hexdigest()
        return urlsafe_b64encode(encode([position, mark, self.store.clock.now(), page])).decode()

    def _decode_token(self, token: str, jql: str, result: SearchResult) -> tuple[int, int]:
        """(page number, offset). A token that is unreadable, too old, or of another query is refused."""
        refused = self.refuse(
            400, "The provided next page token is invalid or expired. Restart the pagination from the beginning."
        )
        try:
            position, mark, made_ms, page = decode(urlsafe_b64decode(token.encode()))
        except Exception:
            raise refused from None
        if mark != hashlib.blake2b(jql.encode(), digest_size=6).hexdigest():
            raise refused
        if self.store.clock.now() - made_ms > TOKEN_LIFE_MS:
            raise refused
        if self.traps.number("expired-token") >= 1:
            self.traps.numbers["expired-token"] -= 1
            raise refused
        return page, result.after(position)

    @route("POST /rest/api/{api}/search/approximate-count")
    def count(self, call: Call) -> Reply:
        try:
            number, search = self.searcher.count(str(call.json_body().get("jql", "")))
        except QueryError as failure:
            raise self.query_failed(failure) from None
        if not search.bounded:
            raise self.refuse(400, UNBOUNDED)
        return reply({"count": self._inexact(number)})

    def _inexact(self, number: int) -> int:
        percent = int(self.traps.number("inexact-count"))
        if not percent or not number:
            return number
        off = self.store.draws(b"inexact", number)[0] % (2 * percent + 1) - percent
        return max(1, round(number * (100 + off) / 100))

    # Bulk.

    @route("POST /rest/api/{api}/issue/bulkfetch")
    def bulk_fetch(self, call: Call) -> Reply:
        payload = call.json_body()
        keys = payload.get("issueIdsOrKeys", [])
        if not isinstance(keys, list) or not 1 <= len(keys) <= 100:
            raise self.refuse(400, "The number of issue IDs or keys must be between 1 and 100.")
        self._refuse_large(keys)
        if not isinstance(payload.get("expand", []), list):
            raise self.refuse(400, BAD_PAYLOAD)
        renderer = self.renderer(call)
        fields = renderer.selected(_listed(payload.get("fields")) or ["*navigable"])
        chosen = {i.id: i for k in keys if (i := self.store.find(str(k))) is not None}
        allowed = [
            chosen[n] for n in sorted(chosen) if not self.store.configuration.projects[chosen[n].project].forbidden
        ]
        issues, errors = self.split_errors(self.render_issues(renderer, allowed, fields, payload.get("expand", [])))
        return reply({"expand": "schema,names", "issueErrors": errors, "issues": issues})

    def _refuse_large(self, keys: list[Any]) -> None:
        most = self.traps.number("large-request-413")
        if most and len(keys) > most:
            raise RequestRefused(Reply(413, b"<html><body>Payload Too Large</body></html>", kind="text/html"))

    @route("POST /rest/api/{api}/changelog/bulkfetch")
    def bulk_changelog(self, call: Call) -> Reply:
        """At most maxResults histories a page; a token may continue within an issue. `created` is epoch milliseconds here."""
        payload = call.json_body()
        keys, limit = self.listed(payload, "issueIdsOrKeys"), self.whole(payload, "maxResults", 1000)
        if not 1 <= len(keys) <= 1000 or not 1 <= limit <= 10_000 or len(self.listed(payload, "fieldIds")) > 10:
            raise self.refuse(400, BAD_PAYLOAD)
        self._refuse_large(keys)
        wanted = set(self.listed(payload, "fieldIds"))
        renderer = self.renderer(call)
        chosen = sorted({i.id for k in keys if (i := self.store.find(str(k))) is not None})
        token = str(payload.get("nextPageToken") or "0:0")
        if not all(part.isdecimal() for part in token.split(":", 1)) or ":" not in token:
            raise self.refuse(400, BAD_PAYLOAD)
        at, within = (int(part) for part in token.split(":", 1))
        logs: list[Json] = []
        token = ""
        for number in (n for n in chosen if n >= at):
            histories = self.store.content.histories(self.store.issues[number])
            if wanted:
                histories = [h for h in histories if any(item[1] in wanted for item in h.items)]
            skipped = within if number == at else 0
            part = histories[skipped : skipped + limit]
            limit -= len(part)
            rendered = [renderer.history(h) | {"created": h.created} for h in part]
            if rendered:
                logs.append({"issueId": str(number), "changeHistories": rendered})
            if skipped + len(part) < len(histories):
                token = f"{number}:{skipped + len(part)}"
                break
        document: Json = {"issueChangeLogs": logs}
        return reply(document | {"nextPageToken": token} if token else document)

    @route("GET /rest/api/{api}/issue/{key}/changelog")
    def changelog(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        bean = self.page_bean(call, self.store.content.histories(issue), 100, 100)
        return reply(bean | {"values": [renderer.history(h) for h in bean["values"]]})

    @route("POST /rest/api/{api}/comment/list")
    def comment_list(self, call: Call) -> Reply:
        renderer, ids = self.renderer(call), self.numbers(call.json_body(), "ids")
        if len(ids) > 1000:
            raise self.refuse(400, "The number of comment ids must not be greater than 1000.")
        sent = []
        for number in ids:
            issue = self.store.issues.get(number // PER_ISSUE)
            if issue is not None and self.store.visible(issue):
                sent += [renderer.comment(issue.id, c) for c in self.store.content.comments(issue) if c.id == number]
        return reply(self.page_bean(call, sent, 1000, 1000))

    # Projects, fields, people.

    @route("GET /rest/api/{api}/project/search")
    def project_search(self, call: Call) -> Reply:
        renderer, states = self.renderer(call), call.parameters("status") or ["live"]
        keys, ids = set(call.parameters("keys")), set(call.parameters("id"))
        chosen = [
            p for p in self.store.configuration.projects
            if ("deleted" if p.deleted else "archived" if p.archived else "live") in states
            and (not keys or p.key in keys) and (not ids or p.id in ids)
        ]  # fmt: skip
        if call.parameter("orderBy").startswith("-"):
            chosen.reverse()
        bean = self.page_bean(call, chosen, 50, 100)
        expand = call.parameters("expand")
        sent = []
        for project in bean["values"]:
            document = self.project(renderer, project, wide=False)
            if "lead" in expand:
                document["lead"] = renderer.person(project.lead)
            if "description" in expand:
                document["description"] = f"All about {project.name}."
            if "insight" in expand:
                ids_there = self.store.project_issues(project)
                document["insight"] = {"totalIssueCount": len(ids_there)}
                if ids_there:
                    newest = self.store.index.projects[project.index].by_updated[-1][0]
                    document["insight"]["lastIssueUpdateTime"] = renderer.time(newest)
            sent.append(document)
        return reply(bean | {"values": sent})

    @route("GET /rest/api/{api}/project")
    def projects(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        projects = [p for p in self.store.configuration.projects if not p.archived and not p.deleted]
        return reply([self.project(renderer, p, wide=False) for p in projects])

    @route("GET /rest/api/{api}/field/search")
    def field_search(self, call: Call) -> Reply:
        kinds = call.parameters("type")
        specs = [
            f
            for f in self.store.configuration.fields
            if f.schema and (not kinds or ("custom" if f.custom else "system") in kinds)
        ]
        bean = self.page_bean(call, specs, 50, 50)
        sent = []
        for spec in bean["values"]:
            document: Json = {"id": spec.id, "name": spec.name, "key": spec.id, "schema": spec.schema}
            sent.append(document | {"description": "", "isLocked": False} if spec.custom else document)
        return reply(bean | {"values": sent})

    @route("GET /rest/api/{api}/priority/search")
    def priority_search(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        bean = self.page_bean(call, self.store.configuration.priorities, 50, 50)
        colour = {"statusColor": "#cc0000", "description": "", "isDefault": False}
        return reply(bean | {"values": [renderer.priority(p) | colour for p in bean["values"]]})

    @route("GET /rest/api/{api}/users/search", "GET /rest/api/{api}/users")
    def users(self, call: Call) -> Reply:
        """A plain array, filtered after paging: pages lack the accounts of apps, and only an empty page is the end."""
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 1), 1000)
        part = self.store.people[start : start + size]
        while part and all(p.kind == "app" for p in part):
            start += size
            part = self.store.people[start : start + size]
        return reply([jira_cloud(p, self.site) for p in part if p.kind != "app"])

    @route("GET /rest/api/{api}/user")
    def user(self, call: Call) -> Reply:
        for person in self.store.people:
            if person.account_id == call.parameter("accountId"):
                wide = {
                    "groups": {"size": 1, "items": []},
                    "applicationRoles": {"size": 1, "items": []},
                    "locale": person.locale,
                }
                return reply(jira_cloud(person, self.site) | wide)
        raise self.refuse(404, "Specified user does not exist or you do not have required permissions")

    @route("GET /rest/api/{api}/user/search")
    def user_search(self, call: Call) -> Reply:
        """Active users, by a text of their names or by account id."""
        text, account_id = call.parameter("query").lower(), call.parameter("accountId")
        if not text and not account_id and not call.parameter("property"):
            raise self.refuse(400, "The query parameter 'query' was not provided.")
        found = [
            p for p in self.store.people
            if (p.account_id == account_id if account_id else p.active and text in f"{p.display} {p.email}".lower())
        ]  # fmt: skip
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 1), 1000)
        return reply([jira_cloud(p, self.site) for p in found[start : start + size]])

    @route("GET /rest/api/{api}/user/bulk")
    def user_bulk(self, call: Call) -> Reply:
        wanted = set(call.query.get("accountId", []))
        if not wanted:
            raise self.refuse(400, "The query parameter 'accountId' was not provided.")
        bean = self.page_bean(call, [p for p in self.store.people if p.account_id in wanted], 10, 200)
        return reply(bean | {"values": [jira_cloud(p, self.site) for p in bean["values"]]})

    @route("GET /rest/api/{api}/group/bulk")
    def groups(self, call: Call) -> Reply:
        bean = self.page_bean(call, self.store.groups, 50, 50)
        return reply(bean | {"values": [{"name": g.name, "groupId": g.group_id} for g in bean["values"]]})

    @route("GET /rest/api/{api}/group/member")
    def group_members(self, call: Call) -> Reply:
        for group in self.store.groups:
            if call.parameter("groupId") == group.group_id or call.parameter("groupname") == group.name:
                inactive = call.boolean("includeInactiveUsers")
                people = [self.store.people[n] for n in group.members]
                bean = self.page_bean(call, [p for p in people if inactive or p.active], 50, 50)
                return reply(bean | {"values": [jira_cloud(p, self.site) for p in bean["values"]]})
        raise self.refuse(404, "The group was not found.")

    # Attachments, permissions, audit.

    @route("GET /rest/api/{api}/attachment/{id}")
    def attachment(self, call: Call) -> Reply:
        return reply(self.attachment_document(call) | {"id": int(call.params["id"])})

    @route("GET /rest/api/{api}/attachment/content/{id}")
    def attachment_content(self, call: Call) -> Reply:
        number = call.params["id"]
        body = self.attachment_body(call, number)
        if body is None:
            raise self.refuse(404, f"The attachment with id '{number}' does not exist")
        if not call.boolean("redirect", True):
            return ranged_reply(call, body[0], body[1])
        signed = hashlib.blake2b(number.encode(), digest_size=8).hexdigest()
        return Reply(303, b"", {"Location": f"{self.site}/media/{number}?signature={signed}"})

    @route("GET /media/{id}")
    def media(self, call: Call) -> Reply:
        """The signed URL of the media host; no other credentials are needed, or read."""
        number = call.params["id"]
        body = self.attachment_body(call, number)
        if body is None or call.parameter("signature") != hashlib.blake2b(number.encode(), digest_size=8).hexdigest():
            return Reply(403, b"", kind="text/plain")
        return ranged_reply(call, body[0], body[1])

    @route("POST /rest/api/{api}/permissions/check")
    def permissions_check(self, call: Call) -> Reply:
        granted = []
        requests = call.json_body().get("projectPermissions", [])
        if not isinstance(requests, list) or not all(isinstance(request, dict) for request in requests):
            raise self.refuse(400, BAD_PAYLOAD)
        for request in requests:
            issues = [i for i in self.numbers(request, "issues") if self.store.find(str(i)) is not None]
            known = self.store.configuration.project
            projects = [p for p in self.numbers(request, "projects") if known(str(p)) is not None]
            granted += [
                {"permission": p, "issues": issues, "projects": projects} for p in request.get("permissions", [])
            ]
        return reply({"globalPermissions": [], "projectPermissions": granted})

    @route("GET /rest/api/{api}/auditing/record")
    def audit(self, call: Call) -> Reply:
        raise self.refuse(403, "Only Jira administrators may read the audit log.")
