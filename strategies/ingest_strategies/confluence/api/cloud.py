"""The API of Confluence Cloud: v2 for pages and spaces, v1 for search, restrictions, people and groups, which v2 lacks.

https://developer.atlassian.com/cloud/confluence/rest/v2/intro/
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.instants import instant_ms_or
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.ancestors import AncestorWalk
from ingest_strategies.confluence.api.bodies import BodyLimit, BodyReader, read_by_halves
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.cloud_lists import CloudLists
from ingest_strategies.confluence.api.contract import (
    NONCURRENT,
    Ancestors,
    FetchedContent,
    ListedObject,
    Space,
    TreePage,
    UnreadableContent,
    page_number,
    space_from_v2,
)
from ingest_strategies.confluence.api.cql import with_ids
from ingest_strategies.confluence.api.pagination import by_cursor, by_offset
from ingest_strategies.confluence.api.responses import ContentRef, ContentV1, Person, TreeEntryV2
from ingest_strategies.confluence.api.search import search_params
from ingest_strategies.confluence.api.space_roles import SpaceRoles

MOST = 250  # of every v2 list
MOST_HITS = 250
NAMES = {"page": "pages", "blogpost": "blogposts"}
STATUSES = {"page": ",".join(("current", *NONCURRENT)), "blogpost": "current,trashed"}
"""What v2 takes: there are no archived blog posts, and another value is refused."""
_entry, _raw, _ref, _person = decoder(TreeEntryV2), decoder(Raw), decoder(ContentRef), decoder(Person)


class CloudApi:
    deployment = CLOUD
    can_list_changes = True
    listing_expand: tuple[str, ...] = ("metadata.labels",)

    def __init__(self, client: ConfluenceClient) -> None:
        self.client = client
        self.body_limit = BodyLimit(MOST)
        self.walk = AncestorWalk(client)
        self.roles = SpaceRoles(client)
        self.lists = CloudLists(client, self.roles)

    def read_version(self) -> str | None:
        return None

    def list_spaces(self) -> Iterator[Space]:
        for page in by_cursor(self.client, "api/v2/spaces", {"limit": MOST, "description-format": "plain"}):
            yield from map(space_from_v2, page)

    def search(self, where: str, expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        params = search_params(where, limit=MOST_HITS, **({"expand": ",".join(expand)} if expand else {}))
        try:
            return [body for page in by_cursor(self.client, "rest/api/content/search", params) for body in page]
        except BrokenAnswer:
            if not expand:
                raise
        bare = self.search(where, (), unreadable)
        return self.search_ids([_ref(body).id for body in bare], expand, unreadable)

    def search_ids(self, ids: Sequence[str], expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        bodies: list[Raw] = []
        for chunk in chunked(ids, MOST_HITS):
            bodies += read_by_halves(
                self.client, chunk, lambda part, tries: self.search_ids_once(part, expand, tries), unreadable
            )
        return bodies

    def search_ids_once(self, ids: Sequence[str], expand: Sequence[str], tries: Tries | None) -> list[Raw]:
        params = search_params(with_ids(ids), limit=len(ids), expand=",".join(expand))
        return [body for page in by_cursor(self.client, "rest/api/content/search", params, tries) for body in page]

    def read_contents(
        self, ids: Sequence[tuple[str, str]], unreadable: list[UnreadableContent]
    ) -> Iterator[list[FetchedContent]]:
        for kind in NAMES:
            numbers = [number for type_, number in ids if type_ == kind]
            if numbers:
                yield from self._body_reader(kind).read(numbers, unreadable)

    def _body_reader(self, kind: str) -> BodyReader:
        name = NAMES[kind]
        body_format = self.client.config.body_format

        def read_many(ids: Sequence[str], tries: Tries | None) -> list[Raw]:
            params = {"id": ",".join(ids), "body-format": body_format, "status": STATUSES[kind], "limit": MOST}
            return self.client.read_page(f"api/v2/{name}", params, tries).results

        def read_one(number: str, wanted_format: str | None, tries: Tries) -> Raw:
            params = {"body-format": wanted_format} if wanted_format else {}
            return self.client.get(f"api/v2/{name}/{number}", _raw, params, tries)

        def read_view(ids: Sequence[str], tries: Tries | None) -> list[Raw]:
            return [read_one(ids[0], "view", tries or self.client.http.site.tries)]

        if body_format == "view":  # v2 gives it for one page at a time only
            return BodyReader(self.client, BodyLimit(1), read_view, read_one, ("view",))
        return BodyReader(self.client, self.body_limit, read_many, read_one, ("storage", "view"))

    def list_tree(self, space: Space) -> Iterator[list[TreePage]]:
        yield from side_by_side(
            [self._from_both_ends(space, kind, f"api/v2/spaces/{space.id}/{name}") for kind, name in NAMES.items()]
        )

    def _from_both_ends(self, space: Space, kind: str, rest: str) -> Generator[list[TreePage], None, None]:
        """Each page of a listing needs the cursor of the one before: two listings from opposite ends are twice as fast as one."""
        params = {"limit": MOST, "status": STATUSES[kind]}
        up = by_cursor(self.client, rest, {**params, "sort": "id"})
        first = tree_pages(kind, next(up, []))
        yield first
        if len(first) < MOST:
            for page in up:
                yield tree_pages(kind, page)
            return
        down = by_cursor(self.client, rest, {**params, "sort": "-id"})
        low, high = max(page.id for page in first), None
        with ThreadPoolExecutor(2, thread_name_prefix="tree") as pair:
            while high is None or low < high:
                futures = pair.submit(next, up, None), pair.submit(next, down, None)
                next_up, next_down = (future.result() for future in futures)
                below, above = tree_pages(kind, next_up or []), tree_pages(kind, next_down or [])
                yield [page for page in below if high is None or page.id < high]
                low = max([low, *(page.id for page in below)])
                yield [page for page in above if page.id > low]
                high = min([high or 1 << 62, *(page.id for page in above)])
                if next_up is None or next_down is None:
                    return

    def list_changed(self, since_ms: int) -> Iterator[list[tuple[str, str, str, int]]]:
        for kind, name in NAMES.items():
            params = {"limit": MOST, "sort": "-modified-date", "status": "current"}
            for page in by_cursor(self.client, f"api/v2/{name}", params):
                contents = [_entry(body) for body in page]
                # A page without a time may be a changed one; it does not end the listing.
                whens = [one.version.createdAt if one.version else None for one in contents]
                dated = [
                    (kind, one.id, one.spaceId or "", instant_ms_or(when, since_ms))
                    for one, when in zip(contents, whens, strict=True)
                ]
                yield [entry for entry in dated if entry[3] >= since_ms]
                if any(ms < since_ms for *_, ms in dated):
                    break

    def list_versions(self, kind: str, number: str) -> list[Raw]:
        rest = f"api/v2/{NAMES[kind]}/{number}/versions"
        return [body for page in by_cursor(self.client, rest, {"limit": MOST}) for body in page]

    def list_labels(self, kind: str, number: str) -> list[Raw]:
        rest = f"api/v2/{NAMES[kind]}/{number}/labels"
        return [body for page in by_cursor(self.client, rest, {"limit": MOST}) for body in page]

    def check_space(self, space: Space) -> None:
        self.client.read_page(f"api/v2/spaces/{space.id}/pages", {"limit": 1})

    def load_ancestors(self, ids: Sequence[str]) -> None:
        self.walk.load(ids)

    def list_ancestors(self, number: str) -> Ancestors:
        return self.walk.list_above(number)

    def download_path(self, attachment: ContentV1, page: str) -> str | None:
        """The servlet of `_links.download` is closed to API tokens since May 2026 (CHANGE-2735, CHANGE-3007). This one redirects to the
        media host, which gets no login."""
        number = f"?version={attachment.version.number}" if attachment.version else ""
        return f"{self.client.root}/rest/api/content/{page}/child/attachment/{attachment.id}/download{number}"

    def exists(self, dataset: str, number: str) -> bool:
        paths = {
            "confluence.space": (f"api/v2/spaces/{number}",),
            "confluence.attachment": (f"api/v2/attachments/{number}",),
            "confluence.attachment_acl": (f"api/v2/attachments/{number}",),
            "confluence.comment": (f"api/v2/footer-comments/{number}", f"api/v2/inline-comments/{number}"),
        }
        for path in paths[dataset]:
            try:
                self.client.get(path, _raw)
            except NotThere:
                continue
            return True
        return False

    def list_objects(self, dataset: str, space: Space | None) -> Iterator[list[ListedObject]]:
        return self.lists.list_objects(dataset, space)

    def list_likes(self, kind: str, number: str) -> list[Raw]:
        rest = f"api/v2/{NAMES[kind]}/{number}/likes/users"
        return [body for page in by_cursor(self.client, rest, {"limit": MOST}) for body in page]

    def list_space_readers(self, space: Space) -> frozenset[str]:
        return self.roles.list_readers(space)

    def list_members(self, group: str) -> frozenset[str]:
        rest = f"rest/api/group/{group.partition(':')[2]}/membersByGroupId"
        return frozenset(f"user:{_person(body).id}" for body in by_offset(self.client, rest, {}, 200))

    def locate(self, number: str) -> tuple[str, str]:
        for name in NAMES.values():
            try:
                content = self.client.get(f"api/v2/{name}/{number}", _entry)
            except NotThere:
                continue
            return content.spaceId or "", content.status or "current"
        raise NotThere(f"content {number}")


def side_by_side(listings: Sequence[Generator[list[TreePage], None, None]]) -> Iterator[list[TreePage]]:
    """A part of each listing in turn; the requests for them are sent at once."""
    try:
        with ThreadPoolExecutor(len(listings), thread_name_prefix="kind") as pool:
            going = list(listings)
            while going:
                futures = [pool.submit(next, listing, None) for listing in going]
                parts = [future.result() for future in futures]
                yield from (part for part in parts if part is not None)
                going = [listing for listing, part in zip(going, parts, strict=True) if part is not None]
    finally:
        for listing in listings:
            listing.close()


def tree_pages(kind: str, bodies: Sequence[Raw]) -> list[TreePage]:
    return [tree_page(kind, body) for body in bodies]


def tree_page(kind: str, body: Raw) -> TreePage:
    page = _entry(body)
    return TreePage(
        id=page_number(page.id),
        type=kind,
        status=page.status or "current",
        created_ms=instant_ms_or(page.createdAt, 0),
        modified_ms=instant_ms_or(page.version.createdAt if page.version else None, 0),
        location=f"{page.parentType} {page.parentId} {page.position} {page.spaceId} {page.status}",
    )
