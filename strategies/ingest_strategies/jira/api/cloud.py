"""Jira Cloud: ids by token, bodies by `issue/bulkfetch`.

https://community.developer.atlassian.com/t/avoiding-pagination-issues-with-the-search-jql-endpoint/85588: ids first, by
5000, then bodies by 100 in parallel, is the way that Atlassian recommends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Lock

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.jira.api import nested_lists
from ingest_strategies.jira.api.client import Suspect, Wanted, Web
from ingest_strategies.jira.api.jql import BY_UPDATED, ordered
from ingest_strategies.jira.api.responses import (
    Count,
    IdPage,
    IssuePage,
    LogPage,
    Person,
    Stamped,
    StampedPage,
    ValuePage,
    decoder,
    instant_ms,
)

MOST_IDS = 5000
MOST_BODIES = 100
MOST_HISTORIES = 1000
RESTARTS = 3  # of a listing whose token is refused
MOST_PAGES = 20_000  # a listing that goes on after this is a loop
_count, _ids, _issues, _logs = decoder(Count), decoder(IdPage), decoder(IssuePage), decoder(LogPage)
_stamped, _stamps, _values = decoder(Stamped), decoder(StampedPage), decoder(ValuePage)
_raw, _raws, _person = decoder(Raw), decoder(list[Raw]), decoder(Person)


class TokenRefused(SourceUnavailable):
    """A page token is invalid or expired: the listing starts again."""


class Cloud:
    deployment = "Cloud"

    def __init__(self, web: Web) -> None:
        self.web = web
        self._most_bodies = MOST_BODIES
        self._lock = Lock()

    def count(self, where: str) -> int:
        return self.web.ask("search/approximate-count", _count, {"jql": where}).count

    def edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        document = {"jql": ordered(where, axis, down=last), "maxResults": 1, "fields": ["updated"]}
        found = self.web.ask("search/jql", _stamps, document).issues
        if not found:
            return None
        return instant_ms(str(found[0].fields.updated)) if axis == BY_UPDATED else int(found[0].id)

    def ids(self, where: str) -> Iterator[list[int]]:
        """A page may be shorter than it could be; only the missing token says that it is the last."""
        token: str | None = None
        seen: set[str] = set()
        known: set[int] = set()
        for _ in range(MOST_PAGES):
            document: dict[str, object] = {"jql": ordered(where), "maxResults": MOST_IDS, "fields": ["id"]}
            if token is not None:
                document["nextPageToken"] = token
            try:
                page = self.web.ask("search/jql", _ids, document)
            except BadRequest as error:
                raise error if token is None else TokenRefused(f"a page token was refused: {error}") from None
            fresh = {int(issue.id) for issue in page.issues} - known
            known |= fresh
            yield sorted(fresh)
            token = page.nextPageToken or None
            if token is None:
                if page.isLast is False:
                    raise SourceUnavailable("a page that is not the last one has no token for the next")
                return
            if token in seen:
                raise SourceUnavailable("the same page token came twice: the listing would never end")
            seen.add(token)
        raise SourceUnavailable(f"a listing goes on after {MOST_PAGES} pages")

    def all_ids(self, where: str) -> list[int]:
        for _ in range(RESTARTS):
            try:
                return [number for page in self.ids(where) for number in page]
            except TokenRefused:
                continue
        return [number for page in self.ids(where) for number in page]

    def issues(self, where: str, wanted: Wanted, suspects: list[Suspect]) -> Iterator[list[Raw]]:
        chunks = chunked(self.all_ids(where), MOST_BODIES)
        pages = self.web.spread(lambda chunk: self._chunk(chunk, wanted, suspects), chunks)
        yield from nested_lists.all_whole(self.web, pages, wanted)

    def _chunk(self, ids: list[int], wanted: Wanted, suspects: list[Suspect]) -> list[Raw]:
        found = self._bodies(ids, wanted, suspects, None)
        missing = set(ids) - {int(number) for number, _ in found} - {int(one.id) for one in suspects}
        bodies = [body for _, body in found]
        return bodies + [body for number in sorted(missing) if (body := self._alone(number, wanted)) is not None]

    def _bodies(
        self, ids: list[int], wanted: Wanted, suspects: list[Suspect], tries: Tries | None
    ) -> list[tuple[str, Raw]]:
        """Halves what cannot be had as a whole, down to the one issue that is at fault."""
        if len(ids) > self._most_bodies:
            parts = chunked(ids, self._most_bodies)
            return [item for part in parts for item in self._bodies(part, wanted, suspects, tries)]
        document: dict[str, object] = {"issueIdsOrKeys": list(map(str, ids)), "fields": list(wanted.fields)}
        try:
            page = self.web.ask("issue/bulkfetch", _issues, document, tries)
        except BrokenAnswer as error:
            fewer = replace(self.web.client.site.tries, failures=2)
            if len(ids) == 1:
                suspects.append(self._suspect(ids[0], error))
                return []
            middle, before = len(ids) // 2, len(suspects)
            halves = (ids[:middle], ids[middle:])
            found = [item for half in halves for item in self._bodies(half, wanted, suspects, fewer)]
            if len(suspects) == before:
                with self._lock:  # nothing was wrong but the size
                    self._most_bodies = min(self._most_bodies, middle)
            return found
        return [(_stamped(body).id, body) for body in page.issues]

    def _suspect(self, number: int, error: BrokenAnswer) -> Suspect:
        """Only an issue whose head can be read has a broken body; otherwise the site is at fault, and says so here."""
        try:
            head = self.web.get(f"issue/{number}", _stamped, {"fields": "updated"})
        except NotThere:
            return Suspect(str(number), None, str(error))
        return Suspect(str(number), head.key, str(error))

    def _alone(self, number: int, wanted: Wanted) -> Raw | None:
        """An issue that search has and bulkfetch has not: deleted or hidden meanwhile (404), or refused (403: raised)."""
        try:
            return self.web.get(f"issue/{number}", _raw, {"fields": ",".join(wanted.fields)})
        except NotThere:
            return None

    def logs(self, where: str) -> Iterator[list[tuple[str, list[Raw]]]]:
        yield from self.web.spread(self._logs_of, chunked(self.all_ids(where), MOST_BODIES))

    def _logs_of(self, ids: list[int]) -> list[tuple[str, list[Raw]]]:
        found: list[tuple[str, list[Raw]]] = []
        document: dict[str, object] = {"issueIdsOrKeys": list(map(str, ids)), "maxResults": MOST_HISTORIES}
        seen: set[str] = set()
        while True:
            page = self.web.ask("changelog/bulkfetch", _logs, document)
            found += [(log.issueId, log.changeHistories) for log in page.issueChangeLogs]
            if not page.nextPageToken:
                return found
            if page.nextPageToken in seen:
                raise SourceUnavailable("the same page token came twice: the changelog would never end")
            seen.add(page.nextPageToken)
            document["nextPageToken"] = page.nextPageToken

    def projects(self) -> Iterator[Raw]:
        start = 0
        expand = "description,lead,url,insight"
        while True:
            params = {"startAt": start, "maxResults": 100, "expand": expand, "orderBy": "key"}
            page = self.web.get("project/search", _values, params)
            yield from page.values
            start += len(page.values)
            if page.isLast or (page.isLast is None and start >= (page.total or 0)):
                return
            if not page.values:
                raise BrokenAnswer(f"project/search: {start} of {page.total} projects came, then nothing")

    def users(self) -> Iterator[Raw]:
        """Pages are filtered after they are cut, so a short one is not the last: only an empty one is.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-users/: startAt counts unfiltered users.
        """
        start, most = 0, 1000
        seen: set[str] = set()
        while page := self.web.get("users/search", _raws, {"startAt": start, "maxResults": most}):
            fresh = [(number, body) for body in page if (number := _account(body)) not in seen]
            seen.update(number for number, _ in fresh)
            yield from (body for _, body in fresh)
            start += most


def _account(body: Raw) -> str:
    from_wire = _person(body).id
    if from_wire is None:
        raise BrokenAnswer("users/search: a user without an account id")
    return from_wire


def chunked(numbers: Sequence[int], most: int) -> Iterator[list[int]]:
    for start in range(0, len(numbers), most):
        yield list(numbers[start : start + most])
