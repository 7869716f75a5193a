"""The API of Jira Data Center: counted windows, each listed by offset and checked against `total` and a set of ids.

A set that fits no single answer is cut into windows of `created`, which no edit and no move changes: newer versions refuse offsets beyond
10,000. The server may silently send fewer issues than requested. Bodies are read by offset, too; an issue of the listed set that no
page had is then read by itself.
https://confluence.atlassian.com/jirakb/
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import msgspec
from msgspec import Raw

from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Interval
from ingest_strategies.atlassian.instants import instant_ms
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.windows import WindowCutter
from ingest_strategies.jira.api import nested_lists
from ingest_strategies.jira.api.client import IssueSelection, IssueSet, JiraClient, UnreadableIssue
from ingest_strategies.jira.api.jql import BY_CREATED, interval_conditions, ordered
from ingest_strategies.jira.api.listing import list_window
from ingest_strategies.jira.api.responses import (
    DatedIssue,
    DatedIssuePage,
    Histories,
    Id,
    IssuePage,
    ValuePage,
    issue_number,
    number_of,
)

MOST_IDS = 1000
MOST_BODIES = 100
MOST_FOUND_USERS = 1000  # user/search finds no more, even with startAt
_issues, _dated_issues, _values, _raws = (
    decoder(IssuePage),
    decoder(DatedIssuePage),
    decoder(ValuePage),
    decoder(list[Raw]),
)
_id, _raw, _dated_issue = decoder(Id), decoder(Raw), decoder(DatedIssue)


class IssueChangelog(msgspec.Struct):
    id: str
    key: str | None = None
    changelog: Histories | None = None


_changelog = decoder(IssueChangelog)


class DataCenterApi:
    deployment = "Server"
    lists_ids = False

    def __init__(self, client: JiraClient) -> None:
        self.client = client

    def count(self, where: str) -> int:
        return self._read_ids(where, 0, 1)[1]

    def find_edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        document = {"jql": ordered(where, axis, down=last), "maxResults": 1, "fields": [axis]}
        issues = self.client.post("search", _dated_issues, document).issues
        return instant_ms(getattr(issues[0].fields, axis, None)) if issues else None

    def find_first_ids(self, where: str, most: int) -> list[int]:
        return self._read_ids(where, 0, most)[0]

    def list_ids(self, where: str, expected: int | None = None) -> list[int]:
        return sorted(number for _, ids in self._list_windows(where, expected) for number in ids)

    def _read_ids(self, where: str, start: int, most: int) -> tuple[list[int], int]:
        """Ids in the order of keys from an offset on, and the total."""
        document = {"jql": ordered(where), "startAt": start, "maxResults": min(most, MOST_IDS), "fields": ["id"]}
        page = self.client.post("search", _dated_issues, document)
        if page.total is None:
            raise BrokenAnswer("search: no total")
        return [issue_number(issue.id) for issue in page.issues], page.total

    def _list_windows(self, where: str, expected: int | None = None) -> list[tuple[str, list[int]]]:
        """Windows that one answer can hold, with their ids. Listed again where there are fewer than search counted."""
        windows = self._list_windows_once(where)
        if expected is None or sum(len(ids) for _, ids in windows) >= expected:
            return windows
        again = dict(self._list_windows_once(where))
        known = {window for window, _ in windows}
        joined = [(window, sorted({*ids, *again.get(window, ())})) for window, ids in windows]
        return joined + [(window, ids) for window, ids in again.items() if window not in known]

    def _list_windows_once(self, where: str) -> list[tuple[str, list[int]]]:
        def within(interval: Interval) -> str:
            return " AND ".join([where, *interval_conditions(BY_CREATED, interval)])

        cutter = WindowCutter(
            client=self.client,
            count=lambda interval: self.count(within(interval)),
            first=lambda interval: self.find_edge(within(interval), BY_CREATED),
            last=lambda interval: self.find_edge(within(interval), BY_CREATED, last=True),
            most=MOST_IDS,
        )
        windows, lower = list[tuple[str, int]](), None
        for upper, issues in cutter.windows(Interval()):
            windows.append((within(Interval(lower=lower, upper=upper)), issues))
            lower = upper
        return [(window, sorted(list_window(partial(self._read_ids, window), issues))) for window, issues in windows]

    def read_issues(
        self, issues: IssueSet, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        pages = self._read_pages(issues, selection, unreadable)
        yield from nested_lists.complete_pages(self.client, pages, selection)

    def _read_pages(
        self, issues: IssueSet, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        if issues.ids is not None:
            yield from self._read_window(issues.where, issues.ids, selection, unreadable)
            return
        for window, ids in self._list_windows(issues.where, issues.expected):
            yield from self._read_window(window, ids, selection, unreadable)

    def _read_window(
        self, where: str, ids: Sequence[int], selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        """The listed issues. Halves a page that fails; where a page of one issue fails, it is skipped, and read by itself later."""
        missing, start, most, total = set(ids), 0, MOST_BODIES, len(ids)
        tries = None
        while missing:
            size = min(most, max(1, total - start))  # newer versions count the size requested, not the issues
            document: dict[str, object] = {"jql": ordered(where), "startAt": start, "maxResults": size}
            document |= {"fields": list(selection.fields), "expand": expanded(selection)}
            try:
                page = self.client.post("search", _issues, document, tries)
            except BrokenAnswer:
                tries = replace(self.client.http.site.tries, failures=2)
                start, most = (start, size // 2) if size > 1 else (start + 1, 1)
                if start >= total:
                    break
                continue
            new = [body for body in page.issues if number_of(body) in missing]
            missing.difference_update(number for body in new if (number := number_of(body)) is not None)
            yield new
            start, total = start + len(page.issues), page.total or 0
            if not page.issues or start >= total:
                break
            most, tries = min(MOST_BODIES, 2 * most), None
        read_one = partial(self._read_one, selection=selection, unreadable=unreadable)
        yield [body for body in self.client.map_concurrently(read_one, iter(sorted(missing))) if body is not None]

    def _read_one(self, number: int, selection: IssueSelection, unreadable: list[UnreadableIssue]) -> Raw | None:
        """An issue of the listed set that no page had. None: deleted or hidden meanwhile, or unreadable."""
        rest, fewer_tries = f"issue/{number}", replace(self.client.http.site.tries, failures=2)
        params = {"fields": ",".join(selection.fields), "expand": ",".join(expanded(selection))}
        try:
            return self.client.get(rest, _raw, params, fewer_tries)
        except NotThere:
            return None
        except BrokenAnswer as error:
            broken = error
        try:  # where reading its head fails, too, the site is at fault and not the issue, and the error is raised
            head = self.client.get(rest, _dated_issue, {"fields": "updated"})
        except NotThere:
            return None
        unreadable.append(UnreadableIssue(str(number), head.key, str(broken)))
        return None

    def read_changelogs(self, issues: IssueSet) -> Iterator[list[tuple[str, str | None, list[Raw]]]]:
        unreadable: list[UnreadableIssue] = []
        for page in self.read_issues(issues, IssueSelection(("id",), ("changelog",)), unreadable):
            changelogs = [_changelog(body) for body in page]
            yield [(issue.id, issue.key, (issue.changelog and issue.changelog.histories) or []) for issue in changelogs]
        if unreadable:
            raise SourceUnavailable(f"the changelog of issue {unreadable[0].id} cannot be read: {unreadable[0].reason}")

    def list_projects(self) -> Iterator[Raw]:
        """One plain array, archived projects included where the version lists them."""
        yield from self.client.get("project", _raws, {"expand": "description,lead,url"})

    def list_objects(self, rest: str) -> list[Raw]:
        return self.client.list_objects(rest)

    def list_users(self) -> Iterator[Raw]:
        """`user/list` since version 10; before, a search that matches all users, up to its cap.

        Raises:
            SourceUnavailable: the cap was hit: there may be more users than it lists.
        """
        cursor = "0"
        try:
            page = self.client.get("user/list", _values, {"cursor": cursor, "maxResults": 100})
        except NotThere:
            yield from self._search_users()
            return
        while True:
            yield from page.values
            if page.isLast:
                return
            if not page.nextCursor or page.nextCursor == cursor:
                raise BrokenAnswer("user/list: not the last page, and no cursor to the next")
            cursor = page.nextCursor
            page = self.client.get("user/list", _values, {"cursor": cursor, "maxResults": 100})

    def _search_users(self) -> Iterator[Raw]:
        params = {"username": ".", "includeInactive": "true", "maxResults": MOST_FOUND_USERS, "startAt": 0}
        users = self.client.get("user/search", _raws, params)
        yield from users
        if len(users) >= MOST_FOUND_USERS:
            raise SourceUnavailable(f"user/search finds at most {MOST_FOUND_USERS} users, and there may be more")


def expanded(selection: IssueSelection) -> list[str]:
    return ["changelog"] if "changelog" in selection.lists else []
