"""The control endpoints under `/__sim/` for Jira: its mutations, and the complete record of every issue."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ingest_ray.simulators.atlassian.jira import mutations
from ingest_ray.simulators.atlassian.jira.issue import Comment, Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.json_renderer import sprint_of
from ingest_ray.simulators.atlassian.query.jql_history import spells, value_at
from ingest_ray.simulators.atlassian.server.control_endpoints import ControlEndpoints, Json
from ingest_ray.simulators.atlassian.server.routing import decode


class JiraControlEndpoints(ControlEndpoints):
    store: IssueStore
    operations = mutations.OPERATIONS

    def records(self, kind: str, parameters: dict[str, str]) -> Iterator[Callable[[], Json]]:
        """Yields makers of the records of one kind: `issues` (live and visible), `all` (with archived and hidden ones), `deleted`, `deleted_worklogs`, `projects`, `users`, `groups`, `readers`, `comment-readers`, `sprint-issues`, `states` (at `at_ms`)."""
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

        cloud = store.content.cloud
        ids = [p.account_id if cloud else p.key for p in store.people]
        active = [p.index for p in store.people if p.active]

        def readers_of(issue: Issue) -> Json:
            """The active accounts that may read an issue; `public`: so may everybody without an account."""
            readers = [ids[n] for n in active if store.access.may_read(n, issue)]
            return {
                "id": str(issue.id),
                "key": store.key(issue),
                "readers": readers,
                "public": store.access.is_public(issue),
            }

        def comment_readers_of(issue: Issue, comment: Comment) -> Json:
            readers = [ids[n] for n in active if store.access.may_read_comment(n, issue, comment)]
            public = store.access.is_public(issue) and not comment.visibility
            return {"id": str(comment.id), "readers": readers, "public": public}

        def state_of(issue: Issue, at_ms: int) -> Json:
            """Status and assignee at an instant; none before the issue was made."""
            content = store.content
            status = value_at(spells(content, issue, "status", store.configuration.statuses[issue.status].id), at_ms)
            assignee = value_at(spells(content, issue, "assignee", content.named(issue.assignee)[0]), at_ms)
            categories = {s.id: s.category_key for s in store.configuration.statuses}
            state = {"id": str(issue.id), "key": store.key(issue), "status": status, "assignee": assignee}
            return state | {"category": categories.get(status or ""), "exists": issue.created <= at_ms}

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
            case "readers":
                return (partial(readers_of, i) for i in store.searchable_issues())
            case "comment-readers":
                return (
                    partial(comment_readers_of, i, c)
                    for i in store.searchable_issues()
                    for c in store.content.comments(i)
                )
            case "sprint-issues":
                found = ((i, sprint_of(i)) for i in store.searchable_issues())
                return (partial(dict, id=str(i.id), sprint=str(n)) for i, n in found if n is not None)
            case "states":
                return (partial(state_of, i, int(parameters["at_ms"])) for i in store.searchable_issues())
            case "groups":
                return (
                    partial(dict, id=g.group_id if cloud else g.name, name=g.name, members=[ids[n] for n in g.members])
                    for g in store.groups
                )
            case "users":
                return (partial(decode, renderer.person(p.index)) for p in store.people)
            case _:
                raise ValueError(f"there is no kind {kind!r}")
