"""The contract that Cloud and Data Center implement, and what its methods return.

Every method raises the errors of `ingest_ray.http`; none takes a failure for an empty result.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.errors import SourceError
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.responses import ContentV1, SpaceHead, SpaceV1, SpaceV2

NONCURRENT = ("archived", "trashed")
PAGE_TYPES = ("page", "blogpost")
_space_head: Callable[[bytes], SpaceHead] = decoder(SpaceHead)
_v1_space: Callable[[bytes], SpaceV1] = decoder(SpaceV1)
_v2_space: Callable[[bytes], SpaceV2] = decoder(SpaceV2)


@dataclass(frozen=True)
class Space:
    """A space of either deployment; `body` is the untouched object. Without a `key` nothing of it can be found."""

    id: str
    key: str
    name: str | None
    type: str
    status: str
    body: Raw

    @property
    def is_archived(self) -> bool:
        return self.status == "archived"


@dataclass(frozen=True)
class UnreadableContent:
    """Content that exists, and that the site cannot give."""

    id: str
    title: str | None
    reason: str


@dataclass(frozen=True)
class FetchedContent:
    """One piece of content. `body` is the untouched object."""

    body: Raw
    text: str | None = None
    """The text in another format than requested, where the site cannot give that one."""
    text_format: str | None = None
    fault: str | None = None
    """Why the requested format is missing."""


@dataclass(frozen=True)
class TreePage:
    """A page in the tree, without its body."""

    id: int
    type: str
    status: str
    created_ms: int
    modified_ms: int
    location: str
    """Parent, position, space and status: everything that may change without a new version."""


@dataclass(frozen=True)
class Ancestors:
    """What is above a page: pages, top down, and containers that are no pages (folders, whiteboards, databases), bottom up."""

    pages: tuple[str, ...]
    containers: tuple[str, ...] = ()
    """Such as `folder 123`."""


@dataclass(frozen=True)
class ListedObject:
    """One object of a list, untouched, and columns that it lacks."""

    body: Raw
    extra: Mapping[str, Any] = field(default_factory=dict)


class UnknownPrincipal(SourceError):
    """A grant to a kind of principal that is not known here."""


class Api(Protocol):
    """One deployment."""

    client: ConfluenceClient
    deployment: str
    listing_expand: tuple[str, ...]
    """What a listing of pages must expand because their bodies lack it."""
    can_list_changes: bool
    """Whether `list_changed` has a listing by date that does not depend on the search index."""

    def read_version(self) -> str | None: ...

    def list_spaces(self) -> Iterator[Space]:
        """All that the account may see, archived and personal ones included."""
        ...

    def search(self, where: str, expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        """All content that search finds, in v1's shape, each once."""
        ...

    def search_ids(self, ids: Sequence[str], expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        """Content of these ids in v1's shape, as far as search knows it."""
        ...

    def search_ids_once(self, ids: Sequence[str], expand: Sequence[str], tries: Tries | None) -> list[Raw]:
        """The same in one request; raises where `search_ids` would halve it."""
        ...

    def read_contents(
        self, ids: Sequence[tuple[str, str]], unreadable: list[UnreadableContent]
    ) -> Iterator[list[FetchedContent]]:
        """Pages and blog posts by (type, id), of any status, some at a time. Omits those that are deleted."""
        ...

    def list_tree(self, space: Space) -> Iterator[list[TreePage]]:
        """Every page and blog post of a space, of any status; independent of the search index."""
        ...

    def list_changed(self, since_ms: int) -> Iterator[list[tuple[str, str, str, int]]]:
        """(type, id, space id or key, instant) of current pages and posts changed since; independent of the search index."""
        ...

    def list_versions(self, kind: str, number: str) -> list[Raw]: ...

    def list_labels(self, kind: str, number: str) -> list[Raw]: ...

    def check_space(self, space: Space) -> None:
        """Makes one small request for a space in which search finds nothing. Raises the error that the space answers."""
        ...

    def load_ancestors(self, ids: Sequence[str]) -> None:
        """Requests many at once what `list_ancestors` will need. Raises nothing that that would not."""
        ...

    def list_ancestors(self, number: str) -> Ancestors:
        """What is above any page or post. Raises `NotThere`."""
        ...

    def download_path(self, attachment: ContentV1, page: str) -> str | None:
        """Where the bytes of an attachment are; None: its answer does not say."""
        ...

    def exists(self, dataset: str, number: str) -> bool:
        """Whether a comment, an attachment or a space exists, of any status."""
        ...

    def list_objects(self, dataset: str, space: Space | None) -> Iterator[list[ListedObject]]:
        """The objects of a dataset that is listed, of one space or of the site."""
        ...

    def list_likes(self, kind: str, number: str) -> list[Raw]: ...

    def list_space_readers(self, space: Space) -> frozenset[str]:
        """The principals that may read a space: `user:x`, `group:y`, `class:all-licensed-users` and the like, `anyone`.

        Raises `UnknownPrincipal`.
        """
        ...

    def list_members(self, group: str) -> frozenset[str]:
        """The people of a group, as `user:<id>`; `group` is `group:<id or name>`."""
        ...

    def locate(self, number: str) -> tuple[str, str]:
        """(space id or key, status) of any page or post, of any status. Raises `NotThere`."""
        ...


def page_number(text: str) -> int:
    """Ids of pages are numbers in text. Raises `BrokenAnswer`."""
    if not text.isdecimal():
        raise BrokenAnswer(f"'{text[:40]}' is no id of a page")
    return int(text)


def space_from_v1(body: Raw) -> Space:
    return _space(attempted(_v1_space, body), body)


def space_from_v2(body: Raw) -> Space:
    return _space(attempted(_v2_space, body), body)


def _space(space: SpaceV1 | SpaceV2 | None, body: Raw) -> Space:
    """One of which only the name is odd can be read all the same. Raises `BrokenAnswer` for one without an id."""
    head = _space_head(body)
    name, kind, status = space.name if space else None, head.type or "global", head.status or "current"
    return Space(str(head.id), head.key or "", name, kind, status, body)
