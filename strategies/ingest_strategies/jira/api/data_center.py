"""Jira Data Center: pages by keyset (`id > last ORDER BY id`).

Offsets are no way to read a set that moves, and newer versions refuse them beyond 10,000. The server may send fewer issues
than were asked for, silently: what counts is `total`, which is how many the rest holds.
https://confluence.atlassian.com/jirakb/
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.jira.api import nested_lists
from ingest_strategies.jira.api.client import Suspect, Wanted, Web
from ingest_strategies.jira.api.jql import BY_UPDATED, ordered
from ingest_strategies.jira.api.responses import Histories, Id, IssuePage, StampedPage, ValuePage, decoder, instant_ms

MOST_IDS = 1000
MOST_BODIES = 100
MOST_FOUND_USERS = 1000  # user/search finds no more, whatever startAt is
_issues, _stamps, _values, _raws = decoder(IssuePage), decoder(StampedPage), decoder(ValuePage), decoder(list[Raw])
_id = decoder(Id)


class Logged(msgspec.Struct):
    id: str
    changelog: Histories


_logged = decoder(Logged)


class Server:
    deployment = "Server"

    def __init__(self, web: Web) -> None:
        self.web = web

    def count(self, where: str) -> int:
        total = self.web.ask("search", _stamps, {"jql": where, "maxResults": 1, "fields": ["id"]}).total
        if total is None:
            raise BrokenAnswer("search: no total")
        return total

    def edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        document = {"jql": ordered(where, axis, down=last), "maxResults": 1, "fields": ["updated"]}
        found = self.web.ask("search", _stamps, document).issues
        if not found:
            return None
        return instant_ms(str(found[0].fields.updated)) if axis == BY_UPDATED else int(found[0].id)

    def ids(self, where: str) -> Iterator[list[int]]:
        last = -1
        while True:
            document = {"jql": ordered(after(where, last)), "maxResults": MOST_IDS, "fields": ["id"]}
            page = self.web.ask("search", _stamps, document)
            numbers = [int(issue.id) for issue in page.issues]
            check(numbers, page.total, last)
            yield numbers
            if len(numbers) >= (page.total or 0):
                return
            last = numbers[-1]

    def issues(self, where: str, wanted: Wanted, suspects: list[Suspect]) -> Iterator[list[Raw]]:
        yield from nested_lists.all_whole(self.web, self._pages(where, wanted, suspects), wanted)

    def _pages(self, where: str, wanted: Wanted, suspects: list[Suspect]) -> Iterator[list[Raw]]:
        """Halves the page where it cannot be had; a page of one is skipped, and its issue a suspect."""
        last, most = -1, MOST_BODIES
        expand = ["changelog"] if "changelog" in wanted.lists else []
        tries: Tries | None = None
        while True:
            document: dict[str, object] = {"jql": ordered(after(where, last)), "maxResults": most}
            document |= {"fields": list(wanted.fields), "expand": expand}
            try:
                page = self.web.ask("search", _issues, document, tries)
            except BrokenAnswer as error:
                tries = Tries(failures=2, first_wait_s=self.web.client.site.tries.first_wait_s)
                if most > 1:
                    most //= 2
                    continue
                suspect = self._next(after(where, last), error)
                if suspect is None:
                    return
                suspects.append(suspect)
                last = int(suspect.id)
                continue
            numbers = [int(_id(body).id) for body in page.issues]
            check(numbers, page.total, last)
            yield page.issues
            if len(numbers) >= (page.total or 0):
                return
            last, most, tries = numbers[-1], min(MOST_BODIES, 2 * most), None

    def _next(self, where: str, error: BrokenAnswer) -> Suspect | None:
        """The issue that a broken page of one would have held: its head can be read, or the site itself is at fault."""
        found = self.web.ask("search", _stamps, {"jql": ordered(where), "maxResults": 1, "fields": ["updated"]}).issues
        return Suspect(found[0].id, found[0].key, str(error)) if found else None

    def logs(self, where: str) -> Iterator[list[tuple[str, list[Raw]]]]:
        suspects: list[Suspect] = []
        for page in self.issues(where, Wanted(("id",), ("changelog",)), suspects):
            found = [_logged(body) for body in page]
            yield [(one.id, one.changelog.histories) for one in found]
        if suspects:
            raise SourceUnavailable(f"the changelog of issue {suspects[0].id} cannot be read: {suspects[0].reason}")

    def projects(self) -> Iterator[Raw]:
        """One plain array; archived ones are asked for, too, where the version knows them."""
        yield from self.web.get("project", _raws, {"expand": "description,lead,url"})

    def users(self) -> Iterator[Raw]:
        """`user/list` since version 10; before, a search that finds everybody, up to its cap.

        Raises:
            SourceUnavailable: the cap was hit: there may be more people than can be listed.
        """
        cursor = "0"
        try:
            page = self.web.get("user/list", _values, {"cursor": cursor, "maxResults": 100})
        except NotThere:
            yield from self._found_users()
            return
        while True:
            yield from page.values
            if page.isLast:
                return
            if not page.nextCursor or page.nextCursor == cursor:
                raise BrokenAnswer("user/list: not the last page, and no cursor that leads on")
            cursor = page.nextCursor
            page = self.web.get("user/list", _values, {"cursor": cursor, "maxResults": 100})

    def _found_users(self) -> Iterator[Raw]:
        params = {"username": ".", "includeInactive": "true", "maxResults": MOST_FOUND_USERS, "startAt": 0}
        found = self.web.get("user/search", _raws, params)
        if len(found) >= MOST_FOUND_USERS:
            raise SourceUnavailable(f"user/search finds at most {MOST_FOUND_USERS} people, and there may be more")
        yield from found


def after(where: str, last: int) -> str:
    return where if last < 0 else f"{where} AND id > {last}"


def check(numbers: list[int], total: int | None, last: int) -> None:
    """Raises `BrokenAnswer` where a page cannot be trusted: no total, none of what is left, or a place that was read."""
    if total is None:
        raise BrokenAnswer("search: no total")
    if not numbers and total:
        raise BrokenAnswer(f"search: {total} issues are left, and none came")
    if any(number <= last for number in numbers) or numbers != sorted(set(numbers)):
        raise BrokenAnswer("search: issues that are not in the order of their numbers")
