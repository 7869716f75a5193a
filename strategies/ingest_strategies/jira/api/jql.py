"""Builds JQL conditions. Instants are unquoted epoch milliseconds: Jira reads quoted ones in the account's profile zone, to
the minute, and refuses them in the hour that a change of the clock skips.

No condition compares `id`. In JQL `id`, `key`, `issue` and `issuekey` are one field: `id > N` looks issue N up and compares key numbers
within its project, and an N that was deleted is an error (Data Center) or matches nothing (Cloud). `ORDER BY key` sorts by project key
and key number, which no edit changes; only a move does.
"""

from collections.abc import Sequence

from ingest_ray.sdk.types import Interval
from ingest_strategies.atlassian.query_text import quoted
from ingest_strategies.atlassian.segment_progress import whole_minute
from ingest_strategies.jira.config import JiraConfig
from ingest_strategies.jira.filters import JiraFilter

BY_UPDATED = "updated"
BY_CREATED = "created"
BY_KEY = "key"
BY_ID = "id"
"""An axis of lists that the planner makes; in no query."""


def in_list(field: str, values: Sequence[str]) -> str:
    return f"{field} in ({', '.join(map(quoted, values))})"


def filter_conditions(config: JiraConfig, unit_filter: JiraFilter) -> list[str]:
    """What an issue must meet besides its project and its position on the axis."""
    conditions = []
    if unit_filter.statuses:
        conditions.append(in_list("status", unit_filter.statuses))
    if unit_filter.assigneeIds:
        conditions.append(in_list("assignee", unit_filter.assigneeIds))
    if config.jql_filter:
        conditions.append(f"({config.jql_filter})")
    return conditions


def updated_from_conditions(unit_filter: JiraFilter) -> list[str]:
    """`updatedFrom` in a FULL run, whose axis is another one."""
    start_ms = unit_filter.updated_from_ms
    return [f"{BY_UPDATED} >= {whole_minute(start_ms)}"] if start_ms is not None else []


def interval_conditions(axis: str, interval: Interval) -> list[str]:
    conditions = []
    if interval.lower is not None:
        conditions.append(f"{axis} >= {interval.lower[0]}")
    if interval.upper is not None:
        conditions.append(f"{axis} < {interval.upper[0]}")
    return conditions


def window(project: str, axis: str, interval: Interval, conditions: Sequence[str]) -> str:
    return " AND ".join([f"project = {quoted(project)}", *interval_conditions(axis, interval), *conditions])


def ordered(where: str, axis: str = BY_KEY, *, down: bool = False) -> str:
    return f"{where} ORDER BY {axis} {'DESC' if down else 'ASC'}"
