"""Reads one slice: the objects of its window, as batches of the declared schema."""

from collections.abc import Callable, Iterator

import pyarrow as pa
from msgspec import Raw, Struct

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SliceTooLarge, SourceUnavailable
from ingest_ray.sdk.types import Dataset, Slice, UnitSpec
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.jira.api.client import Api, Suspect, Wanted
from ingest_strategies.jira.api.jql import kept, window
from ingest_strategies.jira.api.responses import CommentPage, WorklogPage, decoder, instant, instant_of_ms
from ingest_strategies.jira.discovery import bodies
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import DELETED
from ingest_strategies.jira.reading.deletion_feed import deletions
from ingest_strategies.jira.reading.rows import Item, RowMaker
from ingest_strategies.jira.reading.value_types import Project
from ingest_strategies.jira.tables import CHANGELOGS, COMMENTS, ISSUES, TABLES, WORKLOGS

MOST_SUSPECTS = 10  # of a slice in which nothing could be read: more than that is the site's fault, not the issues'
PREVIEWED = 20  # issues at a time

WANTED = {
    ISSUES.name: Wanted(("*all",), ("comment", "worklog")),
    COMMENTS.name: Wanted(("comment", "project"), ("comment",)),
    WORKLOGS.name: Wanted(("worklog", "project"), ("worklog",)),
}


class Place(Struct):
    project: Project | None = None


class Head(Struct):
    id: str
    key: str
    fields: Place


class Commented(Struct):
    comment: CommentPage


class Logged(Struct):
    worklog: WorklogPage


class IssueComments(Struct):
    id: str
    key: str
    fields: Commented


class IssueWorklogs(Struct):
    id: str
    key: str
    fields: Logged


class Made(Struct):
    created: str | int


_head, _comments, _worklogs, _made = decoder(Head), decoder(IssueComments), decoder(IssueWorklogs), decoder(Made)


def comments_of(body: Raw) -> list[Item]:
    found = _comments(body)
    told = {"issue.id": found.id, "issue.key": found.key}
    return [Item(comment, told) for comment in found.fields.comment.comments]


def worklogs_of(body: Raw) -> list[Item]:
    found = _worklogs(body)
    told = {"issue.id": found.id, "issue.key": found.key}
    return [Item(worklog, told) for worklog in found.fields.worklog.worklogs]


ITEMS: dict[str, Callable[[Raw], list[Item]]] = {
    ISSUES.name: lambda body: [Item(body, {})],
    COMMENTS.name: comments_of,
    WORKLOGS.name: worklogs_of,
}


def history_of(issue_id: str, body: Raw) -> Item:
    """`created` is text in one endpoint and epoch milliseconds in the other."""
    created = _made(body).created
    moment = instant(created) if isinstance(created, str) else instant_of_ms(created)
    return Item(body, {"issue.id": issue_id, "log.created": moment})


def read(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    maker = RowMaker(spec.dataset, context.schema)
    pages = found_items(api, spec, piece, context)
    is_divisible = is_wide(piece)
    held: list[Item] = []
    held_bytes = total_bytes = issues = 0
    for items in pages:
        held += items
        size = sum(len(item.body) for item in items)
        held_bytes, total_bytes, issues = held_bytes + size, total_bytes + size, issues + issues_in(items)
        if total_bytes > context.budget_bytes and is_divisible:
            # What the planner divides by are issues, whatever the rows are.
            raise SliceTooLarge(f"{piece.slice_id}: {total_bytes} bytes", bytes_per_row=total_bytes / max(1, issues))
        if held_bytes >= context.page_bytes:
            yield maker.batch(held, context.reject)
            held, held_bytes = [], 0
    yield maker.batch(held, context.reject)


def issues_in(items: list[Item]) -> int:
    return len({item.told.get("issue.id", place) for place, item in enumerate(items)})


def is_wide(piece: Slice) -> bool:
    lower, upper = piece.interval.lower, piece.interval.upper
    if piece.axis.kind == "whole":
        return False
    return lower is None or upper is None or int(upper[0]) - int(lower[0]) > MINUTE_MS


def found_items(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[list[Item]]:
    name = spec.dataset.name
    if piece.segment == DELETED:
        return deletions(api, piece)
    if TABLES[name].cursor is None:
        return ([Item(body, {})] for body in bodies(api, name))
    chosen = filter_of(spec)
    conditions = kept(api.web.config, chosen)
    axis = piece.axis.columns[0]
    if piece.axis.kind == "key" and chosen.updated_from_ms is not None:
        conditions.append(f"updated >= {chosen.updated_from_ms // MINUTE_MS * MINUTE_MS}")
    where = window(piece.segment, axis, piece.interval, conditions)
    if name == CHANGELOGS.name:
        return ([history_of(number, body) for number, logs in page for body in logs] for page in api.logs(where))
    return issue_items(api, spec, piece, where, context)


def issue_items(api: Api, spec: UnitSpec, piece: Slice, where: str, context: ReadContext) -> Iterator[list[Item]]:
    """Rows of issues, or of what hangs on them; then the issues that cannot be read go to quarantine, if they are few."""
    name = spec.dataset.name
    allowed = allowed_projects(api, spec)
    suspects: list[Suspect] = []
    issues = 0
    for page in api.issues(where, WANTED[name], suspects):
        issues += len(page)
        if allowed:
            page = [body for body in page if (place := _head(body).fields.project) is None or place.key in allowed]
        yield [item for body in page for item in ITEMS[name](body)]
    expected = piece.hints.get("issues")
    if isinstance(expected, int) and issues < expected:
        api.web.myself()  # fewer than counted: moved on, deleted, or the login was lost without a word
    if not issues and len(suspects) > MOST_SUSPECTS:
        raise SourceUnavailable(f"{piece.slice_id}: none of {len(suspects)} issues can be read: {suspects[0].reason}")
    for one in suspects:
        context.reject({"id": one.id, "key": one.key}, f"the issue cannot be read: {one.reason}", None)


def allowed_projects(api: Api, spec: UnitSpec) -> set[str]:
    """An issue that moved while it was read may be in a project that is not to be read. Empty: every project is."""
    chosen, all_keys = set(filter_of(spec).projectKeys), set(api.web.config.project_keys)
    return chosen & all_keys if chosen and all_keys else chosen or all_keys


def first_items(api: Api, dataset: Dataset, limit: int) -> list[Item]:
    """Some rows of a dataset, for people to look at."""
    name = dataset.name
    if TABLES[name].cursor is None:
        return [Item(body, {}) for body, _ in zip(bodies(api, name), range(limit), strict=False)]
    found: list[Item] = []
    conditions = ["updated >= 0", *kept(api.web.config, JiraFilter())]
    ids = next(api.ids(" AND ".join(conditions)))
    for start in range(0, len(ids), PREVIEWED):
        where = f"id in ({', '.join(map(str, ids[start : start + PREVIEWED]))})"
        if name == CHANGELOGS.name:
            found += [history_of(number, body) for page in api.logs(where) for number, logs in page for body in logs]
        else:
            pages = api.issues(where, WANTED[name], [])
            found += [item for page in pages for body in page for item in ITEMS[name](body)]
        if len(found) >= limit:
            break
    return found[:limit]
