"""The lists inside of an issue, made whole: Jira cuts them and says so only by `total`."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_strategies.jira.api.client import Wanted, Web
from ingest_strategies.jira.api.responses import CommentPage, Histories, ValuePage, WorklogPage, decoder


class Length(Struct):
    """A list in an issue, and how long it says it is; the items are not looked at."""

    total: int = 0
    comments: list[Raw] = []
    worklogs: list[Raw] = []
    histories: list[Raw] = []

    @property
    def is_cut(self) -> bool:
        return max(len(self.comments), len(self.worklogs), len(self.histories)) < self.total


class Inner(Struct):
    comment: Length | None = None
    worklog: Length | None = None


class Cuttable(Struct):
    fields: Inner = msgspec.field(default_factory=Inner)
    changelog: Length | None = None


_cuttable = decoder(Cuttable)
Parts = dict[str, Raw]
_parts = decoder(Parts)
_comments, _worklogs = decoder(CommentPage), decoder(WorklogPage)
_histories, _values = decoder(Histories), decoder(ValuePage)
_encode = msgspec.json.encode
PAGES_AHEAD = 8  # of bodies that wait for their lists: less than 10 MB, mostly
MOST_LIST = 100  # comments and histories; worklogs come by 5000


def is_cut(issue: Raw, wanted: Wanted) -> bool:
    """One of its wanted lists is longer than what came of it."""
    if not wanted.lists:
        return False
    found = _cuttable(issue)
    named = {"comment": found.fields.comment, "worklog": found.fields.worklog, "changelog": found.changelog}
    return any(length is not None and length.is_cut for name in wanted.lists if (length := named[name]))


def all_whole(web: Web, pages: Iterator[list[Raw]], wanted: Wanted) -> Iterator[list[Raw]]:
    """Pages in their order, each when all of its lists are whole; the lists of several pages are fetched at once."""
    waiting: deque[tuple[list[Raw], dict[int, Future[Raw]]]] = deque()

    def finished() -> list[Raw]:
        page, futures = waiting.popleft()
        for place, future in futures.items():
            page[place] = future.result()
        return page

    try:
        for page in pages:
            cut = [place for place, body in enumerate(page) if is_cut(body, wanted)]
            waiting.append((page, {place: web.pool.submit(whole, web, page[place], wanted) for place in cut}))
            while len(waiting) > PAGES_AHEAD or (waiting and all(one.done() for one in waiting[0][1].values())):
                yield finished()
        while waiting:
            yield finished()
    finally:
        for _, futures in waiting:
            for future in futures.values():
                future.cancel()


def whole(web: Web, issue: Raw, wanted: Wanted) -> Raw:
    """The issue with all of its wanted lists; the very same bytes where nothing was cut."""
    parts = _parts(issue)
    fields = _parts(parts["fields"]) if "fields" in parts else {}
    number = msgspec.json.decode(parts["id"], type=str)
    changed: Parts = {}
    for name in wanted.lists:
        if name != "changelog" and name in fields:
            better = completed(web, number, name, fields[name])
            changed |= {name: better} if better is not None else {}
    if changed:
        parts["fields"] = Raw(_encode(fields | changed))
    if "changelog" in wanted.lists and "changelog" in parts:
        better = completed(web, number, "changelog", parts["changelog"])
        parts |= {"changelog": better} if better is not None else {}
        changed |= parts if better is not None else {}
    return Raw(_encode(parts)) if changed else issue


def completed(web: Web, number: str, name: str, given: Raw) -> Raw | None:
    """The whole list in its envelope; None where it was whole already."""
    match name:
        case "comment":
            page: Any = _comments(given)
            have, read, key = page.comments, lambda b: ((p := _comments(b)).comments, p.total), "comments"
        case "worklog":
            page = _worklogs(given)
            have, read, key = page.worklogs, lambda b: ((p := _worklogs(b)).worklogs, p.total), "worklogs"
        case _:
            page = _histories(given)
            have, read, key = page.histories, lambda b: ((p := _values(b)).values, p.total or 0), "histories"
    if len(have) >= page.total:
        return None
    items = fetched(web, f"issue/{number}/{name}", read)
    envelope = _parts(given) | {
        key: Raw(_encode(items)),
        "total": Raw(str(len(items)).encode()),
        "maxResults": Raw(str(len(items)).encode()),
        "startAt": Raw(b"0"),
    }
    return Raw(_encode(envelope))


def fetched(web: Web, rest: str, read: Callable[[bytes], tuple[list[Raw], int]]) -> list[Raw]:
    """A list read page by page until it is as long as it says. One that vanished meanwhile is empty.

    Raises:
        BrokenAnswer: it ends before.
    """
    items: list[Raw] = []
    most = 5000 if rest.endswith("/worklog") else MOST_LIST
    while True:
        try:
            page, total = web.get(rest, read, {"startAt": len(items), "maxResults": most})
        except NotThere:
            return []
        items += page
        if len(items) >= total:
            return items
        if not page:
            raise BrokenAnswer(f"{rest}: {len(items)} of {total} came, then nothing")
