"""The API of Confluence Data Center: v1.

An offset loses rows of a set that changes, and the server cuts pages silently (50 with bodies, 200 with anything expanded, else 1000).
So a window of search must fit one answer of bare ids, which is checked against `totalSize`; the content of the ids is then read by
`id in (...)`. The tree is read by `content/scan`, whose cursor is an id (since 7.18).
https://developer.atlassian.com/server/confluence/rest/
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceDenied, SourceUnavailable
from ingest_strategies.atlassian.deployment import SERVER
from ingest_strategies.atlassian.instants import instant_ms_or
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.bodies import BodyLimit, BodyReader, read_by_halves
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.contract import (
    NONCURRENT,
    PAGE_TYPES,
    Ancestors,
    FetchedContent,
    ListedObject,
    Space,
    TreePage,
    UnreadableContent,
    page_number,
    space_from_v1,
)
from ingest_strategies.confluence.api.cql import with_ids
from ingest_strategies.confluence.api.pagination import by_cursor, by_offset
from ingest_strategies.confluence.api.responses import ContentRef, ContentV1, GroupV1, Person, TreeEntryV1, VersionV1
from ingest_strategies.confluence.api.search import search_params

MOST_IDS = 1000
MOST_BODIES = 50
MOST_EXPANDED = 200
MOST_ATTEMPTS = 4  # to read a window that changes while it is read
HEAD = ("space", "version", "history", "ancestors", "metadata.labels")
_content, _entry, _raw, _ref = decoder(ContentV1), decoder(TreeEntryV1), decoder(Raw), decoder(ContentRef)
_person = decoder(Person)


class Subject(Struct, gc=False):
    type: str | None = None
    userKey: str | None = None
    username: str | None = None
    name: str | None = None


class Operation(Struct, gc=False):
    operationKey: str = ""
    targetType: str = ""


class Permission(Struct, gc=False):
    operation: Operation
    subject: Subject | None = None


class Versioned(Struct, gc=False):
    """Content with its version, untouched."""

    version: Raw = Raw(b"{}")

    @property
    def number(self) -> int | None:
        return _version(self.version).number


class ServerInformation(Struct, gc=False):
    version: str | None = None


_permissions, _information = decoder(list[Permission]), decoder(ServerInformation)
_versioned, _version, _group = decoder(Versioned), decoder(VersionV1), decoder(GroupV1)


class DataCenterApi:
    deployment = SERVER
    can_list_changes = False
    listing_expand: tuple[str, ...] = ()

    def __init__(self, client: ConfluenceClient) -> None:
        self.client = client
        self.body_limit = BodyLimit(MOST_BODIES)

    def read_version(self) -> str | None:
        return self.client.get("rest/api/server-information", _information).version

    def list_spaces(self) -> Iterator[Space]:
        expand = {"expand": "description.plain,homepage,history"}
        yield from map(space_from_v1, by_offset(self.client, "rest/api/space", expand, MOST_IDS))

    def search(self, where: str, expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        bare = self._search_bare(where)
        return self.search_ids([_ref(body).id for body in bare], expand, unreadable) if expand else bare

    def _search_bare(self, where: str) -> list[Raw]:
        """Content without expansions. It takes several answers only where one minute holds more than fits one: then it is read until
        its total no longer changes."""
        for _ in range(MOST_ATTEMPTS):
            bodies: dict[str, Raw] = {}
            total: int | None = None
            while total is None or len(bodies) < total:
                params = search_params(where, start=len(bodies), limit=MOST_IDS)
                page = self.client.read_page("rest/api/content/search", params)
                if page.totalSize is None:
                    raise BrokenAnswer("content/search: no totalSize")
                by_id = {_ref(body).id: body for body in page.results}
                if (total is not None and total != page.totalSize) or not by_id.keys() - bodies.keys():
                    total = page.totalSize
                    break
                total = page.totalSize
                bodies |= by_id
            if len(bodies) == total:
                return list(bodies.values())
        raise SourceUnavailable(f"search: {len(bodies)} of {total} came; the results change too fast to be read")

    def search_ids(self, ids: Sequence[str], expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        most = MOST_BODIES if any(name.startswith("body") for name in expand) else MOST_EXPANDED

        def read_chunk(chunk: Sequence[str]) -> list[Raw]:
            return read_by_halves(
                self.client, chunk, lambda part, tries: self.search_ids_once(part, expand, tries), unreadable
            )

        return [body for page in self.client.map_concurrently(read_chunk, chunked(ids, most)) for body in page]

    def search_ids_once(self, ids: Sequence[str], expand: Sequence[str], tries: Tries | None) -> list[Raw]:
        params = search_params(with_ids(ids), limit=len(ids), expand=",".join(expand))
        page = self.client.read_page("rest/api/content/search", params, tries)
        if page.totalSize is not None and len(page.results) < min(page.totalSize, len(ids)):
            raise BrokenAnswer(f"content/search: {len(page.results)} of {page.totalSize} came")
        return page.results

    def read_contents(
        self, ids: Sequence[tuple[str, str]], unreadable: list[UnreadableContent]
    ) -> Iterator[list[FetchedContent]]:
        body_format = self.client.config.body_format

        def read_many(numbers: Sequence[str], tries: Tries | None) -> list[Raw]:
            return self.search_ids_once(numbers, (*HEAD, f"body.{body_format}"), tries)

        def read_one(number: str, wanted_format: str | None, tries: Tries) -> Raw:
            expand = (*HEAD, f"body.{wanted_format}") if wanted_format else HEAD
            params = {"status": "any", "expand": ",".join(expand)}
            return self.client.get(f"rest/api/content/{number}", _raw, params, tries)

        formats = ("storage", "view") if body_format == "storage" else ("view",)
        reader = BodyReader(self.client, self.body_limit, read_many, read_one, formats)
        yield from reader.read([number for _, number in ids], unreadable)

    def list_tree(self, space: Space) -> Iterator[list[TreePage]]:
        for kind in PAGE_TYPES:
            for status in ("current", *NONCURRENT):
                try:
                    yield from self._scan(space, kind, status)
                except BadRequest:
                    if status != "archived":  # versions without archived pages refuse this status
                        raise

    def _scan(self, space: Space, kind: str, status: str) -> Iterator[list[TreePage]]:
        params = {"spaceKey": space.key, "type": kind, "status": status, "limit": MOST_EXPANDED}
        for page in by_cursor(self.client, "rest/api/content/scan", {**params, "expand": "version,history,ancestors"}):
            yield [tree_page(body, kind, status) for body in page]

    def list_changed(self, since_ms: int) -> Iterator[list[tuple[str, str, str, int]]]:
        """Data Center has no listing by date besides search: changes are found in the tree instead."""
        return iter(())

    def list_versions(self, kind: str, number: str) -> list[Raw]:
        """One by one: no documented endpoint lists them. Those that were removed are left out."""
        rest = f"rest/api/content/{number}"
        current = self.client.get(rest, _versioned, {"status": "any", "expand": "version"})
        newest = current.number or 1
        versions = []
        for old in range(1, newest):
            params = {"status": "historical", "version": old, "expand": "version"}
            try:
                versions.append(self.client.get(rest, _versioned, params))
            except NotThere:
                continue
        return [each.version for each in (*versions, current)]

    def list_labels(self, kind: str, number: str) -> list[Raw]:
        return by_offset(self.client, f"rest/api/content/{number}/label", {}, MOST_EXPANDED)

    def check_space(self, space: Space) -> None:
        self.client.read_page("rest/api/content", {"spaceKey": space.key, "limit": 1})

    def load_ancestors(self, ids: Sequence[str]) -> None:
        """Search gives them with the restrictions. Data Center has no folders."""

    def list_ancestors(self, number: str) -> Ancestors:
        content = self.client.get(f"rest/api/content/{number}", _content, {"status": "any", "expand": "ancestors"})
        return Ancestors(tuple(ref.id for ref in content.ancestors or () if ref.type in (None, "page")))

    def download_path(self, attachment: ContentV1, page: str) -> str | None:
        link = attachment.links.download
        return None if link is None else f"{self.client.root}{link}"

    def exists(self, dataset: str, number: str) -> bool:
        if dataset == "confluence.space":
            return any(space.id == number for space in self.list_spaces())
        try:
            self.client.get(f"rest/api/content/{number}", _raw, {"status": "any"})
        except NotThere:
            return False
        return True

    def list_space_readers(self, space: Space) -> frozenset[str]:
        """Since 9.1. A permission without a subject applies to everyone; grants to everyone are listed apart."""
        readers: set[str] = set()
        for permission in self.client.get(f"rest/api/space/{quote(space.key)}/permissions", _permissions):
            operation, subject = permission.operation, permission.subject
            if (operation.operationKey, operation.targetType) != ("read", "space"):
                continue
            if subject is None or subject.type == "anonymous":
                readers.add("anyone")
            elif subject.type == "group":
                readers.add(f"group:{subject.name}")
            else:
                readers.add(f"user:{subject.userKey or subject.username}")
        if self._is_anonymous_space(space):
            readers.add("anyone")
        return frozenset(readers)

    def _is_anonymous_space(self, space: Space) -> bool:
        """True where the space grants reading to everyone, and the site as a whole lets anonymous users in, as far as that can be told."""
        try:
            granted = self.client.get(f"rest/api/space/{quote(space.key)}/permissions/anonymous", _permissions)
        except NotThere:
            return False
        reads = ((one.operation.operationKey, one.operation.targetType) == ("read", "space") for one in granted)
        if not any(reads):
            return False
        try:
            return bool(self.client.get("rest/api/permissions/anonymous", _permissions))
        except (NotThere, SourceDenied):
            return True  # only administrators may look

    def list_objects(self, dataset: str, space: Space | None) -> Iterator[list[ListedObject]]:
        """Groups, which have a name and no id, and their members. The other lists are Cloud's."""
        bodies = by_offset(self.client, "rest/api/group", {}, MOST_EXPANDED)
        if dataset == "confluence.group":
            yield [ListedObject(body) for body in bodies]
            return
        for body in bodies:
            group = attempted(_group, body)
            if group is not None and group.name:
                extra = {"group_id": group.name, "group_name": group.name}
                try:
                    people = self._people_of(group.name)
                except NotThere:  # it was deleted meanwhile
                    continue
                yield [ListedObject(each, extra) for each in people]

    def _people_of(self, group: str) -> list[Raw]:
        return by_offset(self.client, f"rest/api/group/{quote(group, safe='')}/member", {}, MOST_EXPANDED)

    def list_likes(self, kind: str, number: str) -> list[Raw]:
        """Data Center has no API of likes; the unit is not offered there."""
        return []

    def list_members(self, group: str) -> frozenset[str]:
        user_ids = [_person(body).id for body in self._people_of(group.partition(":")[2])]
        return frozenset(f"user:{user_id}" for user_id in user_ids)

    def locate(self, number: str) -> tuple[str, str]:
        params = {"status": "any", "expand": "space,container"}
        content = self.client.get(f"rest/api/content/{number}", _content, params)
        space = content.space.key if content.space else content.container.key if content.container else None
        return space or "", content.status or "current"


def tree_page(body: Raw, kind: str, status: str) -> TreePage:
    page = _entry(body)
    parent = page.ancestors[-1].id if page.ancestors else None
    return TreePage(
        id=page_number(page.id),
        type=page.type or kind,
        status=page.status or status,
        created_ms=instant_ms_or(page.history.createdDate if page.history else None, 0),
        modified_ms=instant_ms_or(page.version.when if page.version else None, 0),
        location=f"{parent} {page.extensions.position if page.extensions else None} {page.status}",
    )
