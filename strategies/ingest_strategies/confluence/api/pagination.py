"""Reads listings to their end. By cursor: only an answer without `_links.next` ends a listing."""

from collections.abc import Iterator
from typing import Any

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BadRequest
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.confluence.api.client import ConfluenceClient

RESTARTS = 3  # of a listing whose cursor is refused
MOST_PAGES = 50_000  # a longer listing is a loop


class Identity(Struct, gc=False):
    """What identifies an object: versions have a number only, people an account."""

    id: Any = None
    number: Any = None
    accountId: str | None = None
    userKey: str | None = None

    @property
    def value(self) -> Any:
        candidates = (self.id, self.number, self.accountId, self.userKey)
        return next((value for value in candidates if value is not None), None)


_identity = decoder(Identity)


class CursorRefused(SourceUnavailable):
    """A cursor is invalid or expired: the listing must start again."""


def identity_of(body: Raw) -> Any:
    value = _identity(body).value
    return bytes(body) if value is None else value


def by_cursor(
    client: ConfluenceClient, rest: str, params: dict[str, Any], tries: Tries | None = None
) -> Iterator[list[Raw]]:
    """Everything once, page by page; an empty page need not be the last.

    Raises:
        SourceUnavailable: a cursor came again, or was refused again and again: the listing is not complete.
    """
    seen: set[Any] = set()
    for attempt in range(RESTARTS + 1):
        try:
            for page in _pages(client, rest, params, tries):
                new = [(identity, body) for body in page if (identity := identity_of(body)) not in seen]
                seen.update(identity for identity, _ in new)
                yield [body for _, body in new]
            return
        except CursorRefused:
            if attempt == RESTARTS:
                raise


def _pages(client: ConfluenceClient, rest: str, params: dict[str, Any], tries: Tries | None) -> Iterator[list[Raw]]:
    page = client.read_page(rest, params, tries)
    yield page.results
    followed: set[str] = set()
    while page.links.next:
        if page.links.next in followed or len(followed) > MOST_PAGES:
            raise SourceUnavailable(f"{rest}: the same cursor came twice: the listing would never end")
        followed.add(page.links.next)
        try:
            page = client.follow_link(page.links.next, tries)
        except BadRequest as error:
            raise CursorRefused(f"{rest}: a cursor was refused: {error}") from None
        yield page.results


def by_offset(client: ConfluenceClient, rest: str, params: dict[str, Any], most: int) -> list[Raw]:
    """For short lists that hardly change. The server may cut pages silently, and its own next `start` may be too small."""
    by_identity: dict[Any, Raw] = {}
    start = 0
    while True:
        page = client.read_page(rest, {**params, "start": start, "limit": most})
        by_identity.update((identity_of(body), body) for body in page.results)
        start += len(page.results)
        if not page.results or not page.links.next:
            return list(by_identity.values())
