"""Reads issues, and the children of issues, again by the ids of their issues."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from ingest_ray.http.errors import BadRequest
from ingest_ray.sdk.contracts import ReadContext
from ingest_ray.sdk.types import Axis, Effect, RunMode, SegmentState, Slice, UnitSpec
from ingest_strategies.atlassian.query_text import quoted
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.jira.api.client import Api, IssueSet
from ingest_strategies.jira.api.jql import BY_UPDATED, filter_conditions, in_list, updated_from_conditions
from ingest_strategies.jira.filters import filter_of
from ingest_strategies.jira.planning.probe import segments_of, select_project_keys
from ingest_strategies.jira.reading.reader import allowed_projects, read_history_items, read_issue_items
from ingest_strategies.jira.reading.rows import RowBuilder
from ingest_strategies.jira.reading.site_lists import read_all
from ingest_strategies.jira.tables import CHANGELOGS, ISSUES, TABLES, reads_issues

ISSUES_AT_ONCE = 50
PROJECTS_AT_ONCE = 50
ISSUE_ID = "issue_id"


def lookup_columns(spec: UnitSpec) -> Sequence[str]:
    table = TABLES[spec.dataset.name]
    if not reads_issues(spec.dataset.name) or table is ISSUES:
        return table.key
    return tuple(dict.fromkeys((*table.key, ISSUE_ID)))


def version_columns(spec: UnitSpec) -> Sequence[str] | None:
    cursor = TABLES[spec.dataset.name].cursor
    return None if cursor is None else (cursor,)


def look_up(
    api: Api, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
) -> Iterator[pa.RecordBatch]:
    name = spec.dataset.name
    build = RowBuilder(spec.dataset, context.schema).batch
    if not reads_issues(name):
        for items in read_all(api, name, segments_of(api, spec)):
            yield build(items, context.reject)
        return
    column = keys.column("id" if name == ISSUES.name else ISSUE_ID)
    if known is None and column.null_count:
        yield _deleted_worklogs(keys.filter(column.is_null()), context.schema)
    ids = sorted({int(number) for number in column.to_pylist() if number is not None})
    piece = Slice(segment="all", scope_id="look-up", rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)
    for condition in _conditions(api, spec, known):
        if condition:
            api.count(" AND ".join(condition))  # refused here where the condition itself is at fault
        for chunk in chunked(ids, ISSUES_AT_ONCE):
            found = _matching_ids(api, chunk, condition)
            issues = IssueSet(_with_ids(found), ids=tuple(found))
            if not found:
                continue
            pages = (
                read_history_items(api, issues)
                if name == CHANGELOGS.name
                else read_issue_items(api, spec, piece, issues, context)
            )
            for page in pages:
                yield build(page, context.reject)


def _with_ids(ids: Sequence[int]) -> str:
    return f"id in ({', '.join(map(str, ids))})"


def _matching_ids(api: Api, ids: Sequence[int], condition: Sequence[str]) -> list[int]:
    """Those of `ids` that exist and meet the condition. A query that names an issue which does not exist is refused: it is halved."""
    try:
        return api.list_ids(" AND ".join([_with_ids(ids), *condition]))
    except BadRequest:
        if len(ids) == 1:
            return []
    middle = len(ids) // 2
    return [*_matching_ids(api, ids[:middle], condition), *_matching_ids(api, ids[middle:], condition)]


def _conditions(api: Api, spec: UnitSpec, known: Mapping[str, SegmentState] | None) -> Iterator[list[str]]:
    """Of some projects at a time. With `known`, an issue must lie below the watermark of its project."""
    unit_filter = filter_of(spec)
    conditions = [*filter_conditions(api.client.config, unit_filter), *updated_from_conditions(unit_filter)]
    allowed = sorted(allowed_projects(api, spec))
    if known is None or spec.config.run_mode is RunMode.FULL:
        yield [*conditions, *([in_list("project", allowed)] if allowed else [])]
        return
    watermarks: dict[str, int] = {}
    for project in select_project_keys(api, unit_filter):  # a condition on a project that is gone would be refused
        state = known.get(project)
        if state is not None and state.watermark is not None:
            watermarks[project] = int(state.watermark[0])
    for projects in chunked(list(watermarks), PROJECTS_AT_ONCE):
        due = " OR ".join(
            f"(project = {quoted(project)} AND {BY_UPDATED} < {watermarks[project]})" for project in projects
        )
        yield [*conditions, f"({due})"]


def _deleted_worklogs(keys: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Worklogs that the feed of deleted ones marked in the sink: they belong there, although no issue has them."""
    names = keys.schema.names
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    columns = [
        keys.column(field.name).cast(field.type) if field.name in names else pa.nulls(keys.num_rows, field.type)
        for field in nullable
    ]
    return pa.RecordBatch.from_arrays(columns, schema=nullable)
