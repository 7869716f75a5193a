"""Listings read to their end. By cursor: `_links.next` is followed word for word, and only its absence is the end."""

from collections.abc import Iterator
from typing import Any

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.confluence.api.client import Web
from ingest_strategies.confluence.api.responses import Page, decoder

RESTARTS = 3  # of a listing whose cursor is refused
MOST_PAGES = 50_000  # a listing that goes on after this is a loop


class Key(Struct):
    """What an object is known by: versions have a number only, people an account."""

    id: Any = None
    number: Any = None
    accountId: str | None = None
    userKey: str | None = None

    @property
    def one(self) -> Any:
        known = (self.id, self.number, self.accountId, self.userKey)
        return next((value for value in known if value is not None), None)


_key, _page = decoder(Key), decoder(Page)


class CursorRefused(SourceUnavailable):
    """A cursor is invalid or expired: the listing starts again."""


def key_of(body: Raw) -> Any:
    one = _key(body).one
    return bytes(body) if one is None else one


def by_cursor(web: Web, rest: str, params: dict[str, Any], tries: Tries | None = None) -> Iterator[list[Raw]]:
    """Everything once, page by page; a page may be empty, and need not be the last then.

    Raises:
        SourceUnavailable: a cursor came again, or was refused again and again: the listing is not whole.
    """
    seen: set[Any] = set()
    for turn in range(RESTARTS + 1):
        try:
            for page in _pages(web, rest, params, tries):
                fresh = [(key, body) for body in page if (key := key_of(body)) not in seen]
                seen.update(key for key, _ in fresh)
                yield [body for _, body in fresh]
            return
        except CursorRefused:
            if turn == RESTARTS:
                raise


def _pages(web: Web, rest: str, params: dict[str, Any], tries: Tries | None) -> Iterator[list[Raw]]:
    page = web.page(rest, params, tries)
    yield page.results
    followed: set[str] = set()
    while page.links.next:
        if page.links.next in followed or len(followed) > MOST_PAGES:
            raise SourceUnavailable(f"{rest}: the same cursor came twice: the listing would never end")
        followed.add(page.links.next)
        try:
            page = web.client.get(verbatim(web, page.links.next), _page, None, tries)
        except BadRequest as error:
            raise CursorRefused(f"{rest}: a cursor was refused: {error}") from None
        yield page.results


def verbatim(web: Web, link: str) -> str:
    """v2's links begin with the context path, v1's do not."""
    return link if not web.root or link.startswith(f"{web.root}/") else f"{web.root}{link}"


def by_offset(web: Web, rest: str, params: dict[str, Any], most: int) -> list[Raw]:
    """Short lists that hardly move. The server may cut pages without a word, and its own next `start` may be too small."""
    found: dict[Any, Raw] = {}
    start = 0
    while True:
        page = web.page(rest, {**params, "start": start, "limit": most})
        found.update((key_of(body), body) for body in page.results)
        start += len(page.results)
        if not page.results or not page.links.next:
            return list(found.values())
