"""Renders the parts of issues: people, statuses, comments, worklogs, histories, attachments."""

from collections.abc import Callable
from typing import Any

import msgspec

from ingest_ray.simulators.atlassian.content import people as persons
from ingest_ray.simulators.atlassian.content.clock import spell
from ingest_ray.simulators.atlassian.content.rich_text import Text, adf, wiki
from ingest_ray.simulators.atlassian.jira.issue import Attachment, Comment, History, Worklog
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.site_configuration import IssueType, Named, Project, Status
from ingest_ray.simulators.atlassian.server.routing import encode

Json = dict[str, Any]


class PartRenderer:
    """Renders for one version of the API. Parts that many issues share are encoded once."""

    def __init__(self, store: IssueStore, site: str, *, cloud: bool, version: str) -> None:
        self.store = store
        self.content = store.content
        self.site = site
        self.cloud = cloud
        self.rest = f"{site}/rest/api/{version}"
        self.rich = adf if version == "3" else self._wiki
        self._persons: dict[int, msgspec.Raw] = {}
        self._shared: dict[tuple[str, int, Any], msgspec.Raw] = {}

    def _wiki(self, text: Text) -> str:
        return wiki(text, cloud=self.cloud)

    def time(self, ms: int) -> str:
        return spell(ms, self.store.people[0].zone)

    def person(self, index: int) -> msgspec.Raw:
        encoded = self._persons.get(index)
        if encoded is None:
            person = self.store.people[index]
            encoded = msgspec.Raw(
                encode(persons.jira_cloud(person, self.site) if self.cloud else persons.jira_dc(person, self.site))
            )
            self._persons[index] = encoded
        return encoded

    def encode_once(self, kind: str, number: int, state: Any, make: Callable[[], Json]) -> msgspec.Raw:
        key = (kind, number, state)
        encoded = self._shared.get(key)
        if encoded is None:
            encoded = self._shared[key] = msgspec.Raw(encode(make()))
        return encoded

    def status(self, status: Status) -> Json:
        colour = {2: "blue-gray", 3: "green", 4: "yellow", 1: "medium-gray"}[status.category]
        name = {2: "To Do", 3: "Done", 4: "In Progress", 1: "No Category"}[status.category]
        category = {"self": f"{self.rest}/statuscategory/{status.category}", "id": status.category}
        category |= {"key": status.category_key, "colorName": colour, "name": name}
        document = {"self": f"{self.rest}/status/{status.id}", "description": status.description}
        icon = f"{self.site}/images/icons/statuses/generic.png"
        return document | {"iconUrl": icon, "name": status.name, "id": status.id, "statusCategory": category}

    def issue_type(self, kind: IssueType) -> Json:
        document: Json = {"self": f"{self.rest}/issuetype/{kind.id}", "id": kind.id, "description": kind.description}
        document |= {
            "iconUrl": f"{self.site}/images/icons/issuetypes/{kind.id}.svg",
            "name": kind.name,
            "subtask": kind.subtask,
        }
        document["avatarId"] = 10_300 + kind.level
        return document | {"hierarchyLevel": kind.level} if self.cloud else document

    def priority(self, priority: Named) -> Json:
        icon = f"{self.site}/images/icons/priorities/{priority.name.lower()}.svg"
        return {
            "self": f"{self.rest}/priority/{priority.id}",
            "iconUrl": icon,
            "name": priority.name,
            "id": priority.id,
        }

    def named(self, kind: str, named: Named, **extra: Any) -> Json:
        document = {"self": f"{self.rest}/{kind}/{named.id}", "id": named.id, "name": named.name}
        return (
            document
            | ({"description": named.description} if kind != "version" else {"archived": False, "released": True})
            | extra
        )

    def project_short(self, project: Project) -> Json:
        sizes = (("48x48", ""), ("24x24", "&size=small"), ("16x16", "&size=xsmall"), ("32x32", "&size=medium"))
        document: Json = {
            "self": f"{self.rest}/project/{project.id}",
            "id": project.id,
            "key": project.key,
            "name": project.name,
        }
        document["projectTypeKey"] = project.kind
        if self.cloud:
            document["simplified"] = project.style == "next-gen"
        document["avatarUrls"] = {n: f"{self.site}/secure/projectavatar?pid={project.id}{size}" for n, size in sizes}
        return document

    def comment(self, issue_id: int, comment: Comment) -> Json:
        document: Json = {
            "self": f"{self.rest}/issue/{issue_id}/comment/{comment.id}",
            "id": str(comment.id),
            "author": self.person(comment.author),
            "body": self.rich(comment.text),
            "updateAuthor": self.person(comment.editor),
            "created": self.time(comment.created),
            "updated": self.time(comment.updated),
        }
        if self.cloud:
            document["jsdPublic"] = True
        return self._visibility(document, comment.visibility)

    def _visibility(self, document: Json, group: str) -> Json:
        if group:
            document["visibility"] = {"type": "role", "value": group.title()} | (
                {"identifier": group.title()} if self.cloud else {}
            )
        return document

    def worklog(self, issue_id: int, worklog: Worklog) -> Json:
        person = self.person(worklog.author)
        document = {
            "self": f"{self.rest}/issue/{issue_id}/worklog/{worklog.id}",
            "author": person,
            "updateAuthor": person,
            "comment": self.rich(worklog.text),
            "created": self.time(worklog.created),
            "updated": self.time(worklog.updated),
            "started": self.time(worklog.started),
            "timeSpent": duration(worklog.seconds),
            "timeSpentSeconds": worklog.seconds,
            "id": str(worklog.id),
            "issueId": str(issue_id),
        }
        return self._visibility(document, worklog.visibility)

    def history(self, history: History) -> Json:
        items = []
        for field, field_id, old, old_text, new, new_text in history.items:
            item: Json = {"field": field, "fieldtype": "custom" if field_id.startswith("customfield") else "jira"}
            if self.cloud:
                item["fieldId"] = field_id or field.lower()
            items.append(item | {"from": old, "fromString": old_text, "to": new, "toString": new_text})
        author = self.person(history.author)
        return {"id": str(history.id), "author": author, "created": self.time(history.created), "items": items}

    def attachment(self, attachment: Attachment) -> Json:
        from_rest = f"{self.rest}/attachment/content/{attachment.id}"
        from_site = f"{self.site}/secure/attachment/{attachment.id}/{attachment.name}"
        document = {
            "self": f"{self.rest}/attachment/{attachment.id}",
            "id": str(attachment.id),
            "filename": attachment.name,
            "author": self.person(attachment.author),
            "created": self.time(attachment.created),
            "size": attachment.size,
            "mimeType": attachment.kind,
            "content": from_rest if self.cloud else from_site,
        }
        if attachment.kind == "image/png":
            document["thumbnail"] = f"{self.rest}/attachment/thumbnail/{attachment.id}"
        return document


def duration(seconds: int) -> str:
    """`1d 2h 5m`, with days of eight hours."""
    minutes = seconds // 60
    parts = ((minutes // 480, "d"), (minutes % 480 // 60, "h"), (minutes % 60, "m"))
    return " ".join(f"{n}{unit}" for n, unit in parts if n) or "0m"
