"""Reads one slice: the objects of its window, as batches of the declared schema."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from msgspec import Raw, Struct

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Dataset, Interval, Slice, UnitSpec
from ingest_strategies.atlassian.batches import slice_batches
from ingest_strategies.atlassian.id_lists import decode_ids
from ingest_strategies.atlassian.instants import instant, instant_of_ms
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.jira.api.client import Api, IssueSelection, IssueSet, UnreadableIssue
from ingest_strategies.jira.api.jql import BY_ID, filter_conditions, updated_from_conditions, window
from ingest_strategies.jira.api.responses import CommentPage, WorklogPage, decoder
from ingest_strategies.jira.discovery import list_bodies
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import DELETED_WORKLOGS
from ingest_strategies.jira.reading.deletion_feed import read_deletions
from ingest_strategies.jira.reading.rows import Item, RowBuilder
from ingest_strategies.jira.reading.value_types import Project
from ingest_strategies.jira.tables import CHANGELOGS, COMMENTS, ISSUES, TABLES, WORKLOGS

MOST_UNREADABLE = 10  # of a slice in which nothing could be read: more than that is the site's fault, not the issues'
PREVIEWED = 20  # issues at a time

SELECTIONS = {
    ISSUES.name: IssueSelection(("*all",), ("comment", "worklog")),
    COMMENTS.name: IssueSelection(("comment", "project"), ("comment",)),
    WORKLOGS.name: IssueSelection(("worklog", "project"), ("worklog",)),
}


class ProjectField(Struct):
    project: Project | None = None


class IssueHead(Struct):
    id: str
    key: str
    fields: ProjectField


class CommentField(Struct):
    comment: CommentPage


class WorklogField(Struct):
    worklog: WorklogPage


class IssueComments(Struct):
    id: str
    key: str
    fields: CommentField


class IssueWorklogs(Struct):
    id: str
    key: str
    fields: WorklogField


class HistoryHead(Struct):
    """`created` is text in one endpoint and epoch milliseconds in the other."""

    created: str | int


_head, _comments, _worklogs = decoder(IssueHead), decoder(IssueComments), decoder(IssueWorklogs)
_history = decoder(HistoryHead)


def comments_of(body: Raw) -> list[Item]:
    issue = _comments(body)
    context = {"issue.id": issue.id, "issue.key": issue.key}
    return [Item(comment, context) for comment in issue.fields.comment.comments]


def worklogs_of(body: Raw) -> list[Item]:
    issue = _worklogs(body)
    context = {"issue.id": issue.id, "issue.key": issue.key}
    return [Item(worklog, context) for worklog in issue.fields.worklog.worklogs]


ITEMS_OF_ISSUE: dict[str, Callable[[Raw], list[Item]]] = {
    ISSUES.name: lambda body: [Item(body, {})],
    COMMENTS.name: comments_of,
    WORKLOGS.name: worklogs_of,
}


def history_item(issue_id: str, body: Raw) -> Item:
    created = _history(body).created
    created_at = instant(created) if isinstance(created, str) else instant_of_ms(created)
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
        if allowed:
            page = [body for body in page if (project := _head(body).fields.project) is None or project.key in allowed]
        yield [item for body in page for item in ITEMS_OF_ISSUE[name](body)]
    if not count and len(unreadable) > MOST_UNREADABLE:
        raise SourceUnavailable(
            f"{piece.slice_id}: none of {len(unreadable)} issues can be read: {unreadable[0].reason}"
        )
    for issue in unreadable:
        context.reject({"id": issue.id, "key": issue.key}, f"the issue cannot be read: {issue.reason}", None)


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
            items += [item for page in pages for body in page for item in ITEMS_OF_ISSUE[name](body)]
        if len(items) >= limit:
            break
    return items[:limit]
