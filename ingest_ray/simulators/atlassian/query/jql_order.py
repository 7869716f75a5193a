"""What `ORDER BY` sorts issues by."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore

ORDER_KEYS: dict[str, Callable[[IssueStore, Issue], Any]] = {
    "issuekey": lambda s, i: (s.configuration.projects[i.project].key, i.number),
    "created": lambda s, i: i.created,
    "updated": lambda s, i: i.updated,
    "resolutiondate": lambda s, i: i.resolved,
    "duedate": lambda s, i: i.due,
    "project": lambda s, i: s.configuration.projects[i.project].key,
    "summary": lambda s, i: s.content.summary(i),
    "status": lambda s, i: i.status,
    "priority": lambda s, i: -i.priority,
    "issuetype": lambda s, i: i.type,
    "assignee": lambda s, i: i.assignee,
    "reporter": lambda s, i: i.reporter,
    "cf[10016]": lambda s, i: i.points if i.points is not None else -1.0,
}


def order_key(store: IssueStore, name: str, issue: Issue) -> Any:
    return ORDER_KEYS[name](store, issue)
