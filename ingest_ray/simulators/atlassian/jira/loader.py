"""Loads real issues from a file of `GET /rest/api/2/issue/{key}` documents, one a line."""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import DAY_MS
from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.jira.issue import PER_ISSUE, Comment, Issue
from ingest_ray.simulators.atlassian.jira.site_configuration import IssueType, Named, Project, SiteConfiguration, Status
from ingest_ray.simulators.atlassian.server.routing import decode

Json = dict[str, Any]


def _ms(text: str | None) -> int:
    """`2015-01-30T00:43:49.000+0000`, or a date."""
    return (
        int(datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+0000").timestamp() * 1000) if text else 0
    )


class _Loader:
    """Collects the people, projects, types and so on of the documents, in the order of their first occurrence."""

    def __init__(self, people: list[Person], configuration: SiteConfiguration) -> None:
        self.people, self.configuration = people, configuration
        self._seen: dict[tuple[str, str], int] = {}
        for known in (
            configuration.projects,
            configuration.types,
            configuration.statuses,
            configuration.priorities,
            configuration.resolutions,
            configuration.labels,
        ):
            known.clear()

    def index_of(self, kind: str, key: str, known: list[Any], make: Any) -> int:
        index = self._seen.get((kind, key))
        if index is None:
            index = self._seen[kind, key] = len(known)
            known.append(make(index))
        return index

    def person(self, document: Json | None) -> int:
        if document is None:
            return -1
        name = document["name"]

        def make(index: int) -> Person:
            account = f"557058:{index:08x}-0000-4000-8000-000000000000"
            zone = document.get("timeZone") or "UTC"
            mail = f"{name}@example.com"
            return Person(
                index, account, name, document["key"], document["displayName"], mail, document["active"], zone
            )

        return self.index_of("person", name, self.people, make)

    def issue(self, document: Json) -> Issue:
        fields, configuration = document["fields"], self.configuration
        project = self.index_of(
            "project", fields["project"]["key"], configuration.projects, lambda n: _project(n, fields["project"])
        )
        home = configuration.projects[project]
        kind, status = fields["issuetype"], fields["status"]
        issue = Issue(
            id=int(document["id"]),
            project=project,
            number=int(document["key"].rpartition("-")[2]),
            created=_ms(fields["created"]),
            updated=_ms(fields["updated"]),
            spread=_ms(fields["updated"]),
            type=self.index_of("type", kind["id"], configuration.types, lambda _: _type(kind)),
            status=self.index_of("status", status["id"], configuration.statuses, lambda _: _status(status)),
            priority=self._named("priority", fields.get("priority"), configuration.priorities),
            creator=self.person(fields.get("creator") or fields.get("reporter") or {**_NOBODY}),
            reporter=self.person(fields.get("reporter") or {**_NOBODY}),
            assignee=self.person(fields.get("assignee")),
            resolution=self._named("resolution", fields.get("resolution"), configuration.resolutions),
            resolved=_ms(fields.get("resolutiondate")),
            due=_ms(fields.get("duedate")),
            labels=tuple(
                self.index_of("label", x, configuration.labels, lambda _, x=x: x) for x in fields.get("labels", ())
            ),
            loaded={
                "summary": fields.get("summary") or "",
                "description": fields.get("description"),
                "environment": fields.get("environment"),
            },
        )
        issue.components = tuple(
            self._named(f"component{project}", c, home.components) for c in fields.get("components", ())
        )
        issue.fix_versions = tuple(
            self._named(f"version{project}", v, home.versions) for v in fields.get("fixVersions", ())
        )
        assert issue.loaded is not None
        comments = fields.get("comment", {}).get("comments", ())
        issue.loaded["_comments"] = [self._comment(issue.id, n, c) for n, c in enumerate(comments)]
        return issue

    def _named(self, kind: str, document: Json | None, known: list[Named]) -> int:
        if document is None:
            return -1
        return self.index_of(
            kind,
            document["id"],
            known,
            lambda _: Named(document["id"], document["name"], document.get("description") or ""),
        )

    def _comment(self, issue_id: int, number: int, document: Json) -> Comment:
        author = self.person(document.get("author") or {**_NOBODY})
        editor = self.person(document.get("updateAuthor") or document.get("author") or {**_NOBODY})
        text = (("wiki", document.get("body") or ""),)
        return Comment(
            issue_id * PER_ISSUE + number, author, editor, _ms(document["created"]), _ms(document["updated"]), text
        )


_NOBODY = {"name": "anonymous", "key": "anonymous", "displayName": "Anonymous", "active": False}


def _project(index: int, document: Json) -> Project:
    return Project(index, document["id"], document["key"], document["name"], 0)


def _type(document: Json) -> IssueType:
    subtask = bool(document["subtask"])
    level = -1 if subtask else 1 if document["name"] == "Epic" else 0
    return IssueType(document["id"], document["name"], document.get("description", ""), subtask, level)


def _status(document: Json) -> Status:
    return Status(document["id"], document["name"], document.get("description", ""), document["statusCategory"]["id"])


def load_issues(
    path: Path, people: list[Person], configuration: SiteConfiguration, most: int, now_ms: int
) -> list[Issue]:
    """Loads at most `most` issues. Fills people and configuration from the documents; person 0 stays the requesting account.

    Shifts all edits so that the newest one is on the day before the simulated present; distances between edits stay.
    """
    owner = people[0]
    people[:] = [owner]
    loader = _Loader(people, configuration)
    issues = []
    with gzip.open(path, "rb") as lines:
        for line in lines:
            issues.append(loader.issue(decode(line)))
            if len(issues) == most:
                break
    shift = now_ms - DAY_MS - max(i.updated for i in issues)
    for issue in issues:
        issue.created, issue.updated, issue.spread = issue.created + shift, issue.updated + shift, issue.updated + shift
        issue.resolved = issue.resolved + shift if issue.resolved else 0
        for comment in (issue.loaded or {})["_comments"]:
            comment.created, comment.updated = comment.created + shift, comment.updated + shift
    return issues
