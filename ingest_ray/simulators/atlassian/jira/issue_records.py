"""What the simulated Jira holds, as the records that tests compare with: the truth, not what its API shows."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ingest_ray.simulators.atlassian.jira.issue import Comment, Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.rendering.custom_fields import sprint_of
from ingest_ray.simulators.atlassian.query.jql_history import spells, value_at
from ingest_ray.simulators.atlassian.server.control_endpoints import Json
from ingest_ray.simulators.atlassian.server.routing import decode

Records = Iterator[Callable[[], Json]]


class IssueRecords:
    def __init__(self, store: IssueStore, renderer: Any, parameters: dict[str, str]) -> None:
        self.store = store
        self.renderer = renderer
        self.parameters = parameters
        self._active = [person.index for person in store.people if person.active]
        self.account_ids = [person.account_id if store.content.cloud else person.key for person in store.people]

    def of_kind(self, kind: str) -> Records:
        """Raises `ValueError` for a kind that does not exist."""
        kinds: dict[str, Callable[[], Records]] = {
            "issues": lambda: (partial(self.record_of, issue) for issue in self.store.searchable_issues()),
            "all": lambda: (partial(self.record_of, issue) for _, issue in sorted(self.store.issues.items())),
            "deleted": lambda: (partial(dict, id=str(n), deleted_ms=t) for n, t in sorted(self.store.deleted.items())),
            "deleted_worklogs": lambda: (
                partial(dict, id=str(n), deleted_ms=t) for t, n in self.store.deleted_worklogs
            ),
            "projects": self.projects,
            "readers": lambda: (partial(self.readers_of, issue) for issue in self.store.searchable_issues()),
            "comment-readers": self.comment_readers,
            "sprint-issues": self.sprint_issues,
            "states": self.states,
            "groups": self.groups,
            "users": lambda: (partial(decode, self.renderer.person(person.index)) for person in self.store.people),
        }
        if kind not in kinds:
            raise ValueError(f"there is no kind {kind!r}")
        return kinds[kind]()

    def record_of(self, issue: Issue) -> Json:
        record: Json = {
            "id": str(issue.id),
            "key": self.store.key(issue),
            "updated_ms": issue.updated,
            "created_ms": issue.created,
            "project": self.store.configuration.projects[issue.project].key,
            "searchable": self.store.searchable(issue),
            "archived": issue.archived,
            "poison": issue.poison,
        }
        if self.parameters.get("brief") == "true":
            return record
        return record | {"issue": self.renderer.complete(issue)}

    def readers_of(self, issue: Issue) -> Json:
        """The active accounts that may read an issue; `public`: so may everybody without an account."""
        access = self.store.access
        readers = [self.account_ids[n] for n in self._active if access.may_read(n, issue)]
        return {
            "id": str(issue.id),
            "key": self.store.key(issue),
            "readers": readers,
            "public": access.is_public(issue),
        }

    def comment_readers_of(self, issue: Issue, comment: Comment) -> Json:
        access = self.store.access
        readers = [self.account_ids[n] for n in self._active if access.may_read_comment(n, issue, comment)]
        return {
            "id": str(comment.id),
            "readers": readers,
            "public": access.is_public(issue) and not comment.visibility,
        }

    def state_of(self, issue: Issue, at_ms: int) -> Json:
        """Status and assignee at an instant; none before the issue was made."""
        content, statuses = self.store.content, self.store.configuration.statuses
        status = value_at(spells(content, issue, "status", statuses[issue.status].id), at_ms)
        assignee = value_at(spells(content, issue, "assignee", content.named(issue.assignee)[0]), at_ms)
        categories = {each.id: each.category_key for each in statuses}
        return {
            "id": str(issue.id),
            "key": self.store.key(issue),
            "status": status,
            "assignee": assignee,
            "category": categories.get(status or ""),
            "exists": issue.created <= at_ms,
        }

    def projects(self) -> Records:
        return (
            partial(dict, id=p.id, key=p.key, name=p.name, archived=p.archived, deleted=p.deleted)
            for p in self.store.configuration.projects
        )

    def comment_readers(self) -> Records:
        return (
            partial(self.comment_readers_of, issue, comment)
            for issue in self.store.searchable_issues()
            for comment in self.store.content.comments(issue)
        )

    def sprint_issues(self) -> Records:
        found = ((issue, sprint_of(issue)) for issue in self.store.searchable_issues())
        return (partial(dict, id=str(issue.id), sprint=str(n)) for issue, n in found if n is not None)

    def states(self) -> Records:
        at_ms = int(self.parameters["at_ms"])
        return (partial(self.state_of, issue, at_ms) for issue in self.store.searchable_issues())

    def groups(self) -> Records:
        cloud = self.store.content.cloud
        return (
            partial(
                dict,
                id=group.group_id if cloud else group.name,
                name=group.name,
                members=[self.account_ids[n] for n in group.members],
            )
            for group in self.store.groups
        )
