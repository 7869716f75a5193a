"""Search on Jira Cloud: `search/jql` with tokens, counts, and what the removed endpoints answer."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import DAY_MS
from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import JiraSite
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.search import SearchResult
from ingest_ray.simulators.atlassian.query.grammar import QueryError
from ingest_ray.simulators.atlassian.server.error_messages import BAD_PAYLOAD, GONE, UNBOUNDED
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, decode, encode, reply, route

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


def listed_names(value: Any) -> list[str]:
    """`fields` and `expand` come as a list or as one comma string."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return [str(p).strip() for p in parts if str(p).strip()]


class CloudSearch(JiraSite):
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
        fields = renderer.selected(listed_names(payload.get("fields")) or ["*navigable"])
        issues = self._current(result.ids[start : start + size])
        sent = self.render_issues(renderer, issues, fields, listed_names(payload.get("expand")))
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
        names = listed_names(payload.get("fields"))
        if not names:
            names = [] if "fields-default" in self.traps else ["*navigable"]
        fields = renderer.selected([n for n in names if n not in ("id", "key", "issuekey")])
        expand = listed_names(payload.get("expand"))
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
