"""The issues of one Jira: their current state, their state in the search index, and every change while the site is read."""

from bisect import bisect_right
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import Clock
from ingest_ray.simulators.atlassian.content.people import Group, Person
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws
from ingest_ray.simulators.atlassian.jira.access import AccessRules, randomize
from ingest_ray.simulators.atlassian.jira.issue import Issue, IssueContent
from ingest_ray.simulators.atlassian.jira.search_index import IssueIndex
from ingest_ray.simulators.atlassian.jira.site_configuration import Project, SiteConfiguration
from ingest_ray.simulators.atlassian.server.traps import Traps

NODE_LAG_MS = 600_000  # of the second node of a Data Center


@dataclass(slots=True)
class IssueStore:
    """`issues` has the current issues by id, without deleted ones. `index` has the issues that JQL sees."""

    clock: Clock
    draws: SeededDraws
    traps: Traps
    people: list[Person]
    groups: list[Group]
    configuration: SiteConfiguration
    content: IssueContent
    issues: dict[int, Issue]
    index: IssueIndex
    by_key: dict[str, int]
    pending: list[tuple[int, int]]
    """(time in ms, issue) of changes that the index has not seen."""
    deleted: dict[int, int]
    deleted_worklogs: list[tuple[int, int]]
    access: AccessRules
    worklog_feed: list[tuple[int, int]] | None = None
    next_id: int = 0
    next_extra: int = 9_000
    started_ms: int = 0
    other_node: tuple[IssueIndex, list[tuple[int, int]]] | None = None
    """The index of the node that does not answer, and what it has not seen."""
    node: int = 0
    _children: dict[int, list[int]] | None = None
    _linked: dict[int, list[int]] | None = None

    def key(self, issue: Issue) -> str:
        return f"{self.configuration.projects[issue.project].key}-{issue.number}"

    def visible(self, issue: Issue) -> bool:
        """Whether the account may open it: it is not hidden by its security level, nor in a deleted project."""
        return not issue.hidden and not self.configuration.projects[issue.project].deleted

    def searchable(self, issue: Issue) -> bool:
        return self.visible(issue) and not issue.archived and not self.configuration.projects[issue.project].archived

    def find(self, id_or_key: str) -> Issue | None:
        """Finds an issue by number or by key; also by the old key of a moved issue."""
        number = int(id_or_key) if id_or_key.isdecimal() else self.by_key.get(id_or_key.upper(), 0)
        issue = self.issues.get(number)
        return issue if issue is not None and self.visible(issue) else None

    def index_due_changes(self) -> None:
        """Indexes the pending changes whose index lag has passed."""
        now = self.clock.now()
        while self.pending and self.pending[0][0] <= now:
            self.reindex(self.pending.pop(0)[1])

    def reindex(self, issue_id: int) -> None:
        issue = self.issues.get(issue_id)
        if issue is None or not self.searchable(issue):
            self.index.remove(issue_id)
        elif self.index.documents.get(issue_id) is not issue:
            self.index.put(issue)

    def changed(self, issue_id: int) -> None:
        if "node-switch" in self.traps:
            self.answer_from_node(0)
            self._other_node()[1].append((self.clock.now() + NODE_LAG_MS, issue_id))
        lag_ms = int(self.traps.number("index-lag") * 1000)
        if lag_ms:
            self.pending.append((self.clock.now() + lag_ms, issue_id))
        else:
            self.reindex(issue_id)

    def _other_node(self) -> tuple[IssueIndex, list[tuple[int, int]]]:
        if self.other_node is None:
            copied = IssueIndex(len(self.configuration.projects))
            copied.load(list(self.index.documents.values()))
            self.other_node = (copied, list(self.pending))
        return self.other_node

    def answer_from_node(self, number: int) -> None:
        """Takes the index of node 0 or 1 for the one that search sees."""
        if number != self.node:
            other = self._other_node()
            self.other_node = (self.index, self.pending)
            self.index, self.pending = other
            self.node = number

    def put(self, issue: Issue) -> Issue:
        self.issues[issue.id] = issue
        self.by_key[self.key(issue)] = issue.id
        self.changed(issue.id)
        return issue

    def edit(self, issue_id: int, **changes: Any) -> Issue:
        """Replaces the issue by a changed copy, because the index may still hold the old one."""
        issue = copy(self.issues[issue_id])
        for name, value in changes.items():
            setattr(issue, name, value)
        return self.put(issue)

    def children(self, issue_id: int) -> list[int]:
        """The sub-tasks of an issue; the map is built once, because parents never change here."""
        if self._children is None:
            self._children = {}
            for issue in self.issues.values():
                if issue.parent and self.configuration.types[issue.type].subtask:
                    self._children.setdefault(issue.parent, []).append(issue.id)
        return [i for i in self._children.get(issue_id, ()) if i in self.issues]

    def linked_from(self, issue_id: int) -> list[int]:
        """The issues whose link leads to an issue; links never change here."""
        if self._linked is None:
            self._linked = {}
            for issue in self.issues.values():
                if issue.link:
                    self._linked.setdefault(issue.link, []).append(issue.id)
        return [i for i in self._linked.get(issue_id, ()) if i in self.issues]

    def searchable_issues(self) -> Iterator[Issue]:
        """The issues that a complete and correct reader has at the end, by ascending id."""
        return (i for _, i in sorted(self.issues.items()) if self.searchable(i))

    def project_issues(self, project: Project) -> list[int]:
        return self.index.projects[project.index].by_id if project.index < len(self.index.projects) else []

    def worklogs_since(self, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
        """(updated, worklog id) in [since, until), sorted."""
        if self.worklog_feed is None:
            feed = []
            for issue in self.issues.values():
                if issue.worklogs or issue.more_worklogs:
                    feed += [(w.updated, w.id) for w in self.content.worklogs(issue) if self.visible(issue)]
            self.worklog_feed = sorted(feed)
        feed = self.worklog_feed
        return feed[bisect_right(feed, (since_ms, -1)) : bisect_right(feed, (until_ms, -1))]


def new_store(clock: Clock, draws: SeededDraws, traps: Traps, people: list[Person], groups: list[Group], configuration: SiteConfiguration,
              content: IssueContent, issues: list[Issue]) -> IssueStore:  # fmt: skip
    store = IssueStore(
        clock, draws, traps, people, groups, configuration, content,
        issues={}, index=IssueIndex(len(configuration.projects)), by_key={}, pending=[], deleted={}, deleted_worklogs=[],
        access=AccessRules(configuration, people, groups), started_ms=clock.now(),
    )  # fmt: skip
    if "random-access" in traps:
        randomize(store.access, draws, issues)
    every = int(traps.number("service-desks"))
    for project in configuration.projects[every - 1 :: every] if every else ():
        project.kind = "service_desk"
    for issue in issues:
        store.issues[issue.id] = issue
        store.by_key |= dict.fromkeys((store.key(issue), *issue.old_keys), issue.id)
    store.next_id = max(store.issues, default=100_000) + 1
    for project in configuration.projects[: int(traps.number("forbidden-403"))]:
        project.forbidden = True
    store.index.load([i for i in issues if store.searchable(i)])
    return store
