"""Lists that come in pages by `startAt`: of values, and of issues."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.jira.api.client import JiraClient
from ingest_strategies.jira.api.responses import Id, IssuePage, ValuePage

MOST_LISTED = 1_000_000  # a longer list is a loop
MOST_READINGS = 3
_values, _issues, _id = decoder(ValuePage), decoder(IssuePage), decoder(Id)


class RequestPage(Struct, gc=False):
    values: list[Raw]
    isLastPage: bool | None = None


_request_values = decoder(RequestPage)


def list_values(client: JiraClient, rest: str, params: Mapping[str, Any], most: int = 100) -> Iterator[Raw]:
    """Every value. `rest` is below the root of the API, or a path of the site.

    Raises:
        BrokenAnswer: a page is empty and not the last one.
    """
    start = 0
    while start < MOST_LISTED:
        page = client.http.get(_path(client, rest), _values, {**params, "startAt": start, "maxResults": most})
        yield from page.values
        start += len(page.values)
        if page.isLast or (page.isLast is None and start >= (page.total or 0)):
            return
        if not page.values:
            raise BrokenAnswer(f"{rest}: {start} of {page.total} came, then an empty page")
    raise BrokenAnswer(f"{rest}: the list would never end")


def list_issues(client: JiraClient, rest: str) -> list[Raw]:
    """Ids and keys of issues by offset, each once. The set may change between two pages, which shifts the offsets: it is read again
    until as many came as its total says.

    Raises:
        SourceUnavailable: the set changes too fast to be read.
    """
    seen: dict[str, Raw] = {}
    for _ in range(MOST_READINGS):
        start, total = 0, 1
        while start < total:
            page = client.http.get(
                _path(client, rest), _issues, {"startAt": start, "maxResults": 50, "fields": "project"}
            )
            seen.update((_id(body).id, body) for body in page.issues)
            start, total = start + len(page.issues), page.total or 0
            if not page.issues and start < total:
                raise BrokenAnswer(f"{rest}: {start} of {total} issues came, then an empty page")
        if len(seen) >= total:
            return list(seen.values())
    raise SourceUnavailable(f"{rest}: {len(seen)} of {total} issues came; the list changes too fast to be read")


def _path(client: JiraClient, rest: str) -> str:
    return rest if rest.startswith("/") else client.path(rest)


def list_cursored(client: JiraClient, path: str) -> Iterator[Raw]:
    """Every value of a list of Jira Service Management, which has `start`, `limit` and `isLastPage`."""
    start = 0
    while start < MOST_LISTED:
        page = client.http.get(path, _request_values, {"start": start, "limit": 50})
        yield from page.values
        start += len(page.values)
        if page.isLastPage or (page.isLastPage is None and not page.values):
            return
        if not page.values:
            raise BrokenAnswer(f"{path}: {start} came, then an empty page that is not the last")
    raise BrokenAnswer(f"{path}: the list would never end")
