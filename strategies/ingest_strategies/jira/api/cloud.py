"""The API of Jira Cloud: lists ids by page token, in the order of keys, and reads bodies by `issue/bulkfetch`.

Atlassian recommends this: ids first, by 5000, then bodies by 100 in parallel.
https://community.developer.atlassian.com/t/avoiding-pagination-issues-with-the-search-jql-endpoint/85588
Under an hourly quota of points search gives the bodies, because ids first costs each issue twice; what its pages lack is read by id.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import TypeVar

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere, RequestTooLarge
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.atlassian.instants import instant_ms
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.jira.api import nested_lists
from ingest_strategies.jira.api.client import IssueSelection, IssueSet, JiraClient, UnreadableIssue
from ingest_strategies.jira.api.jql import ordered
from ingest_strategies.jira.api.listing_pages import list_values
from ingest_strategies.jira.api.responses import (
    BodyPage,
    ChangelogPage,
    Count,
    DatedIssue,
    DatedIssuePage,
    IdPage,
    IssuePage,
    Person,
    SearchPage,
    issue_number,
    number_of,
)

MOST_IDS = 5000
MOST_BODIES = 100
MOST_HISTORIES = 1000
MOST_LISTINGS = 4  # more, of a set that search counts larger than it lists
RESTARTS = 3  # of a listing whose token is refused
MOST_PAGES = 20_000  # a longer listing is a loop
_count, _ids, _issues, _logs = decoder(Count), decoder(IdPage), decoder(IssuePage), decoder(ChangelogPage)
_body_pages = decoder(BodyPage)
_dated_issue, _dated_issues = decoder(DatedIssue), decoder(DatedIssuePage)
_raw, _raws, _person = decoder(Raw), decoder(list[Raw]), decoder(Person)
I = TypeVar("I")  # noqa: E741


class TokenRefused(SourceUnavailable):
    """A page token is invalid or expired: the listing must start again."""


class CloudApi:
    deployment = "Cloud"
    lists_ids = True

    def __init__(self, client: JiraClient) -> None:
        self.client = client
        self._most_bodies = MOST_BODIES
        self._lock = Lock()

    def count(self, where: str) -> int:
        return self.client.post("search/approximate-count", _count, {"jql": where}).count

    def find_edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        document = {"jql": ordered(where, axis, down=last), "maxResults": 1, "fields": [axis]}
        issues = self.client.post("search/jql", _dated_issues, document).issues
        return instant_ms(getattr(issues[0].fields, axis, None)) if issues else None

    def find_first_ids(self, where: str, most: int) -> list[int]:
        document = {"jql": ordered(where), "maxResults": most, "fields": ["id"]}
        return [issue_number(issue.id) for issue in self.client.post("search/jql", _ids, document).issues]

    def list_ids(self, where: str, expected: int | None = None) -> list[int]:
        ids = set(self._list_whole(where))
        if expected is not None and len(ids) < expected:
            ids = self._confirm(where, ids)
        return sorted(ids)

    def _confirm(self, where: str, ids: set[int]) -> set[int]:
        """A listing that is shorter than its count. Counts are approximate, issues leave, and pages were seen that lacked issues: it is
        complete when search counts no more, or when a listing in the opposite order has nothing new."""
        self.client.read_account()  # a login that was lost makes listings empty, without an error
        counted = 0
        for number in range(MOST_LISTINGS):
            counted = self.count(where)
            if len(ids) >= counted:
                return ids
            again = set(self._list_whole(where, down=number % 2 == 0))
            if again == ids:
                return ids
            ids |= again
        if len(ids) >= counted:
            return ids
        raise SourceUnavailable(f"{len(ids)} issues listed, search counts {counted}: {where}")

    def _list_whole(self, where: str, *, down: bool = False) -> list[int]:
        jql = ordered(where, down=down)
        for _ in range(RESTARTS):
            try:
                return [number for page in self._list_pages(jql) for number in page]
            except TokenRefused:
                continue
        return [number for page in self._list_pages(jql) for number in page]

    def _list_pages(self, jql: str) -> Iterator[list[int]]:
        for issues in self._search_pages(jql, _ids, MOST_IDS, ("id",)):
            yield [issue_number(issue.id) for issue in issues]

    def _search_pages(
        self, jql: str, decode: Callable[[bytes], SearchPage[I]], most: int, fields: Sequence[str]
    ) -> Iterator[list[I]]:
        """A page may be shorter than its limit; only a missing token marks the last page."""
        token: str | None = None
        seen_tokens: set[str] = set()
        for _ in range(MOST_PAGES):
            document: dict[str, object] = {"jql": jql, "maxResults": most, "fields": list(fields)}
            if token is not None:
                document["nextPageToken"] = token
            try:
                page = self.client.post("search/jql", decode, document)
            except BadRequest as error:
                raise error if token is None else TokenRefused(f"a page token was refused: {error}") from None
            yield page.issues
            token = page.nextPageToken or None
            if token is None:
                if page.isLast is False:
                    raise SourceUnavailable("a page that is not the last one has no token for the next")
                return
            if token in seen_tokens:
                raise SourceUnavailable("the same page token came twice: the listing would never end")
            seen_tokens.add(token)
        raise SourceUnavailable(f"a listing has more than {MOST_PAGES} pages")

    def _ids_of(self, issues: IssueSet) -> Sequence[int]:
        return issues.ids if issues.ids is not None else self.list_ids(issues.where, issues.expected)

    def read_issues(
        self, issues: IssueSet, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        is_searched = issues.ids is None and self.client.http.has_quota
        read = self._search_bodies if is_searched else self._read_by_ids
        yield from nested_lists.complete_pages(self.client, read(issues, selection, unreadable), selection)

    def _read_by_ids(
        self, issues: IssueSet, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        chunks = chunked(self._ids_of(issues), MOST_BODIES)
        return self.client.map_concurrently(lambda chunk: self._read_chunk(chunk, selection, unreadable), chunks)

    def _search_bodies(
        self, issues: IssueSet, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        """Each issue once. A page that cannot be read, and a listing that is shorter than its count, are completed by ids."""
        seen: set[int] = set()
        try:
            for page in self._search_pages(ordered(issues.where), _body_pages, MOST_BODIES, selection.fields):
                numbered = {number: body for body in page if (number := number_of(body)) is not None}
                yield [body for number, body in numbered.items() if number not in seen]
                seen |= numbered.keys()
        except (BrokenAnswer, RequestTooLarge, TokenRefused):
            ids = set(self.list_ids(issues.where, issues.expected))
        else:
            is_short = issues.expected is not None and len(seen) < issues.expected
            ids = self._confirm(issues.where, set(seen)) if is_short else seen
        yield from self._read_by_ids(replace(issues, ids=tuple(sorted(ids - seen))), selection, unreadable)

    def _read_chunk(
        self, ids: Sequence[int], selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> list[Raw]:
        by_id = self._read_bodies(ids, selection, unreadable, None)
        missing = set(ids) - {number for number, _ in by_id} - {int(issue.id) for issue in unreadable}
        bodies = [body for _, body in by_id]
        alone = [body for number in sorted(missing) if (body := self._read_one(number, selection)) is not None]
        if len(alone) < len(missing):
            self.client.read_account()  # the login proves that those are gone
        return bodies + alone

    def _read_bodies(
        self, ids: Sequence[int], selection: IssueSelection, unreadable: list[UnreadableIssue], tries: Tries | None
    ) -> list[tuple[int, Raw]]:
        """(id, body). Halves a request that fails, down to the one issue at fault."""
        if len(ids) > self._most_bodies:
            parts = chunked(ids, self._most_bodies)
            return [item for part in parts for item in self._read_bodies(part, selection, unreadable, tries)]
        document: dict[str, object] = {"issueIdsOrKeys": list(map(str, ids)), "fields": list(selection.fields)}
        try:
            page = self.client.post("issue/bulkfetch", _issues, document, tries)
        except (BrokenAnswer, RequestTooLarge) as error:
            fewer_tries = replace(self.client.http.site.tries, failures=2)
            if len(ids) == 1:
                if isinstance(error, RequestTooLarge):
                    raise
                unreadable.append(self._describe_unreadable(ids[0], error))
                return []
            middle, before = len(ids) // 2, len(unreadable)
            halves = (ids[:middle], ids[middle:])
            bodies = [item for half in halves for item in self._read_bodies(half, selection, unreadable, fewer_tries)]
            if len(unreadable) == before:
                with self._lock:  # only the size was at fault
                    self._most_bodies = min(self._most_bodies, middle)
            return bodies
        numbered = ((number_of(body), body) for body in page.issues)
        return [(number, body) for number, body in numbered if number is not None]

    def _describe_unreadable(self, number: int, error: BrokenAnswer) -> UnreadableIssue:
        """Reads the issue's head: where that fails, too, the site is at fault and not the issue, and the error is raised."""
        try:
            head = self.client.get(f"issue/{number}", _dated_issue, {"fields": "updated"})
        except NotThere:
            return UnreadableIssue(str(number), None, str(error))
        return UnreadableIssue(str(number), head.key, str(error))

    def _read_one(self, number: int, selection: IssueSelection) -> Raw | None:
        """An issue that search has and bulkfetch has not. None: deleted or hidden meanwhile (404); a refusal (403) is raised."""
        try:
            return self.client.get(f"issue/{number}", _raw, {"fields": ",".join(selection.fields)})
        except NotThere:
            return None

    def read_changelogs(self, issues: IssueSet) -> Iterator[list[tuple[str, str | None, list[Raw]]]]:
        chunks = chunked(self._ids_of(issues), MOST_BODIES)
        yield from self.client.map_concurrently(self._read_keyed_changelogs, chunks)

    def _read_keyed_changelogs(self, ids: Sequence[int]) -> list[tuple[str, str | None, list[Raw]]]:
        """The changelogs, and the keys of their issues, which the endpoint does not give."""
        changelogs = self._read_changelog_chunk(ids)
        numbers = sorted({int(number) for number, _ in changelogs})
        bodies = self._read_bodies(numbers, IssueSelection(("project",)), [], None) if numbers else []
        keys = {number: attempted(_dated_issue, body) for number, body in bodies}
        named = ((number, keys.get(int(number)), histories) for number, histories in changelogs)
        return [(number, head.key if head else None, histories) for number, head, histories in named]

    def _read_changelog_chunk(self, ids: Sequence[int]) -> list[tuple[str, list[Raw]]]:
        changelogs: list[tuple[str, list[Raw]]] = []
        document: dict[str, object] = {"issueIdsOrKeys": list(map(str, ids)), "maxResults": MOST_HISTORIES}
        seen_tokens: set[str] = set()
        while True:
            try:
                page = self.client.post("changelog/bulkfetch", _logs, document)
            except RequestTooLarge:
                if len(ids) == 1:
                    raise
                middle = len(ids) // 2
                return [*self._read_changelog_chunk(ids[:middle]), *self._read_changelog_chunk(ids[middle:])]
            changelogs += [(log.issueId, log.changeHistories or []) for log in page.issueChangeLogs]
            if not page.nextPageToken:
                return changelogs
            if page.nextPageToken in seen_tokens:
                raise SourceUnavailable("the same page token came twice: the changelog would never end")
            seen_tokens.add(page.nextPageToken)
            document["nextPageToken"] = page.nextPageToken

    def list_projects(self) -> Iterator[Raw]:
        expand = "description,lead,url,insight"
        yield from list_values(self.client, "project/search", {"expand": expand, "orderBy": "key"})

    def list_objects(self, rest: str) -> list[Raw]:
        """The plain list of priorities is deprecated."""
        return (
            list(list_values(self.client, "priority/search", {}))
            if rest == "priority"
            else self.client.list_objects(rest)
        )

    def list_users(self) -> Iterator[Raw]:
        """Jira filters pages after it cuts them, so a short page need not be the last: only an empty one is.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-users/: startAt counts unfiltered users.
        """
        start, most = 0, 1000
        seen: set[str] = set()
        while page := self.client.get("users/search", _raws, {"startAt": start, "maxResults": most}):
            new = [(account_id, body) for body in page if (account_id := _account_id(body)) not in seen]
            seen.update(account_id for account_id, _ in new)
            yield from (body for _, body in new)
            start += most


def _account_id(body: Raw) -> str:
    account_id = _person(body).id
    if account_id is None:
        raise BrokenAnswer("users/search: a user without an account id")
    return account_id
