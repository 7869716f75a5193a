"""What Jira Cloud and Jira Data Center have in common: refusals, envelopes, issues and what hangs on them.

`{api}` in a path is 2, 3 or latest.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlencode

from ingest_ray.simulators.atlassian.content.clock import MINUTE_MS
from ingest_ray.simulators.atlassian.jira.catalog import Project
from ingest_ray.simulators.atlassian.jira.issue import PER_ISSUE, Issue
from ingest_ray.simulators.atlassian.jira.rendering import JiraRenderer, Json
from ingest_ray.simulators.atlassian.jira.search import Searcher
from ingest_ray.simulators.atlassian.jira.store import JiraStore
from ingest_ray.simulators.atlassian.query.syntax import QueryError
from ingest_ray.simulators.atlassian.server.error_messages import NO_ISSUE, say
from ingest_ray.simulators.atlassian.server.routing import JSON, Call, Refused, Reply, Router, reply, route

LOG_FEED_PAGE = 1000
_BODIES = frozenset(("description", "environment", "comment", "worklog", "summary"))


class JiraIssues:
    """Endpoints over one store. Subclasses add their own, and say how a search answers."""

    cloud = True

    def __init__(self, store: JiraStore, site: str) -> None:
        self.store = store
        self.site = site
        self.traps = store.traps
        self.searcher = Searcher(store)
        self.router = Router(self)
        versions = ("2", "3") if self.cloud else ("2",)
        self.renderers = {v: JiraRenderer(store, site, cloud=self.cloud, version=v) for v in versions}

    def renderer(self, call: Call) -> JiraRenderer:
        version = call.params.get("api", "2")
        newest = "3" if self.cloud else "2"
        found = self.renderers.get(newest if version == "latest" else version)
        if found is None:
            raise Refused(self.not_found_path(call))
        return found

    # Refusals.

    def not_found_path(self, call: Call) -> Reply:
        return Reply(
            404, b"<html><head><title>Oops</title></head><body>Not found</body></html>", kind="text/html;charset=UTF-8"
        )

    def words(self, text: str) -> str:
        return say(text, german="localized" in self.traps)

    def errors(self, status: int, *messages: str, **fields: str) -> Reply:
        return reply({"errorMessages": [self.words(m) for m in messages], "errors": fields}, status)

    def refuse(self, status: int, *messages: str) -> Refused:
        return Refused(self.errors(status, *messages))

    def gateway_timeout(self) -> Refused:
        return Refused(Reply(504, b"<html><body>504 Gateway Time-out</body></html>", kind="text/html"))

    def anonymous(self, call: Call) -> Reply:
        raise NotImplementedError

    def unauthorized(self) -> Reply:
        raise NotImplementedError

    def wrong_login(self, call: Call, verdict: str) -> Reply:
        """A Cloud site goes on with an anonymous visitor, and says so only in a header."""
        if verdict == "bearer-on-site":
            return reply({"error": "Failed to parse Connect Session Auth Token"}, 403)
        if call.gateway:
            return reply({"code": 401, "message": "Unauthorized"}, 401)
        if verdict != "nobody" and "anonymous-200" not in self.traps:
            return self.unauthorized()
        made = self.anonymous(call)
        if verdict != "nobody":
            made.headers["x-seraph-loginreason"] = "AUTHENTICATED_FAILED"
        return made

    def after(self, call: Call, made: Reply) -> Reply:
        return made

    # Shared steps.

    def issue_of(self, call: Call) -> Issue:
        issue = self.store.find(call.params["key"])
        if issue is None:
            raise self.refuse(404, NO_ISSUE)
        self.check_project(self.store.catalog.projects[issue.project])
        return issue

    def check_project(self, project: Project) -> None:
        if project.forbidden:
            raise self.refuse(403, "You do not have permission to view this project.")

    def project_of(self, call: Call) -> Project:
        project = self.store.catalog.project(unquote(call.params["project"]))
        if project is None or project.deleted:
            raise self.refuse(404, f"No project could be found with key '{call.params['project']}'.")
        self.check_project(project)
        return project

    def many(
        self, renderer: JiraRenderer, issues: Sequence[Issue], fields: list[str], expand: Iterable[str]
    ) -> list[Json]:
        """Renders a page; poisoned records and heavy pages fail here, as they do where bodies are loaded."""
        bodies = not _BODIES.isdisjoint(fields)
        limit = self.traps.number("large-page-504")
        if bodies and limit and len(issues) > limit:
            raise self.gateway_timeout()
        if bodies and any(issue.poison for issue in issues):
            if "poison-json" in self.traps:
                raise Refused(
                    Reply(200, b'{"issues":[{"id":"1","fields":{"description":"\x00\xff\xfe broken', kind=JSON)
                )
            raise self.refuse(500, "Internal server error")
        wide = frozenset(expand)
        return [renderer.issue(issue, fields, wide) for issue in issues]

    def query_failed(self, failure: QueryError) -> Refused:
        document = {"errorMessages": [self.words(str(failure))], "errors": {}}
        return Refused(reply(document if self.cloud else document | {"warningMessages": []}, 400))

    def page_bean(self, call: Call, values: Sequence[Any], default: int, most: int, key: str = "values") -> Json:
        """The envelope with startAt, total, isLast and nextPage; negative and zero sizes are clamped."""
        start = max(call.whole("startAt", 0), 0)
        size = min(max(call.whole("maxResults", default), 1), most)
        part = list(values[start : start + size])
        last = start + size >= len(values)
        kept = {k: v for k, v in call.query.items() if k not in ("startAt", "maxResults")}

        def link(at: int) -> str:
            return f"{self.site}{call.path}?{urlencode({**kept, 'startAt': at, 'maxResults': size}, doseq=True)}"

        made: Json = {
            "self": link(start),
            "maxResults": size,
            "startAt": start,
            "total": len(values),
            "isLast": last,
            key: part,
        }
        return made if last else made | {"nextPage": link(start + size)}

    # Issues.

    @route("GET /rest/api/{api}/issue/{key}")
    def get_issue(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        fields = renderer.selected(call.many("fields") or ["*all"])
        return reply(self.many(renderer, [issue], fields, call.many("expand"))[0])

    @route("GET /rest/api/{api}/issue/{key}/comment")
    def get_comments(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        comments = self.store.content.comments(issue)
        if call.one("orderBy").lstrip("+") == "-created":
            comments = comments[::-1]
        start = max(call.whole("startAt", 0), 0)
        size = call.whole("maxResults", 100 if self.cloud else max(len(comments), 1))
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
        after, before = call.whole("startedAfter", 0), call.whole("startedBefore", 1 << 60)
        logs = [w for w in self.store.content.worklogs(issue) if after <= w.started < before]
        start = max(call.whole("startAt", 0), 0)
        size = min(max(call.whole("maxResults", 5000), 1), 5000) if self.cloud else max(len(logs), 1)
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
        since = call.whole("since", 0)
        entries = read(since, self.store.clock.now() - MINUTE_MS)
        page = entries[:LOG_FEED_PAGE]
        if len(entries) > LOG_FEED_PAGE:  # a page never ends between two entries of one millisecond
            page += [e for e in entries[LOG_FEED_PAGE:] if e[0] == page[-1][0]]
        last = len(page) == len(entries)
        until = page[-1][0] if page else since
        base = f"{self.site}{call.path}?since="
        values = [{"worklogId": number, "updatedTime": at, "properties": []} for at, number in page]
        made = {"values": values, "since": since, "until": until, "self": f"{base}{since}", "lastPage": last}
        return reply(made if last else made | {"nextPage": f"{base}{until + 1}"})

    @route("POST /rest/api/{api}/worklog/list")
    def worklog_list(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        ids = [int(i) for i in call.json().get("ids", [])]
        if len(ids) > 1000:
            raise self.refuse(400, "The number of worklog ids must not be greater than 1000.")
        sent = []
        for number in ids:
            issue = self.store.issues.get(number // PER_ISSUE)
            if issue is not None and self.store.visible(issue):
                sent += [renderer.worklog(issue.id, w) for w in self.store.content.worklogs(issue) if w.id == number]
        return reply(sent)

    def attachment_body(self, call: Call, number: str) -> tuple[bytes, str, str] | None:
        """The bytes, media type and name of an attachment that the account may see."""
        if not number.isdecimal():
            return None
        issue = self.store.issues.get(int(number) // PER_ISSUE)
        if issue is None or not self.store.visible(issue) or int(number) % PER_ISSUE >= issue.attachments:
            return None
        found = self.store.content.attachment(issue, int(number) % PER_ISSUE)
        return self.store.content.attachment_bytes(found), found.kind, found.name


def ranged(call: Call, body: bytes, kind: str) -> Reply:
    """The whole body, or one range of it: `bytes=a-b`, `bytes=a-`, `bytes=-n`; 416 where it lies outside."""
    asked = call.headers.get("range", "")
    if not asked.startswith("bytes=") or "," in asked:
        return Reply(200, body, {"Accept-Ranges": "bytes"}, kind)
    first, _, last = asked[6:].partition("-")
    size = len(body)
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start >= size or start > end:
        return Reply(416, b"", {"Content-Range": f"bytes */{size}"}, kind)
    return Reply(
        206, body[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{size}", "Accept-Ranges": "bytes"}, kind
    )
