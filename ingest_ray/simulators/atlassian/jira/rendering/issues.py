"""Renders issues as Jira's JSON: v3 (ADF), v2 on Cloud (wiki markup, account ids), v2 on Data Center (user names)."""

from collections.abc import Callable, Iterable
from typing import Any

from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.rendering.custom_fields import CustomFieldRenderer
from ingest_ray.simulators.atlassian.jira.rendering.fields import FieldRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json

CHANGELOG_CAP = 40  # histories inline on Cloud, JRACLOUD-96459


class JsonRenderer(FieldRenderer, CustomFieldRenderer):
    """Renders whole issues for one version of the API."""

    def __init__(self, store: IssueStore, site: str, *, cloud: bool, version: str) -> None:
        super().__init__(store, site, cloud=cloud, version=version)
        self._fields: dict[str, Callable[[Issue], Any]] = {
            name[6:]: getattr(self, name) for name in dir(type(self)) if name.startswith("field_")
        }

    def selected(self, wanted: Iterable[str]) -> list[str]:
        """Field ids from `*all`, `*navigable`, names, and `-name`; unknown names are ignored, as Jira does."""
        chosen: list[str] = []
        for name in wanted:
            if name in ("*all", "*navigable"):
                chosen += [
                    f.id for f in self.store.configuration.fields
                    if f.id in self._fields and (self.cloud or not f.cloud_only) and (name == "*all" or f.navigable)
                ]  # fmt: skip
            elif name.startswith("-"):
                chosen = [c for c in chosen if c != name[1:]] if chosen else self.selected(["*all", name])
            elif name in self._fields:
                chosen.append(name)
        return list(dict.fromkeys(chosen))

    def issue(self, issue: Issue, fields: list[str], expand: frozenset[str], *, inline_caps: bool = True) -> Json:
        """Renders an issue with the `fields` that `selected` returned; without any field it has only its id and key."""
        document: Json = {
            "expand": "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations",
            "id": str(issue.id),
            "self": f"{self.rest}/issue/{issue.id}",
            "key": self.store.key(issue),
        }
        renderers = self._fields
        values = {name: renderers[name](issue) for name in fields}
        if self.cloud and values.get("parent", 0) is None:
            del values["parent"]
        elif not self.cloud:  # there only sub-tasks have a parent
            values.pop("parent", None)
            if issue.type == 4 and issue.parent and not {"parent", "issuetype"}.isdisjoint(fields):
                values["parent"] = self.short(issue.parent)
        document["fields"] = values
        if "changelog" in expand:
            histories = self.content.histories(issue)
            sent = histories
            if self.cloud and inline_caps and "inline-caps" in self.store.traps:
                sent = histories[::-1][:CHANGELOG_CAP]
            elif self.cloud:
                sent = histories[::-1]
            document["changelog"] = {"startAt": 0, "maxResults": len(sent), "total": len(histories)}
            document["changelog"]["histories"] = [self.history(h) for h in sent]
        if "names" in expand:
            document["names"] = {f.id: f.name for f in self.store.configuration.fields if f.id in fields}
        if "schema" in expand:
            document["schema"] = {
                f.id: f.schema for f in self.store.configuration.fields if f.id in fields and f.schema
            }
        return document

    def complete(self, issue: Issue) -> Json:
        """An issue with every field, every comment, worklog and history: the expected record of a complete reader."""
        document = self.issue(issue, self.selected(["*all"]), frozenset())
        document["fields"]["comment"] = [self.comment(issue.id, c) for c in self.content.comments(issue)]
        document["fields"]["worklog"] = [self.worklog(issue.id, w) for w in self.content.worklogs(issue)]
        document["changelog"] = [self.history(h) for h in self.content.histories(issue)]
        return document
