"""The issue endpoints of Jira Cloud and Jira Data Center: refusals, envelopes, issues, comments, worklogs, attachments.

`{api}` in a path is 2, 3 or latest. https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and, for Data Center,
https://developer.atlassian.com/server/jira/platform/rest/v10003/
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlencode

from ingest_ray.simulators.atlassian.content.clock import MINUTE_MS
from ingest_ray.simulators.atlassian.jira.issue import PER_ISSUE, Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.rendering.issues import JsonRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.search import Searcher
from ingest_ray.simulators.atlassian.jira.site_configuration import Project
from ingest_ray.simulators.atlassian.query.grammar import QueryError
from ingest_ray.simulators.atlassian.server.error_messages import BAD_PAYLOAD, NO_ISSUE, localized
from ingest_ray.simulators.atlassian.server.routing import JSON, Call, Reply, RequestRefused, Router, reply, route

LOG_FEED_PAGE = 1000
_BODIES = frozenset(("description", "environment", "comment", "worklog", "summary"))


class JiraIssues:
    """Endpoints over one store. Subclasses add the search and their own endpoints."""

    cloud = True

    def __init__(self, store: IssueStore, site: str) -> None:
        self.store = store
        self.site = site
        self.traps = store.traps
        self.searcher = Searcher(store, cloud=self.cloud)
        self.router = Router(self)
        versions = ("2", "3") if self.cloud else ("2",)
        self.renderers = {v: JsonRenderer(store, site, cloud=self.cloud, version=v) for v in versions}

    def renderer(self, call: Call) -> JsonRenderer:
        version = call.params.get("api", "2")
        newest = "3" if self.cloud else "2"
        renderer = self.renderers.get(newest if version == "latest" else version)
        if renderer is None:
            raise RequestRefused(self.unknown_path_reply(call))
        return renderer

    # Refusals.

    def unknown_path_reply(self, call: Call) -> Reply:
        return Reply(
            404, b"<html><head><title>Oops</title></head><body>Not found</body></html>", kind="text/html;charset=UTF-8"
        )

    def localized(self, text: str) -> str:
        return localized(text, german="localized" in self.traps)

    def errors(self, status: int, *messages: str, **fields: str) -> Reply:
        return reply({"errorMessages": [self.localized(m) for m in messages], "errors": fields}, status)

    def refuse(self, status: int, *messages: str) -> RequestRefused:
        return RequestRefused(self.errors(status, *messages))

    def whole(self, payload: Json, name: str, default: int) -> int:
        """A number of a body. Any other value is refused."""
        value = payload.get(name, default)
        if isinstance(value, str) and value.lstrip("-").isdecimal():
            return int(value)
        if not isinstance(value, int):
            raise self.refuse(400, BAD_PAYLOAD)
        return value

    def listed(self, payload: Json, name: str) -> list[str]:
        """A list of texts or numbers of a body, as texts."""
        values = payload.get(name) or []
        if not isinstance(values, list) or not all(isinstance(value, str | int) for value in values):
            raise self.refuse(400, BAD_PAYLOAD)
        return [str(value) for value in values]

    def numbers(self, payload: Json, name: str) -> list[int]:
        texts = self.listed(payload, name)
        if not all(text.isdecimal() for text in texts):
            raise self.refuse(400, BAD_PAYLOAD)
        return [int(text) for text in texts]

    def gateway_timeout_error(self) -> RequestRefused:
        return RequestRefused(Reply(504, b"<html><body>504 Gateway Time-out</body></html>", kind="text/html"))

    def anonymous_reply(self, call: Call) -> Reply:
        raise NotImplementedError

    def unauthorized_reply(self) -> Reply:
        raise NotImplementedError

    def failed_login_reply(self, call: Call, verdict: str) -> Reply:
        """A Cloud site answers as to an anonymous visitor, with a header as the only sign."""
        if verdict == "bearer-on-site":
            return reply({"error": "Failed to parse Connect Session Auth Token"}, 403)
        if call.gateway:
            return reply({"code": 401, "message": "Unauthorized"}, 401)
        if verdict != "nobody" and "anonymous-200" not in self.traps:
            return self.unauthorized_reply()
        response = self.anonymous_reply(call)
        if verdict != "nobody":
            response.headers["x-seraph-loginreason"] = "AUTHENTICATED_FAILED"
        return response

    def answer_from_node(self, number: int) -> None:
        self.store.answer_from_node(number)

    def finish_reply(self, call: Call, response: Reply) -> Reply:
        return response

    # Shared steps.

    def issue_of(self, call: Call) -> Issue:
        issue = self.store.find(call.params["key"])
        if issue is None:
            raise self.refuse(404, NO_ISSUE)
        self.check_project(self.store.configuration.projects[issue.project])
        return issue

    def check_project(self, project: Project) -> None:
        if project.forbidden:
            raise self.refuse(403, "You do not have permission to view this project.")

    def project_of(self, call: Call) -> Project:
        project = self.store.configuration.project(unquote(call.params["project"]))
        if project is None or project.deleted:
            raise self.refuse(404, f"No project could be found with key '{call.params['project']}'.")
        self.check_project(project)
        return project

    def render_issues(
        self, renderer: JsonRenderer, issues: Sequence[Issue], fields: list[str], expand: Iterable[str]
    ) -> list[Json]:
        """Renders a page of issues; poisoned issues and pages with too many bodies fail here."""
        bodies = not _BODIES.isdisjoint(fields)
        limit = self.traps.number("large-page-504")
        if bodies and limit and len(issues) > limit:
            raise self.gateway_timeout_error()
        if bodies and any(issue.poison for issue in issues):
            if "poison-json" in self.traps:
                raise RequestRefused(
                    Reply(200, b'{"issues":[{"id":"1","fields":{"description":"\x00\xff\xfe broken', kind=JSON)
                )
            raise self.refuse(500, "Internal server error")
        wide = frozenset(expand)
        return [renderer.issue(issue, fields, wide) for issue in issues]

    def query_failed(self, failure: QueryError) -> RequestRefused:
        document = {"errorMessages": [self.localized(str(failure))], "errors": {}}
        return RequestRefused(reply(document if self.cloud else document | {"warningMessages": []}, 400))

    def page_bean(self, call: Call, values: Sequence[Any], default: int, most: int, key: str = "values") -> Json:
        """The page envelope with startAt, total, isLast and nextPage; negative and zero sizes are clamped."""
        start = max(call.integer("startAt", 0), 0)
        size = min(max(call.integer("maxResults", default), 1), most)
        part = list(values[start : start + size])
        last = start + size >= len(values)
        kept = {k: v for k, v in call.query.items() if k not in ("startAt", "maxResults")}

        def link(at: int) -> str:
            return f"{self.site}{call.path}?{urlencode({**kept, 'startAt': at, 'maxResults': size}, doseq=True)}"

        document: Json = {
            "self": link(start),
            "maxResults": size,
            "startAt": start,
            "total": len(values),
            "isLast": last,
            key: part,
        }
        return document if last else document | {"nextPage": link(start + size)}

    # Issues.

    @route("GET /rest/api/{api}/issue/{key}")
    def get_issue(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        fields = renderer.selected(call.parameters("fields") or ["*all"])
        return reply(self.render_issues(renderer, [issue], fields, call.parameters("expand"))[0])

    @route("GET /rest/api/{api}/issue/{key}/comment")
    def get_comments(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        comments = self.store.content.comments(issue)
        if call.parameter("orderBy").lstrip("+") == "-created":
            comments = comments[::-1]
        start = max(call.integer("startAt", 0), 0)
        size = call.integer("maxResults", 100 if self.cloud else max(len(comments), 1))
        size = min(max(size, 1), 100) if self.cloud else max(size, 0)
        sent = [renderer.comment(issue.id, c) for c in comments[start : start + size]]
        return reply({"startAt": start, "maxResults": size, "total": len(comments), "comments": sent})

    @route("GET /rest/api/{api}/issue/{key}/comment/{comment}")
    def get_comment(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        for comment in self.store.content.comments(issue):
            if str(comment.id) == call.params["comment"]:
                return reply(renderer.comment(issue.id, comment))
        raise self.refuse(404, f"Can not find a comment for the id: {call.params['comment']}.")

    @route("GET /rest/api/{api}/issue/{key}/worklog")
    def get_worklogs(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        after, before = call.integer("startedAfter", 0), call.integer("startedBefore", 1 << 60)
        logs = [w for w in self.store.content.worklogs(issue) if after <= w.started < before]
        start = max(call.integer("startAt", 0), 0)
        size = min(max(call.integer("maxResults", 5000), 1), 5000) if self.cloud else max(len(logs), 1)
        sent = [renderer.worklog(issue.id, w) for w in logs[start : start + size]]
        return reply({"startAt": start, "maxResults": size, "total": len(logs), "worklogs": sent})

    @route("GET /rest/api/{api}/worklog/updated")
    def worklog_updated(self, call: Call) -> Reply:
        return self._feed(call, lambda since, until: self.store.worklogs_since(since, until))

    @route("GET /rest/api/{api}/worklog/deleted")
    def worklog_deleted(self, call: Call) -> Reply:
        feed = sorted(self.store.deleted_worklogs)
        return self._feed(call, lambda since, until: [x for x in feed if since <= x[0] < until])

    def _feed(self, call: Call, read: Any) -> Reply:
        """A thousand entries a page; the last minute is left out, as documented."""
        since = call.integer("since", 0)
        entries = read(since, self.store.clock.now() - MINUTE_MS)
        page = entries[:LOG_FEED_PAGE]
        if len(entries) > LOG_FEED_PAGE:  # a page never ends between two entries of one millisecond
            page += [e for e in entries[LOG_FEED_PAGE:] if e[0] == page[-1][0]]
        last = len(page) == len(entries)
        until = page[-1][0] if page else since
        base = f"{self.site}{call.path}?since="
        values = [{"worklogId": number, "updatedTime": at, "properties": []} for at, number in page]
        document = {"values": values, "since": since, "until": until, "self": f"{base}{since}", "lastPage": last}
        return reply(document if last else document | {"nextPage": f"{base}{until + 1}"})

    @route("POST /rest/api/{api}/worklog/list")
    def worklog_list(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        ids = self.numbers(call.json_body(), "ids")
        if len(ids) > 1000:
            raise self.refuse(400, "The number of worklog ids must not be greater than 1000.")
        sent = []
        for number in ids:
            issue = self.store.issues.get(number // PER_ISSUE)
            if issue is not None and self.store.visible(issue):
                sent += [renderer.worklog(issue.id, w) for w in self.store.content.worklogs(issue) if w.id == number]
        return reply(sent)

    def attachment_body(self, call: Call, number: str) -> tuple[bytes, str, str] | None:
        """The bytes, media type and name of an attachment; None where the account may not see it."""
        if not number.isdecimal():
            return None
        issue = self.store.issues.get(int(number) // PER_ISSUE)
        if issue is None or not self.store.visible(issue) or int(number) % PER_ISSUE >= issue.attachments:
            return None
        attachment = self.store.content.attachment(issue, int(number) % PER_ISSUE)
        return self.store.content.attachment_bytes(attachment), attachment.kind, attachment.name

    def attachment_document(self, call: Call) -> Json:
        """The description of the attachment that the path names."""
        number = call.params["id"]
        if self.attachment_body(call, number) is None:
            raise self.refuse(404, f"The attachment with id '{number}' does not exist")
        issue = self.store.issues[int(number) // PER_ISSUE]
        return self.renderer(call).attachment(self.store.content.attachment(issue, int(number) % PER_ISSUE))
