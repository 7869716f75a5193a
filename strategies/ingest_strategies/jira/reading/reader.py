"""Reads one slice: the objects of its window, as batches of the declared schema."""

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, islice

import pyarrow as pa
from msgspec import Raw, Struct

from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Dataset, Interval, Slice, UnitSpec
from ingest_strategies.atlassian.batches import Reject, slice_batches
from ingest_strategies.atlassian.id_lists import decode_ids
from ingest_strategies.atlassian.instants import instant, instant_of_ms
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.segment_progress import MINUTE_MS
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.jira.api.client import Api, IssueSet, UnreadableIssue
from ingest_strategies.jira.api.jql import BY_ID, filter_conditions, updated_from_conditions, window
from ingest_strategies.jira.filters import JiraFilter, filter_of
from ingest_strategies.jira.planning.probe import DELETED_WORKLOGS
from ingest_strategies.jira.reading.deletion_feed import read_deletions
from ingest_strategies.jira.reading.issue_items import IssueItems
from ingest_strategies.jira.reading.rows import Item, RowBuilder
from ingest_strategies.jira.reading.site_lists import read_all, read_list
from ingest_strategies.jira.tables import CHANGELOGS, reads_issues

MOST_UNREADABLE = 10  # of a slice in which nothing could be read: more than that is the site's fault, not the issues'
PREVIEWED = 20  # issues at a time


class ProjectKey(Struct, gc=False):
    key: str | None = None


class ProjectField(Struct, gc=False):
    project: ProjectKey | None = None


class IssueHead(Struct, gc=False):
    fields: ProjectField | None = None


class HistoryHead(Struct, gc=False):
    """`created` is text in one endpoint and epoch milliseconds in the other."""

    created: str | int | None = None


_head, _history = decoder(IssueHead), decoder(HistoryHead)


def history_item(issue_id: str, key: str | None, body: Raw) -> Item:
    """An entry without a time, or with an odd one, is a row without `created`, which goes to quarantine alone."""
    head = attempted(_history, body)
    created = head.created if head else None
    try:
        created_at = instant(created) if isinstance(created, str) else instant_of_ms(created) if created else None
    except ValueError:
        created_at = None
    return Item(body, {"issue.id": issue_id, "issue.key": key, "log.created": created_at})


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
    if not reads_issues(name):
        return ([item] for item in read_list(api, name, piece.segment))
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
        yield [history_item(issue_id, key, body) for issue_id, key, histories in page for body in histories]


def read_issue_items(
    api: Api, spec: UnitSpec, piece: Slice, issues: IssueSet, context: ReadContext
) -> Iterator[list[Item]]:
    """Rows of issues or of their children. Then sends unreadable issues to quarantine, unless nothing else was in the slice."""
    allowed = allowed_projects(api, spec)
    unreadable: list[UnreadableIssue] = []
    count, issue_items = 0, IssueItems(api, spec.dataset, context.reject)
    for page in api.read_issues(issues, issue_items.selection, unreadable):
        count += len(page)
        yield issue_items.of_page([body for body in page if is_allowed(body, allowed)])
    issue_items.finish(piece.slice_id)
    if not count and len(unreadable) > MOST_UNREADABLE:
        raise SourceUnavailable(
            f"{piece.slice_id}: none of {len(unreadable)} issues can be read: {unreadable[0].reason}"
        )
    for issue in unreadable:
        context.reject({"id": issue.id, "key": issue.key}, f"the issue cannot be read: {issue.reason}", None)


def is_allowed(body: Raw, allowed: Container[str]) -> bool:
    """An issue whose project cannot be told is for its row to judge."""
    head = attempted(_head, body)
    project = head.fields.project if head and head.fields else None
    return not allowed or project is None or project.key in allowed


def allowed_projects(api: Api, spec: UnitSpec) -> set[str]:
    """The projects to read; empty: every project. An issue may move to another project while it is read."""
    by_filter, by_config = set(filter_of(spec).projectKeys), set(api.client.config.project_keys)
    return by_filter & by_config if by_filter and by_config else by_filter or by_config


def read_first_items(api: Api, dataset: Dataset, segments: Iterable[str], limit: int, reject: Reject) -> list[Item]:
    """Some rows of a dataset, for its preview."""
    name = dataset.name
    if not reads_issues(name):
        return list(islice(chain.from_iterable(read_all(api, name, segments)), limit))
    items: list[Item] = []
    where = " AND ".join(["updated >= 0", *filter_conditions(api.client.config, JiraFilter())])
    ids = api.find_first_ids(where, max(limit, PREVIEWED))
    for part in chunked(ids, PREVIEWED):
        issues = IssueSet(where, ids=tuple(part))
        if name == CHANGELOGS.name:
            items += [item for page in read_history_items(api, issues) for item in page]
        else:
            issue_items = IssueItems(api, dataset, reject)
            for page in api.read_issues(issues, issue_items.selection, []):
                items += issue_items.of_page(page)
        if len(items) >= limit:
            break
    return items[:limit]
