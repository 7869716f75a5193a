"""JQL conditions. Instants are unquoted epoch milliseconds: quoted ones are read in the account's profile zone, to the
minute, and fail in the hour that a change of the clock skips."""

from collections.abc import Sequence

from ingest_ray.sdk.types import Interval
from ingest_strategies.jira.config import JiraConfig
from ingest_strategies.jira.filters import JiraFilter

BY_UPDATED = "updated"
BY_ID = "id"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def among(field: str, values: Sequence[str]) -> str:
    return f"{field} in ({', '.join(map(quoted, values))})"


def kept(config: JiraConfig, chosen: JiraFilter) -> list[str]:
    """What an issue must be besides its project and its place on the axis."""
    conditions = []
    if chosen.statuses:
        conditions.append(among("status", chosen.statuses))
    if chosen.assigneeIds:
        conditions.append(among("assignee", chosen.assigneeIds))
    if config.jql_filter:
        conditions.append(f"({config.jql_filter})")
    return conditions


def within(axis: str, interval: Interval) -> list[str]:
    conditions = []
    if interval.lower is not None:
        conditions.append(f"{axis} >= {interval.lower[0]}")
    if interval.upper is not None:
        conditions.append(f"{axis} < {interval.upper[0]}")
    return conditions


def window(project: str, axis: str, interval: Interval, conditions: Sequence[str]) -> str:
    return " AND ".join([f"project = {quoted(project)}", *within(axis, interval), *conditions])


def any_of(wheres: Sequence[str]) -> str:
    return " OR ".join(f"({where})" for where in wheres)


def ordered(where: str, axis: str = BY_ID, *, down: bool = False) -> str:
    return f"{where} ORDER BY {axis} {'DESC' if down else 'ASC'}"
