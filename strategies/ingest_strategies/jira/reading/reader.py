"""Reads one slice: the objects of its window, as batches of the declared schema."""

from collections.abc import Callable, Container, Iterator, Sequence

import pyarrow as pa
from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Dataset, Interval, Slice, UnitSpec
from ingest_strategies.atlassian.batches import slice_batches
from ingest_strategies.atlassian.id_lists import decode_ids
from ingest_strategies.atlassian.instants import instant, instant_of_ms
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.jira.api.client import Api, IssueSelection, IssueSet, UnreadableIssue
from ingest_strategies.jira.api.jql import BY_ID, filter_conditions, updated_from_conditions, window
from ingest_strategies.jira.api.responses import CommentPage, WorklogPage
from ingest_strategies.jira.discovery import list_bodies
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import DELETED_WORKLOGS
from ingest_strategies.jira.reading.deletion_feed import read_deletions
from ingest_strategies.jira.reading.rows import Item, RowBuilder, raw_of
from ingest_strategies.jira.tables import CHANGELOGS, COMMENTS, ISSUES, TABLES, WORKLOGS

MOST_UNREADABLE = 10  # of a slice in which nothing could be read: more than that is the site's fault, not the issues'
PREVIEWED = 20  # issues at a time

SELECTIONS = {
    ISSUES.name: IssueSelection(("*all",), ("comment", "worklog")),
    COMMENTS.name: IssueSelection(("comment", "project"), ("comment",)),
    WORKLOGS.name: IssueSelection(("worklog", "project"), ("worklog",)),
}


class ProjectKey(Struct):
    key: str | None = None


class ProjectField(Struct):
    project: ProjectKey | None = None


class IssueHead(Struct):
    fields: ProjectField | None = None


class ListField(Struct):
    comment: CommentPage | None = None
    worklog: WorklogPage | None = None


class IssueLists(Struct):
    id: str
    key: str
    fields: ListField | None = None


class HistoryHead(Struct):
    """`created` is text in one endpoint and epoch milliseconds in the other."""

    created: str | int | None = None


_head, _lists, _history = decoder(IssueHead), decoder(IssueLists), decoder(HistoryHead)


def comments_of(body: Raw) -> list[Item]:
    issue = _lists(body)
    context = {"issue.id": issue.id, "issue.key": issue.key}
    comments = issue.fields.comment if issue.fields else None
    return [Item(comment, context) for comment in (comments and comments.comments) or ()]


def worklogs_of(body: Raw) -> list[Item]:
    issue = _lists(body)
    context = {"issue.id": issue.id, "issue.key": issue.key}
    worklogs = issue.fields.worklog if issue.fields else None
    return [Item(worklog, context) for worklog in (worklogs and worklogs.worklogs) or ()]


ITEMS_OF_ISSUE: dict[str, Callable[[Raw], list[Item]]] = {
    ISSUES.name: lambda body: [Item(body, {})],
    COMMENTS.name: comments_of,
    WORKLOGS.name: worklogs_of,
}


def history_item(issue_id: str, body: Raw) -> Item:
    """An entry without a time, or with an odd one, is a row without `created`, which goes to quarantine alone."""
    head = attempted(_history, body)
    created = head.created if head else None
    try:
        created_at = instant(created) if isinstance(created, str) else instant_of_ms(created) if created else None
    except ValueError:
        created_at = None
    return Item(body, {"issue.id": issue_id, "log.created": created_at})


def read_slice(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
    return slice_batches(
        read_items(api, spec, piece, context),
        piece,
        context,
        RowBuilder(spec.dataset, context.schema).batch,
        bytes_of=lambda item: len(item.body),
        count=count_issues,
        is_divisible=is_divisible_slice(piece),
    )


def count_issues(items: Sequence[Item]) -> int:
    return len({item.context.get("issue.id", index) for index, item in enumerate(items)})


def is_divisible_slice(piece: Slice) -> bool:
    lower, upper = piece.interval.lower, piece.interval.upper
    if piece.axis.kind == "whole":
        return False
    if piece.axis.columns == (BY_ID,):
        return " " in str(piece.hints.get("ids", ""))
    return lower is None or upper is None or int(upper[0]) - int(lower[0]) > MINUTE_MS


def read_items(api: Api, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[list[Item]]:
    name = spec.dataset.name
    if piece.segment == DELETED_WORKLOGS:
        return read_deletions(api, piece)
    if TABLES[name].cursor is None:
        return ([Item(body, {})] for body in list_bodies(api, name))
    issues = issue_set(api, spec, piece)
    if name == CHANGELOGS.name:
        return read_history_items(api, issues)
    return read_issue_items(api, spec, piece, issues, context)


def issue_set(api: Api, spec: UnitSpec, piece: Slice) -> IssueSet:
    """The issues of a slice: its window, or the ids that it names."""
    unit_filter, axis = filter_of(spec), piece.axis.columns[0]
    conditions = filter_conditions(api.client.config, unit_filter)
    if piece.axis.kind == "key":
        conditions += updated_from_conditions(unit_filter)
    where = window(piece.segment, axis, piece.interval if axis != BY_ID else Interval(), conditions)
    lower, upper = piece.interval.lower, piece.interval.upper
    if lower is not None and lower == upper:
        return IssueSet(where, ids=())
    listed, expected = piece.hints.get("ids"), piece.hints.get("issues")
    return IssueSet(
        where,
        ids=tuple(decode_ids(listed)) if isinstance(listed, str) else None,
        expected=expected if isinstance(expected, int) else None,
    )


def read_history_items(api: Api, issues: IssueSet) -> Iterator[list[Item]]:
    for page in api.read_changelogs(issues):
        yield [history_item(issue_id, body) for issue_id, histories in page for body in histories]


def read_issue_items(
    api: Api, spec: UnitSpec, piece: Slice, issues: IssueSet, context: ReadContext
) -> Iterator[list[Item]]:
    """Rows of issues or of their children. Then sends unreadable issues to quarantine, unless nothing else was in the slice."""
    name = spec.dataset.name
    allowed = allowed_projects(api, spec)
    unreadable: list[UnreadableIssue] = []
    count = 0
    for page in api.read_issues(issues, SELECTIONS[name], unreadable):
        count += len(page)
        yield [item for body in page if is_allowed(body, allowed) for item in items_of(name, body, context)]
    if not count and len(unreadable) > MOST_UNREADABLE:
        raise SourceUnavailable(
            f"{piece.slice_id}: none of {len(unreadable)} issues can be read: {unreadable[0].reason}"
        )
    for issue in unreadable:
        context.reject({"id": issue.id, "key": issue.key}, f"the issue cannot be read: {issue.reason}", None)


def items_of(name: str, body: Raw, context: ReadContext) -> list[Item]:
    """The items of one issue. An issue whose lists are odd goes to quarantine alone."""
    try:
        return ITEMS_OF_ISSUE[name](body)
    except BrokenAnswer as error:
        context.reject(raw_of(Item(body, {})), error.message, None)
        return []


def is_allowed(body: Raw, allowed: Container[str]) -> bool:
    """An issue whose project cannot be told is for its row to judge."""
    head = attempted(_head, body)
    project = head.fields.project if head and head.fields else None
    return not allowed or project is None or project.key in allowed


def allowed_projects(api: Api, spec: UnitSpec) -> set[str]:
    """The projects to read; empty: every project. An issue may move to another project while it is read."""
    by_filter, by_config = set(filter_of(spec).projectKeys), set(api.client.config.project_keys)
    return by_filter & by_config if by_filter and by_config else by_filter or by_config


def read_first_items(api: Api, dataset: Dataset, limit: int) -> list[Item]:
    """Some rows of a dataset, for its preview."""
    name = dataset.name
    if TABLES[name].cursor is None:
        return [Item(body, {}) for body, _ in zip(list_bodies(api, name), range(limit), strict=False)]
    items: list[Item] = []
    where = " AND ".join(["updated >= 0", *filter_conditions(api.client.config, JiraFilter())])
    ids = api.find_first_ids(where, max(limit, PREVIEWED))
    for part in chunked(ids, PREVIEWED):
        issues = IssueSet(where, ids=tuple(part))
        if name == CHANGELOGS.name:
            items += [item for page in read_history_items(api, issues) for item in page]
        else:
            pages = api.read_issues(issues, SELECTIONS[name], [])
            items += [item for page in pages for body in page for item in attempted(ITEMS_OF_ISSUE[name], body, ())]
        if len(items) >= limit:
            break
    return items[:limit]
