"""Confluence Cloud: v2 for pages and spaces, v1 for what v2 does not have: search, restrictions, people, groups.

https://developer.atlassian.com/cloud/confluence/rest/v2/intro/
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_strategies.confluence.api import client
from ingest_strategies.confluence.api.bodies import Bodies, halved
from ingest_strategies.confluence.api.client import (
    NONCURRENT,
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
from ingest_strategies.confluence.api.responses import ContentTwo, Person, Ref, decoder, instant_ms

MOST = 250  # of every v2 list
MOST_HITS = 250
NAMES = {"page": "pages", "blogpost": "blogposts"}
STATUSES = ",".join(("current", *NONCURRENT))
_two, _raw, _ref, _person = decoder(ContentTwo), decoder(Raw), decoder(Ref), decoder(Person)


class Principal(Struct):
    type: str | None = None
    id: str | None = None
    principalType: str | None = None
    principalId: str | None = None


class Operation(Struct):
    key: str = ""
    targetType: str = ""


class Permission(Struct):
    principal: Principal
    operation: Operation | None = None


_permission = decoder(Permission)


class Cloud:
    deployment = "Cloud"
    tells_changes = True
    listing_expand: tuple[str, ...] = ("metadata.labels",)

    def __init__(self, web: Web) -> None:
        self.web = web
        self.limits = Limits(MOST)

    def version(self) -> str | None:
        return None

    def spaces(self) -> Iterator[Space]:
        for page in by_cursor(self.web, "api/v2/spaces", {"limit": MOST, "description-format": "plain"}):
            yield from map(client.space_two, page)

    def hits(self, where: str, expand: Sequence[str], suspects: list[Suspect]) -> list[Raw]:
        params = search_params(where, limit=MOST_HITS, **({"expand": ",".join(expand)} if expand else {}))
        try:
            return [body for page in by_cursor(self.web, "rest/api/content/search", params) for body in page]
        except BrokenAnswer:
            if not expand:
                raise
        found = self.hits(where, (), suspects)
        return self.by_ids([_ref(body).id for body in found], expand, suspects)

    def by_ids(self, ids: Sequence[str], expand: Sequence[str], suspects: list[Suspect]) -> list[Raw]:
        found: list[Raw] = []
        for chunk in chunked(ids, MOST_HITS):
            found += halved(self.web, chunk, lambda some, tries: self.bulk(some, expand, tries), suspects)
        return found

    def bulk(self, ids: Sequence[str], expand: Sequence[str], tries: Tries | None) -> list[Raw]:
        params = search_params(among(ids), limit=len(ids), expand=",".join(expand))
        return [body for page in by_cursor(self.web, "rest/api/content/search", params, tries) for body in page]

    def contents(self, ids: Sequence[tuple[str, str]], suspects: list[Suspect]) -> Iterator[list[Found]]:
        for kind, name in NAMES.items():
            chosen = [number for type_, number in ids if type_ == kind]
            if chosen:
                yield from self._bodies(name).read(chosen, suspects)

    def _bodies(self, name: str) -> Bodies:
        form = self.web.config.body_format

        def bulk(ids: Sequence[str], tries: Tries | None) -> list[Raw]:
            params = {"id": ",".join(ids), "body-format": form, "status": STATUSES, "limit": MOST}
            return self.web.page(f"api/v2/{name}", params, tries).results

        def single(number: str, wanted: str | None, tries: Tries) -> Raw:
            params = {"body-format": wanted} if wanted else {}
            return self.web.get(f"api/v2/{name}/{number}", _raw, params, tries)

        if form == "view":  # v2 gives it for one page at a time only
            return Bodies(self.web, Limits(1), lambda ids, tries: [single(ids[0], form, tries or self.web.client.site.tries)], single, ("view",))  # fmt: skip
        return Bodies(self.web, self.limits, bulk, single, ("storage", "view"))

    def tree(self, space: Space) -> Iterator[list[Leaf]]:
        for kind, name in NAMES.items():
            yield from self._from_both_ends(space, kind, f"api/v2/spaces/{space.id}/{name}")

    def _from_both_ends(self, space: Space, kind: str, rest: str) -> Iterator[list[Leaf]]:
        """A cursor leads only from page to page: two that go towards each other are twice as fast as one."""
        params = {"limit": MOST, "status": STATUSES}
        up = by_cursor(self.web, rest, {**params, "sort": "id"})
        first = [leaf(kind, body) for body in next(up, [])]
        yield first
        if len(first) < MOST:
            for page in up:
                yield [leaf(kind, body) for body in page]
            return
        down = by_cursor(self.web, rest, {**params, "sort": "-id"})
        low, high = max(one.id for one in first), None
        with ThreadPoolExecutor(2, thread_name_prefix="tree") as pair:
            while high is None or low < high:
                asked = pair.submit(next, up, None), pair.submit(next, down, None)
                below, above = (leaves(kind, one.result()) for one in asked)
                yield [one for one in below or () if high is None or one.id < high]
                low = max([low, *(one.id for one in below or ())])
                yield [one for one in above or () if one.id > low]
                high = min([high or 1 << 62, *(one.id for one in above or ())])
                if below is None or above is None:
                    return

    def changed(self, since_ms: int) -> Iterator[list[tuple[str, str, str, int]]]:
        for kind, name in NAMES.items():
            params = {"limit": MOST, "sort": "-modified-date", "status": "current"}
            for page in by_cursor(self.web, f"api/v2/{name}", params):
                found = [_two(body) for body in page]
                stamped = [(kind, one.id, one.spaceId or "", instant_ms(one.version.createdAt)) for one in found]
                yield [one for one in stamped if one[3] >= since_ms]
                if any(ms < since_ms for *_, ms in stamped):
                    break

    def versions(self, kind: str, number: str) -> list[Raw]:
        rest = f"api/v2/{NAMES[kind]}/{number}/versions"
        return [body for page in by_cursor(self.web, rest, {"limit": MOST}) for body in page]

    def labels(self, kind: str, number: str) -> list[Raw]:
        rest = f"api/v2/{NAMES[kind]}/{number}/labels"
        return [body for page in by_cursor(self.web, rest, {"limit": MOST}) for body in page]

    def check(self, space: Space) -> None:
        self.web.page(f"api/v2/spaces/{space.id}/pages", {"limit": 1})

    def ancestors(self, number: str) -> tuple[str, ...]:
        """Top down, and without a cursor: where the list is cut, the first of it is asked for what is above it."""
        chain: list[Ref] = []
        at = number
        while True:
            try:
                found = [_ref(body) for body in self.web.page(f"api/v2/pages/{at}/ancestors", {"limit": MOST}).results]
            except NotThere:
                if chain:
                    raise
                self.web.get(f"api/v2/blogposts/{number}", _raw)  # a blog post has nothing above it
                return ()
            chain = [*found, *chain]
            if len(found) < MOST:
                return tuple(one.id for one in chain if one.type in (None, "page"))
            at = found[0].id

    def exists(self, dataset: str, number: str) -> bool:
        places = {
            "confluence.space": (f"api/v2/spaces/{number}",),
            "confluence.attachment": (f"api/v2/attachments/{number}",),
            "confluence.comment": (f"api/v2/footer-comments/{number}", f"api/v2/inline-comments/{number}"),
        }
        for rest in places[dataset]:
            try:
                self.web.get(rest, _raw)
            except NotThere:
                continue
            return True
        return False

    def grant(self, space: Space) -> Grant:
        """Sites with roles answer in two places: who has a role may read, whatever the role is."""
        readers: set[str] = set()
        for page in by_cursor(self.web, f"api/v2/spaces/{space.id}/permissions", {"limit": MOST}):
            for body in page:
                found = _permission(body)
                if found.operation and (found.operation.key, found.operation.targetType) == ("read", "space"):
                    readers.add(f"{found.principal.type}:{found.principal.id}")
        try:
            for page in by_cursor(self.web, f"api/v2/spaces/{space.id}/role-assignments", {"limit": MOST}):
                for body in page:
                    who = _permission(body).principal
                    readers.add(f"{str(who.principalType).lower()}:{who.principalId}")
        except NotThere:
            pass  # the site has no roles yet
        return Grant(frozenset(readers))

    def members(self, group: str) -> frozenset[str]:
        rest = f"rest/api/group/{group.partition(':')[2]}/membersByGroupId"
        return frozenset(f"user:{_person(body).id}" for body in by_offset(self.web, rest, {}, 200))

    def place(self, number: str) -> tuple[str, str]:
        for name in NAMES.values():
            try:
                found = self.web.get(f"api/v2/{name}/{number}", _two)
            except NotThere:
                continue
            return found.spaceId or "", found.status
        raise NotThere(f"content {number}")


def leaves(kind: str, page: list[Raw] | None) -> list[Leaf] | None:
    return None if page is None else [leaf(kind, body) for body in page]


def leaf(kind: str, body: Raw) -> Leaf:
    found = _two(body)
    place = f"{found.parentType} {found.parentId} {found.position} {found.spaceId} {found.status}"
    return Leaf(
        id=int(found.id),
        type=kind,
        status=found.status,
        created_ms=instant_ms(found.createdAt) if found.createdAt else 0,
        modified_ms=instant_ms(found.version.createdAt),
        place=place,
    )
