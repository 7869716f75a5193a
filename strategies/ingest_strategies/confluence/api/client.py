"""What Cloud and Data Center have in common: search by CQL, people, groups, and how content is had one by one.

Everything raises the errors of `ingest_ray.http`; an empty result is proved to be one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.rate_limit_headers import instant as moment
from ingest_ray.sdk.errors import SourceDenied, SourceError
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.atlassian.site_client import SiteWeb, client_of
from ingest_strategies.confluence.api.responses import (
    ContentOne,
    Count,
    Page,
    Person,
    SpaceOne,
    SpaceTwo,
    decoder,
    instant_ms,
)
from ingest_strategies.confluence.config import ConfluenceConfig, parse_config
from ingest_strategies.confluence.planning.timezone import Sample

_page, _count, _person, _content = decoder(Page), decoder(Count), decoder(Person), decoder(ContentOne)
NONCURRENT = ("archived", "trashed")
PAGE_TYPES = ("page", "blogpost")


@dataclass(frozen=True)
class Space:
    """A space, whichever deployment it is of; `body` is the object as it came."""

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
class Suspect:
    """Content that is there, and that cannot be had."""

    id: str
    title: str | None
    reason: str


@dataclass(frozen=True)
class Found:
    """One piece of content. `body` is the object as it came; the rest is what else is known of it."""

    body: Raw
    text: str | None = None
    """The body in another format than was asked for, because that one cannot be had."""
    text_format: str | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Leaf:
    """A page in the tree, without its body."""

    id: int
    type: str
    status: str
    created_ms: int
    modified_ms: int
    place: str
    """Where it is and what became of it: everything that may change without a new version."""


@dataclass(frozen=True)
class Grant:
    """Who may read a space: principals such as `user:x`, `group:y`, `anyone`."""

    readers: frozenset[str]


class Web(SiteWeb[ConfluenceConfig]):
    def myself(self) -> Person:
        """Raises `SourceDenied` unless the login is good."""
        return self.arrived()[0]

    def now_ms(self) -> int:
        return self.arrived()[1]

    def arrived(self) -> tuple[Person, int]:
        """Who is logged in, and the server's clock: the `Date` of the same answer.

        Raises:
            SourceDenied: nobody is.
        """
        answer = self.client.answer(self.path("rest/api/user/current"))
        person, date = _person(answer.body), moment(answer.headers.get("date", ""))
        if person.id is None:
            raise SourceDenied(f"{self.client.site.base_url}: the current user names no account")
        if date is None:
            raise SourceError(f"{self.client.site.base_url}: its answers do not tell the time")
        return person, int(date.timestamp() * 1000)

    def page(self, rest: str, params: dict[str, Any], tries: Tries | None = None) -> Page:
        return self.get(rest, _page, params, tries)


@dataclass
class Limits:
    """What this site has turned out to give at once; learned while reading, per process."""

    most_bodies: int
    lock: Lock = field(default_factory=Lock)

    def shrink(self, to: int) -> None:
        with self.lock:
            self.most_bodies = max(1, min(self.most_bodies, to))


class Api(Protocol):
    """One deployment."""

    web: Web
    deployment: str
    listing_expand: tuple[str, ...]
    """What a listing of pages brings along that their bodies do not."""
    tells_changes: bool
    """`changed` lists from the truth."""

    def version(self) -> str | None: ...

    def spaces(self) -> Iterator[Space]:
        """All that the account may see, archived and personal ones, too."""
        ...

    def hits(self, where: str, expand: Sequence[str], suspects: list[Suspect]) -> list[Raw]:
        """Everything that search finds, as v1 has it, each once."""
        ...

    def by_ids(self, ids: Sequence[str], expand: Sequence[str], suspects: list[Suspect]) -> list[Raw]:
        """Content of these ids as v1 has it, as far as search knows it."""
        ...

    def bulk(self, ids: Sequence[str], expand: Sequence[str], tries: Tries | None) -> list[Raw]:
        """The same in one request: all that search knows of these ids, or the error that it answers."""
        ...

    def contents(self, ids: Sequence[tuple[str, str]], suspects: list[Suspect]) -> Iterator[list[Found]]:
        """Pages and blog posts by (type, id), whatever their status is, some at a time. What is gone is left out."""
        ...

    def tree(self, space: Space) -> Iterator[list[Leaf]]:
        """Every page and blog post of a space, of any status, from the truth and not from the index of search."""
        ...

    def changed(self, since_ms: int) -> Iterator[list[tuple[str, str, str, int]]]:
        """(type, id, space id or key, instant) of current pages and posts changed since, from the truth."""
        ...

    def versions(self, kind: str, number: str) -> list[Raw]: ...

    def labels(self, kind: str, number: str) -> list[Raw]: ...

    def check(self, space: Space) -> None:
        """One small request of a space that search finds nothing in. Raises what the space answers."""
        ...

    def ancestors(self, number: str) -> tuple[str, ...]:
        """The pages above any page, top down. Raises `NotThere`."""
        ...

    def exists(self, dataset: str, number: str) -> bool:
        """Whether a comment, an attachment or a space is there, of any status."""
        ...

    def grant(self, space: Space) -> Grant: ...

    def members(self, group: str) -> frozenset[str]:
        """The people of a group, as `user:<id>`; `group` is `group:<id or name>`."""
        ...

    def place(self, number: str) -> tuple[str, str]:
        """(space id or key, status) of any content, trashed or not. Raises `NotThere`."""
        ...


def count(web: Web, where: str) -> int:
    return web.get("rest/api/search", _count, search_params(where, limit=0)).totalSize


def search_params(where: str, **more: Any) -> dict[str, Any]:
    return {"cql": where, "includeArchivedSpaces": "true", **more}


def newest(web: Web, where: str) -> Sample | None:
    """The content that was changed last, of those that a condition holds for."""
    condition = " AND ".join(part for part in ("type = page", where) if part)
    params = search_params(f"{condition} ORDER BY lastmodified DESC", limit=1, expand="version")
    for body in web.page("rest/api/content/search", params).results:
        content = _content(body)
        if content.version is not None:
            return Sample(content.id, instant_ms(content.version.when))
    return None


def edge(web: Web, where: str, axis: str, *, last: bool) -> int | None:
    """The instant of the first or last content on an axis; None: there is none."""
    order = "DESC" if last else "ASC"
    params = search_params(f"{where} ORDER BY {axis} {order}", limit=1, expand="version,history")
    found = web.page("rest/api/content/search", params).results
    if not found:
        return None
    content = _content(found[0])
    when = content.version.when if content.version else None
    if axis == "created" and content.history is not None and content.history.createdDate:
        when = content.history.createdDate
    return instant_ms(when) if when else None


def open_web(endpoint: Endpoint) -> Web:
    config = parse_config(endpoint)
    bare = config.model_copy(update={"base_url": config.site_url})
    return Web(client_of(bare), config, "")


def chunked(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def space_one(body: Raw) -> Space:
    found = _space_one(body)
    return Space(str(found.id), found.key, found.name, found.type, found.status, body)


def space_two(body: Raw) -> Space:
    found = _space_two(body)
    return Space(found.id, found.key, found.name, found.type, found.status, body)


_space_one: Callable[[bytes], SpaceOne] = decoder(SpaceOne)
_space_two: Callable[[bytes], SpaceTwo] = decoder(SpaceTwo)
