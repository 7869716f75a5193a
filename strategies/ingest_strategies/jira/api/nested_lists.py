"""Completes the lists inside an issue: Jira truncates them, and only their `total` shows it."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future

import msgspec
from msgspec import Raw, Struct

from ingest_ray.http.errors import NotThere
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.jira.api.client import IssueSelection, JiraClient
from ingest_strategies.jira.api.responses import ValuePage


class ListLength(Struct, gc=False):
    """A list in an issue with its declared length; the items stay undecoded."""

    total: int | None = None
    comments: list[Raw] | None = None
    worklogs: list[Raw] | None = None
    histories: list[Raw] | None = None

    @property
    def items(self) -> list[Raw]:
        return self.comments or self.worklogs or self.histories or []

    @property
    def is_truncated(self) -> bool:
        return len(self.items) < (self.total or 0)


class FieldLengths(Struct, gc=False):
    comment: ListLength | None = None
    worklog: ListLength | None = None


class ListLengths(Struct, gc=False):
    fields: FieldLengths | None = None
    changelog: ListLength | None = None


_lengths = decoder(ListLengths)
Members = dict[str, Raw]
"""A JSON object whose values stay undecoded."""
_members = decoder(Members)
_length, _values, _text = decoder(ListLength), decoder(ValuePage), decoder(str)
_encode = msgspec.json.encode
PAGES_AHEAD = 8  # of bodies that wait for their lists: less than 10 MB, mostly
MOST_EMPTY_PAGES = 2
MOST_ITEMS = 100  # comments and histories per page; worklogs come by 5000


def is_truncated(issue: Raw, selection: IssueSelection) -> bool:
    """True where one of the selected lists is longer than its items in the issue."""
    if not selection.lists:
        return False
    lengths = attempted(_lengths, issue)
    if lengths is None:
        return False  # an odd issue: whatever can be stored of it is stored as it came
    fields = lengths.fields or FieldLengths()
    by_name = {"comment": fields.comment, "worklog": fields.worklog, "changelog": lengths.changelog}
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
    fields = attempted(_members, members["fields"], {}) if "fields" in members else {}
    issue_id = attempted(_text, members.get("id", Raw(b"null")))
    if issue_id is None:
        return issue
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
    """The complete list in its envelope; None where the embedded one is complete.

    `total` above the number of items says that the list is cut: the site declares more items than it gives.
    """
    length = attempted(_length, embedded)
    if length is None or not length.is_truncated:
        return None
    key = {"comment": "comments", "worklog": "worklogs"}.get(name, "histories")
    items, total = read_list(client, f"issue/{issue_id}/{name}", is_values=name == "changelog")
    if len(items) < len(length.items):
        return None  # the issue, or the list, went away meanwhile: what was embedded stays
    envelope = _members(embedded) | {
        key: Raw(_encode(items)),
        "total": Raw(str(total).encode()),
        "maxResults": Raw(str(len(items)).encode()),
        "startAt": Raw(b"0"),
    }
    return Raw(_encode(envelope))


def read_list(client: JiraClient, rest: str, *, is_values: bool) -> tuple[list[Raw], int]:
    """Reads a list page by page: its items, and its declared length. A list that was deleted meanwhile is empty.

    A page that is empty twice ends it: totals were seen that count an item which the site does not give.
    """
    items: list[Raw] = []
    empty_pages = 0
    most = 5000 if rest.endswith("/worklog") else MOST_ITEMS
    while True:
        params = {"startAt": len(items), "maxResults": most}
        try:
            if is_values:
                values = client.get(rest, _values, params)
                page, total = values.values, values.total or 0
            else:
                length = client.get(rest, _length, params)
                page, total = length.items, length.total or 0
        except NotThere:
            return [], 0
        items += page
        empty_pages = 0 if page else empty_pages + 1
        if len(items) >= total or empty_pages == MOST_EMPTY_PAGES:
            return items, max(total, len(items))
