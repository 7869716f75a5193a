"""Endpoints of Jira Cloud that take many ids: issues, changelogs, comments, permissions."""

from typing import Any

from ingest_ray.simulators.atlassian.jira.cloud.search import listed_names
from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import JiraSite
from ingest_ray.simulators.atlassian.jira.issue import PER_ISSUE
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.server.error_messages import BAD_PAYLOAD
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, RequestRefused, reply, route


class CloudBulk(JiraSite):
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
        fields = renderer.selected(listed_names(payload.get("fields")) or ["*navigable"])
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
