"""Completes the lists inside an issue: Jira truncates them, and only their `total` shows it."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_strategies.jira.api.client import IssueSelection, JiraClient
from ingest_strategies.jira.api.responses import CommentPage, Histories, ValuePage, WorklogPage, decoder


class ListLength(Struct):
    """A list in an issue with its declared length; the items stay undecoded."""

    total: int = 0
    comments: list[Raw] = []
    worklogs: list[Raw] = []
    histories: list[Raw] = []

    @property
    def is_truncated(self) -> bool:
        return max(len(self.comments), len(self.worklogs), len(self.histories)) < self.total


class FieldLengths(Struct):
    comment: ListLength | None = None
    worklog: ListLength | None = None


class ListLengths(Struct):
    fields: FieldLengths = msgspec.field(default_factory=FieldLengths)
    changelog: ListLength | None = None


_lengths = decoder(ListLengths)
Members = dict[str, Raw]
"""A JSON object whose values stay undecoded."""
_members = decoder(Members)
_comments, _worklogs = decoder(CommentPage), decoder(WorklogPage)
_histories, _values = decoder(Histories), decoder(ValuePage)
_encode = msgspec.json.encode
PAGES_AHEAD = 8  # of bodies that wait for their lists: less than 10 MB, mostly
MOST_ITEMS = 100  # comments and histories per page; worklogs come by 5000


def is_truncated(issue: Raw, selection: IssueSelection) -> bool:
    """True where one of the selected lists is longer than its items in the issue."""
    if not selection.lists:
        return False
    lengths = _lengths(issue)
    by_name = {"comment": lengths.fields.comment, "worklog": lengths.fields.worklog, "changelog": lengths.changelog}
    return any(length is not None and length.is_truncated for name in selection.lists if (length := by_name[name]))


def complete_pages(client: JiraClient, pages: Iterator[list[Raw]], selection: IssueSelection) -> Iterator[list[Raw]]:
    """Pages in their order, with all selected lists complete; fetches the lists of several pages concurrently."""
    waiting: deque[tuple[list[Raw], dict[int, Future[Raw]]]] = deque()

    def take_first() -> list[Raw]:
        page, futures = waiting.popleft()
        for index, future in futures.items():
            page[index] = future.result()
        return page

    try:
        for page in pages:
            truncated = [index for index, body in enumerate(page) if is_truncated(body, selection)]
            futures = {index: client.pool.submit(complete_issue, client, page[index], selection) for index in truncated}
            waiting.append((page, futures))
            while len(waiting) > PAGES_AHEAD or (waiting and all(future.done() for future in waiting[0][1].values())):
                yield take_first()
        while waiting:
            yield take_first()
    finally:
        for _, futures in waiting:
            for future in futures.values():
                future.cancel()


def complete_issue(client: JiraClient, issue: Raw, selection: IssueSelection) -> Raw:
    """The issue with all selected lists complete; the very same bytes where nothing was truncated."""
    members = _members(issue)
    fields = _members(members["fields"]) if "fields" in members else {}
    issue_id = msgspec.json.decode(members["id"], type=str)
    changed: Members = {}
    for name in selection.lists:
        if name != "changelog" and name in fields:
            complete = complete_list(client, issue_id, name, fields[name])
            changed |= {name: complete} if complete is not None else {}
    if changed:
        members["fields"] = Raw(_encode(fields | changed))
    if "changelog" in selection.lists and "changelog" in members:
        complete = complete_list(client, issue_id, "changelog", members["changelog"])
        members |= {"changelog": complete} if complete is not None else {}
        changed |= members if complete is not None else {}
    return Raw(_encode(members)) if changed else issue


def complete_list(client: JiraClient, issue_id: str, name: str, embedded: Raw) -> Raw | None:
    """The complete list in its envelope; None where the embedded one is complete."""
    match name:
        case "comment":
            page: Any = _comments(embedded)
            items, decode, key = page.comments, lambda b: ((p := _comments(b)).comments, p.total), "comments"
        case "worklog":
            page = _worklogs(embedded)
            items, decode, key = page.worklogs, lambda b: ((p := _worklogs(b)).worklogs, p.total), "worklogs"
        case _:
            page = _histories(embedded)
            items, decode, key = page.histories, lambda b: ((p := _values(b)).values, p.total or 0), "histories"
    if len(items) >= page.total:
        return None
    items = read_list(client, f"issue/{issue_id}/{name}", decode)
    length = Raw(str(len(items)).encode())
    envelope = _members(embedded) | {
        key: Raw(_encode(items)),
        "total": length,
        "maxResults": length,
        "startAt": Raw(b"0"),
    }
    return Raw(_encode(envelope))


def read_list(client: JiraClient, rest: str, decode: Callable[[bytes], tuple[list[Raw], int]]) -> list[Raw]:
    """Reads a list page by page up to its declared length. A list that was deleted meanwhile is empty.

    Raises:
        BrokenAnswer: it ends before.
    """
    items: list[Raw] = []
    most = 5000 if rest.endswith("/worklog") else MOST_ITEMS
    while True:
        try:
            page, total = client.get(rest, decode, {"startAt": len(items), "maxResults": most})
        except NotThere:
            return []
        items += page
        if len(items) >= total:
            return items
        if not page:
            raise BrokenAnswer(f"{rest}: {len(items)} of {total} came, then an empty page")
