"""Determines who may read a page. A reader must pass every level: the space, each restricted page above, the page itself.

A folder above a page may be restricted, too, and no API tells by whom (https://jira.atlassian.com/browse/CONFCLOUD-82920): such a page
has no readers that can be determined, unless the endpoint's `acl_folders` takes folders for open.

Groups of different levels are compared by their members, so the readers of a page below two restrictions are listed one by one; a group
that is in every level stays a group. Readers that cannot be determined are an error: the page is never taken for a public one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_strategies.atlassian.deployment import SERVER
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.readers import Acl, AclUnknown, Level, effective_readers
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.contract import Api, Space, UnknownPrincipal
from ingest_strategies.confluence.api.responses import ContentV1, Restriction

MOST_IDS = 200  # of one request
EXPAND = ("ancestors", "restrictions.read.restrictions.user", "restrictions.read.restrictions.group")
_content, _restriction = decoder(ContentV1), decoder(Restriction)


CLOSED = Acl((), ())
"""Of content in the trash: nobody reads it."""


def named_readers(restriction: Restriction | None) -> tuple[frozenset[str], bool]:
    """The readers that a restriction names, and whether that is all of them."""
    if restriction is None:
        return frozenset(), True
    people, groups = restriction.restrictions.user, restriction.restrictions.group
    users = {f"user:{person.id}" for person in people.results}
    readers = users | {f"group:{group.id or group.name}" for group in groups.results}
    return frozenset(readers), people.size < people.limit and groups.size < groups.limit


@dataclass
class AclReader:
    """Reads the ACLs of content of one space; requests each ancestor and each group once."""

    api: Api
    space: Space
    page_readers: dict[str, frozenset[str]] = field(default_factory=dict)
    """By page: the readers that its own restriction names; empty: it has none."""
    members: dict[str, frozenset[str]] = field(default_factory=dict)
    space_readers: dict[str, frozenset[str]] = field(default_factory=dict)
    ancestors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By page: the pages above it, top down, as search gives them: without folders."""
    faults: dict[str, str] = field(default_factory=dict)
    """Why the restrictions of a page cannot be read: it may be above many others, and is requested once."""
    is_bulk_broken: bool = False

    @property
    def _tries(self) -> Tries:
        """Few: pages that fail together are requested again one by one."""
        return Tries(failures=3, first_wait_s=self.api.client.config.retry_wait_s)

    def remember(self, content: ContentV1) -> None:
        """Keeps ancestors and restrictions of an answer with `EXPAND`, except lists that were cut."""
        if content.ancestors is not None:
            self.ancestors[content.id] = tuple(ref.id for ref in content.ancestors)
        if content.restrictions is not None:
            readers, is_complete = named_readers(content.restrictions.read)
            if is_complete:
                self.page_readers[content.id] = readers

    def prepare(self, ids: Sequence[str]) -> None:
        """Requests what these pages and their ancestors lack, many at once."""
        self._request_many([number for number in ids if number not in self.page_readers])
        above = {ancestor for number in ids for ancestor in self.ancestors.get(number, ())}
        self.api.load_ancestors([*ids, *sorted(above)])
        self._request_many([number for number in sorted(above) if number not in self.page_readers])

    def _request_many(self, ids: list[str]) -> None:
        """https://jira.atlassian.com/browse/CONFCLOUD-77618: one page that cannot be shown breaks the answer for all. From then on
        each page is requested by itself, when it is needed."""
        for chunk in chunked(ids, MOST_IDS):
            if self.is_bulk_broken:
                return
            try:
                bodies = self.api.search_ids_once(chunk, EXPAND, self._tries)
            except (NotThere, BadRequest, BrokenAnswer):
                self.is_bulk_broken = True
                return
            for body in bodies:
                content = attempted(_content, body)
                if content is not None:  # an odd one is requested by itself, when it is needed
                    self.remember(content)

    def read_acl(self, number: str, space: Space | None = None) -> Acl:
        """Raises `AclUnknown`."""
        space = space or self.space
        levels = [Level("space", space.key, self._read_space_readers(space))]
        for page in (*self._list_above(number), number):
            readers = self._read_page_readers(page)
            if readers:
                levels.append(Level("page", page, readers))
        return Acl(tuple(levels), effective_readers(levels, self._list_members))

    def _list_above(self, number: str) -> tuple[str, ...]:
        """The pages above a page, top down."""
        if self.api.deployment == SERVER and number in self.ancestors:
            return self.ancestors[number]
        try:
            above = self.api.list_ancestors(number)
        except (NotThere, BrokenAnswer) as error:
            raise AclUnknown(f"the ancestors of {number} cannot be read: {error}") from None
        if above.containers and self.api.client.config.acl_folders != "open":
            raise AclUnknown(
                f"it is below {', '.join(above.containers)}, of which Confluence does not tell who may read it; "
                "acl_folders: open takes folders for open"
            )
        others = [page for page in self.ancestors.get(number, ()) if page not in above.pages]
        return (*others, *above.pages)

    def _read_page_readers(self, number: str) -> frozenset[str]:
        if number in self.faults:
            raise AclUnknown(self.faults[number])
        if number not in self.page_readers:
            try:
                self.page_readers[number] = self._request_restriction(number)
            except (NotThere, BrokenAnswer) as error:
                self.faults[number] = f"the restrictions of {number} cannot be read: {error}"
                raise AclUnknown(self.faults[number]) from None
        return self.page_readers[number]

    def _request_restriction(self, number: str) -> frozenset[str]:
        """Reads page after page: a list that stays cut must not be taken for a complete one."""
        rest = f"rest/api/content/{number}/restriction/byOperation/read"
        readers: frozenset[str] = frozenset()
        start = 0
        while True:
            params = {"expand": "restrictions.user,restrictions.group", "start": start, "limit": MOST_IDS}
            more, is_complete = named_readers(self.api.client.get(rest, _restriction, params, self._tries))
            if is_complete:
                return readers | more
            if more <= readers:
                raise AclUnknown(
                    f"the restrictions of {number} name more than {len(readers)} readers, and not all can be read"
                )
            readers, start = readers | more, start + MOST_IDS

    def _read_space_readers(self, space: Space) -> frozenset[str]:
        if space.key not in self.space_readers:
            try:
                readers = self.api.list_space_readers(space)
            except UnknownPrincipal as error:
                raise AclUnknown(error.message) from None
            if not readers:
                raise AclUnknown(f"space '{space.key}' lists no readers: this account may not see its permissions")
            self.space_readers[space.key] = readers
        return self.space_readers[space.key]

    def _list_members(self, group: str) -> frozenset[str]:
        """Of a group that was deleted: nobody. What was granted to it stays, and names it."""
        if group not in self.members:
            try:
                self.members[group] = self.api.list_members(group)
            except NotThere:
                self.api.client.read_account()  # the login is good: it is gone
                self.members[group] = frozenset()
        return self.members[group]
