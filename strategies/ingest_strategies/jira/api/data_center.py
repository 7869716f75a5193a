"""The API of Jira Data Center: pages by keyset (`id > last ORDER BY id`).

Offsets lose rows of a set that changes, and newer versions refuse them beyond 10,000. The server may silently send fewer issues
than requested: only `total`, the size of the rest, shows whether more are left.
https://confluence.atlassian.com/jirakb/
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.atlassian.instants import instant_ms
from ingest_strategies.jira.api import nested_lists
from ingest_strategies.jira.api.client import IssueSelection, JiraClient, UnreadableIssue
from ingest_strategies.jira.api.jql import BY_UPDATED, ordered
from ingest_strategies.jira.api.responses import Histories, Id, IssuePage, UpdatedIssuePage, ValuePage, decoder

MOST_IDS = 1000
MOST_BODIES = 100
MOST_FOUND_USERS = 1000  # user/search finds no more, even with startAt
_issues, _updated_issues, _values, _raws = (
    decoder(IssuePage),
    decoder(UpdatedIssuePage),
    decoder(ValuePage),
    decoder(list[Raw]),
)
_id = decoder(Id)


class IssueChangelog(msgspec.Struct):
    id: str
    changelog: Histories


_changelog = decoder(IssueChangelog)


class DataCenterApi:
    deployment = "Server"

    def __init__(self, client: JiraClient) -> None:
        self.client = client

    def count(self, where: str) -> int:
        total = self.client.post("search", _updated_issues, {"jql": where, "maxResults": 1, "fields": ["id"]}).total
        if total is None:
            raise BrokenAnswer("search: no total")
        return total

    def find_edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        document = {"jql": ordered(where, axis, down=last), "maxResults": 1, "fields": ["updated"]}
        issues = self.client.post("search", _updated_issues, document).issues
        if not issues:
            return None
        return instant_ms(str(issues[0].fields.updated)) if axis == BY_UPDATED else int(issues[0].id)

    def list_ids(self, where: str) -> Iterator[list[int]]:
        last = -1
        while True:
            document = {"jql": ordered(after(where, last)), "maxResults": MOST_IDS, "fields": ["id"]}
            page = self.client.post("search", _updated_issues, document)
            numbers = [int(issue.id) for issue in page.issues]
            check_page(numbers, page.total, last)
            yield numbers
            if len(numbers) >= (page.total or 0):
                return
            last = numbers[-1]

    def read_issues(
        self, where: str, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        pages = self._read_pages(where, selection, unreadable)
        yield from nested_lists.complete_pages(self.client, pages, selection)

    def _read_pages(
        self, where: str, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        """Halves a page that fails; where a page of one issue fails, that issue is unreadable and skipped."""
        last, most = -1, MOST_BODIES
        expand = ["changelog"] if "changelog" in selection.lists else []
        tries: Tries | None = None
        while True:
            document: dict[str, object] = {"jql": ordered(after(where, last)), "maxResults": most}
            document |= {"fields": list(selection.fields), "expand": expand}
            try:
                page = self.client.post("search", _issues, document, tries)
            except BrokenAnswer as error:
                tries = Tries(failures=2, first_wait_s=self.client.http.site.tries.first_wait_s)
                if most > 1:
                    most //= 2
                    continue
                issue = self._describe_next(after(where, last), error)
                if issue is None:
                    return
                unreadable.append(issue)
                last = int(issue.id)
                continue
            numbers = [int(_id(body).id) for body in page.issues]
            check_page(numbers, page.total, last)
            yield page.issues
            if len(numbers) >= (page.total or 0):
                return
            last, most, tries = numbers[-1], min(MOST_BODIES, 2 * most), None

    def _describe_next(self, where: str, error: BrokenAnswer) -> UnreadableIssue | None:
        """The issue of a page of one that failed. Where reading its head fails, too, the site is at fault, and the error is raised."""
        document = {"jql": ordered(where), "maxResults": 1, "fields": ["updated"]}
        issues = self.client.post("search", _updated_issues, document).issues
        return UnreadableIssue(issues[0].id, issues[0].key, str(error)) if issues else None

    def read_changelogs(self, where: str) -> Iterator[list[tuple[str, list[Raw]]]]:
        unreadable: list[UnreadableIssue] = []
        for page in self.read_issues(where, IssueSelection(("id",), ("changelog",)), unreadable):
            issues = [_changelog(body) for body in page]
            yield [(issue.id, issue.changelog.histories) for issue in issues]
        if unreadable:
            raise SourceUnavailable(f"the changelog of issue {unreadable[0].id} cannot be read: {unreadable[0].reason}")

    def list_projects(self) -> Iterator[Raw]:
        """One plain array, archived projects included where the version lists them."""
        yield from self.client.get("project", _raws, {"expand": "description,lead,url"})

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
        if len(users) >= MOST_FOUND_USERS:
            raise SourceUnavailable(f"user/search finds at most {MOST_FOUND_USERS} users, and there may be more")
        yield from users


def after(where: str, last: int) -> str:
    return where if last < 0 else f"{where} AND id > {last}"


def check_page(numbers: list[int], total: int | None, last: int) -> None:
    """Raises `BrokenAnswer` for a page without a total, an empty page while issues are left, or ids out of order."""
    if total is None:
        raise BrokenAnswer("search: no total")
    if not numbers and total:
        raise BrokenAnswer(f"search: {total} issues are left, and none came")
    if any(number <= last for number in numbers) or numbers != sorted(set(numbers)):
        raise BrokenAnswer("search: issues that are not in the order of their numbers")
