"""Confluence Data Center: v1.

An offset is no way to read a set that moves, and the server cuts pages without a word (50 with bodies, 200 with anything expanded, 1000
else). So a window of search must fit one answer of bare ids, which is checked against `totalSize`; what belongs to the ids comes by
`id in (...)`. The tree is read by `content/scan`, whose cursor is an id (since 7.18).
https://developer.atlassian.com/server/confluence/rest/
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.confluence.api import client
from ingest_strategies.confluence.api.bodies import Bodies, halved
from ingest_strategies.confluence.api.client import (
    NONCURRENT,
    PAGE_TYPES,
    Found,
    Grant,
    Leaf,
    Limits,
    Space,
    Suspect,
    Web,
    chunked,
    search_params,
)
from ingest_strategies.confluence.api.cql import among
from ingest_strategies.confluence.api.pagination import by_cursor, by_offset
from ingest_strategies.confluence.api.responses import ContentOne, Page, Person, Ref, decoder, instant_ms

MOST_IDS = 1000
MOST_BODIES = 50
MOST_EXPANDED = 200
TURNS = 4  # how often a window that moves while it is read is read again
HEAD = ("space", "version", "history", "ancestors", "metadata.labels")
_one, _raw, _ref, _page, _person = decoder(ContentOne), decoder(Raw), decoder(Ref), decoder(Page), decoder(Person)


class Subject(Struct):
    type: str | None = None
    userKey: str | None = None
    username: str | None = None
    name: str | None = None


class OperationKey(Struct):
    operationKey: str = ""
    targetType: str = ""


class Permission(Struct):
    operation: OperationKey
    subject: Subject | None = None


class Information(Struct):
    version: str | None = None


_permissions, _information = decoder(list[Permission]), decoder(Information)


class Server:
    deployment = "Server"
    tells_changes = False
    listing_expand: tuple[str, ...] = ()

    def __init__(self, web: Web) -> None:
        self.web = web
        self.limits = Limits(MOST_BODIES)

    def version(self) -> str | None:
        return self.web.get("rest/api/server-information", _information).version

    def spaces(self) -> Iterator[Space]:
        expand = {"expand": "description.plain,homepage,history"}
        yield from map(client.space_one, by_offset(self.web, "rest/api/space", expand, MOST_IDS))

    def hits(self, where: str, expand: Sequence[str], suspects: list[Suspect]) -> list[Raw]:
        found = self._listed(where)
        return self.by_ids([_ref(body).id for body in found], expand, suspects) if expand else found

    def _listed(self, where: str) -> list[Raw]:
        """Bare content. More than one answer holds only where a single minute has more: it is then read until it stands still."""
        for _ in range(TURNS):
            found: dict[str, Raw] = {}
            total: int | None = None
            while total is None or len(found) < total:
                page = self.web.page("rest/api/content/search", search_params(where, start=len(found), limit=MOST_IDS))
                if page.totalSize is None:
                    raise BrokenAnswer("content/search: no totalSize")
                fresh = {_ref(body).id: body for body in page.results}
                if (total is not None and total != page.totalSize) or not fresh.keys() - found.keys():
                    total = page.totalSize
                    break
                total = page.totalSize
                found |= fresh
            if len(found) == total:
                return list(found.values())
        raise SourceUnavailable(f"search: {len(found)} of {total} came; what is found changes too fast to be read")

    def by_ids(self, ids: Sequence[str], expand: Sequence[str], suspects: list[Suspect]) -> list[Raw]:
        most = MOST_BODIES if any(name.startswith("body") for name in expand) else MOST_EXPANDED

        def part(chunk: Sequence[str]) -> list[Raw]:
            return halved(self.web, chunk, lambda some, tries: self.bulk(some, expand, tries), suspects)

        return [body for page in self.web.spread(part, chunked(ids, most)) for body in page]

    def bulk(self, ids: Sequence[str], expand: Sequence[str], tries: Tries | None) -> list[Raw]:
        params = search_params(among(ids), limit=len(ids), expand=",".join(expand))
        page = self.web.page("rest/api/content/search", params, tries)
        if page.totalSize is not None and len(page.results) < min(page.totalSize, len(ids)):
            raise BrokenAnswer(f"content/search: {len(page.results)} of {page.totalSize} came")
        return page.results

    def contents(self, ids: Sequence[tuple[str, str]], suspects: list[Suspect]) -> Iterator[list[Found]]:
        form = self.web.config.body_format

        def bulk(some: Sequence[str], tries: Tries | None) -> list[Raw]:
            return self.bulk(some, (*HEAD, f"body.{form}"), tries)

        def single(number: str, wanted: str | None, tries: Tries) -> Raw:
            expand = (*HEAD, f"body.{wanted}") if wanted else HEAD
            return self.web.get(
                f"rest/api/content/{number}", _raw, {"status": "any", "expand": ",".join(expand)}, tries
            )

        formats = ("storage", "view") if form == "storage" else ("view",)
        yield from Bodies(self.web, self.limits, bulk, single, formats).read([number for _, number in ids], suspects)

    def tree(self, space: Space) -> Iterator[list[Leaf]]:
        for kind in PAGE_TYPES:
            for status in ("current", *NONCURRENT):
                try:
                    yield from self._scanned(space, kind, status)
                except BadRequest:
                    if status != "archived":  # versions that have no archived pages do not know the word
                        raise

    def _scanned(self, space: Space, kind: str, status: str) -> Iterator[list[Leaf]]:
        params = {"spaceKey": space.key, "type": kind, "status": status, "limit": MOST_EXPANDED}
        for page in by_cursor(self.web, "rest/api/content/scan", {**params, "expand": "version,history,ancestors"}):
            yield [leaf(body) for body in page]

    def changed(self, since_ms: int) -> Iterator[list[tuple[str, str, str, int]]]:
        """There is no listing by date but search itself: the tree is the check here."""
        return iter(())

    def versions(self, kind: str, number: str) -> list[Raw]:
        return by_offset(self.web, f"rest/api/content/{number}/version", {}, MOST_EXPANDED)

    def labels(self, kind: str, number: str) -> list[Raw]:
        return by_offset(self.web, f"rest/api/content/{number}/label", {}, MOST_EXPANDED)

    def check(self, space: Space) -> None:
        self.web.page("rest/api/content", {"spaceKey": space.key, "limit": 1})

    def ancestors(self, number: str) -> tuple[str, ...]:
        found = self.web.get(f"rest/api/content/{number}", _one, {"status": "any", "expand": "ancestors"})
        return tuple(one.id for one in found.ancestors or () if one.type in (None, "page"))

    def exists(self, dataset: str, number: str) -> bool:
        if dataset == "confluence.space":
            return any(space.id == number for space in self.spaces())
        try:
            self.web.get(f"rest/api/content/{number}", _raw, {"status": "any"})
        except NotThere:
            return False
        return True

    def grant(self, space: Space) -> Grant:
        """Since 9.1. A permission without a subject is one of everybody."""
        readers: set[str] = set()
        for one in self.web.get(f"rest/api/space/{quote(space.key)}/permissions", _permissions):
            if (one.operation.operationKey, one.operation.targetType) != ("read", "space"):
                continue
            who = one.subject
            if who is None or who.type == "anonymous":
                readers.add("anyone")
            elif who.type == "group":
                readers.add(f"group:{who.name}")
            else:
                readers.add(f"user:{who.userKey or who.username}")
        return Grant(frozenset(readers))

    def members(self, group: str) -> frozenset[str]:
        rest = f"rest/api/group/{quote(group.partition(':')[2], safe='')}/member"
        people = [_person(body).id for body in by_offset(self.web, rest, {}, MOST_EXPANDED)]
        return frozenset(f"user:{number}" for number in people)

    def place(self, number: str) -> tuple[str, str]:
        found = self.web.get(f"rest/api/content/{number}", _one, {"status": "any", "expand": "space,container"})
        space = found.space.key if found.space else found.container.key if found.container else None
        return space or "", found.status


def leaf(body: Raw) -> Leaf:
    found = _one(body)
    above = found.ancestors[-1].id if found.ancestors else None
    return Leaf(
        id=int(found.id),
        type=found.type,
        status=found.status,
        created_ms=instant_ms(found.history.createdDate) if found.history and found.history.createdDate else 0,
        modified_ms=instant_ms(found.version.when) if found.version else 0,
        place=f"{above} {found.extensions.position} {found.status}",
    )
