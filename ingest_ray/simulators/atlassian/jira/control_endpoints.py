"""The control endpoints under `/__sim/` for Jira: its mutations, and the complete record of every issue."""

from collections.abc import Callable, Iterator
from typing import Any

from ingest_ray.simulators.atlassian.jira import mutations
from ingest_ray.simulators.atlassian.jira.issue_records import IssueRecords
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.server.control_endpoints import ControlEndpoints, Json


class JiraControlEndpoints(ControlEndpoints):
    store: IssueStore
    operations = mutations.OPERATIONS

    def records(self, kind: str, parameters: dict[str, str]) -> Iterator[Callable[[], Json]]:
        """Yields makers of the records of one kind: `issues` (live and visible), `all` (with archived and hidden ones), `deleted`,
        `deleted_worklogs`, `projects`, `users`, `groups`, `readers`, `comment-readers`, `sprint-issues`, `states` (at `at_ms`)."""
        renderers: dict[str, Any] = self.server.site.renderers  # type: ignore[attr-defined]
        return IssueRecords(self.store, renderers[parameters.get("api", max(renderers))], parameters).of_kind(kind)
