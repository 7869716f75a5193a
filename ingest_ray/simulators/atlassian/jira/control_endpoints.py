"""The control endpoints under `/__sim/` for Jira: its mutations, and the complete record of every issue."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ingest_ray.simulators.atlassian.jira import mutations
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.server.control_endpoints import ControlEndpoints, Json
from ingest_ray.simulators.atlassian.server.routing import decode


class JiraControlEndpoints(ControlEndpoints):
    store: IssueStore
    operations = mutations.OPERATIONS

    def records(self, kind: str, parameters: dict[str, str]) -> Iterator[Callable[[], Json]]:
        """Yields makers of the records of one kind: `issues` (live and visible), `all` (with archived and hidden ones), `deleted`, `deleted_worklogs`, `projects`, `users`."""
        store, site = self.store, self.server.site
        renderers: dict[str, Any] = site.renderers  # type: ignore[attr-defined]
        renderer = renderers[parameters.get("api", max(renderers))]

        def record_of(issue: Issue) -> Json:
            record = {
                "id": str(issue.id),
                "key": store.key(issue),
                "updated_ms": issue.updated,
                "created_ms": issue.created,
            }
            record["project"] = store.configuration.projects[issue.project].key
            record |= {"searchable": store.searchable(issue), "poison": issue.poison}
            if parameters.get("brief") == "true":
                return record
            return record | {"issue": renderer.complete(issue)}

        match kind:
            case "issues":
                return (partial(record_of, i) for i in store.searchable_issues())
            case "all":
                return (partial(record_of, i) for _, i in sorted(store.issues.items()))
            case "deleted":
                return (partial(dict, id=str(n), deleted_ms=t) for n, t in sorted(store.deleted.items()))
            case "deleted_worklogs":
                return (partial(dict, id=str(n), deleted_ms=t) for t, n in store.deleted_worklogs)
            case "projects":
                return (
                    partial(dict, id=p.id, key=p.key, name=p.name, archived=p.archived, deleted=p.deleted)
                    for p in store.configuration.projects
                )
            case "users":
                return (partial(decode, renderer.person(p.index)) for p in store.people)
            case _:
                raise ValueError(f"there is no kind {kind!r}")
