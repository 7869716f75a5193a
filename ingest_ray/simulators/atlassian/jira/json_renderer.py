"""Renders issues as Jira's JSON: v3 (ADF), v2 on Cloud (wiki markup, account ids), v2 on Data Center (user names)."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ingest_ray.simulators.atlassian.content import people as persons
from ingest_ray.simulators.atlassian.content.clock import spell, spell_day
from ingest_ray.simulators.atlassian.content.rich_text import Text, adf, wiki
from ingest_ray.simulators.atlassian.jira.access import field_groups
from ingest_ray.simulators.atlassian.jira.issue import (
    LINK_TYPES,
    SEVERITIES,
    Attachment,
    Comment,
    History,
    Issue,
    Worklog,
)
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore
from ingest_ray.simulators.atlassian.jira.site_configuration import IssueType, Named, Project, Status
from ingest_ray.simulators.atlassian.server.routing import encode

Json = dict[str, Any]
CHANGELOG_CAP = 40  # histories inline on Cloud, JRACLOUD-96459
WORKLOG_CAP = 20  # worklogs inline, on Cloud and on Data Center


class JsonRenderer:
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
        self._fields: dict[str, Callable[[Issue], Any]] = {
            name[6:]: getattr(self, name) for name in dir(type(self)) if name.startswith("field_")
        }

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

    def _encode_once(self, kind: str, number: int, state: Any, make: Callable[[], Json]) -> msgspec.Raw:
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

    # Fields, each named `field_` and its id.

    def field_summary(self, issue: Issue) -> Any:
        return self.content.summary(issue)

    def field_issuetype(self, issue: Issue) -> Any:
        return self._encode_once(
            "type", issue.type, None, lambda: self.issue_type(self.store.configuration.types[issue.type])
        )

    def field_project(self, issue: Issue) -> Any:
        project = self.store.configuration.projects[issue.project]
        return self._encode_once("project", issue.project, project.name, lambda: self.project_short(project))

    def field_status(self, issue: Issue) -> Any:
        return self._encode_once(
            "status", issue.status, None, lambda: self.status(self.store.configuration.statuses[issue.status])
        )

    def field_statusCategory(self, issue: Issue) -> Any:
        status = self.store.configuration.statuses[issue.status]
        return self._encode_once("category", issue.status, None, lambda: self.status(status)["statusCategory"])

    def field_statuscategorychangedate(self, issue: Issue) -> Any:
        return self.time(issue.resolved or issue.created)

    def field_priority(self, issue: Issue) -> Any:
        if issue.priority < 0:
            return None
        return self._encode_once(
            "priority", issue.priority, None, lambda: self.priority(self.store.configuration.priorities[issue.priority])
        )

    def field_resolution(self, issue: Issue) -> Any:
        if issue.resolution < 0:
            return None
        chosen = self.store.configuration.resolutions[issue.resolution]
        return self._encode_once("resolution", issue.resolution, None, lambda: self.named("resolution", chosen))

    def field_resolutiondate(self, issue: Issue) -> Any:
        return self.time(issue.resolved) if issue.resolved else None

    def field_created(self, issue: Issue) -> Any:
        return self.time(issue.created)

    def field_updated(self, issue: Issue) -> Any:
        return self.time(issue.updated)

    def field_creator(self, issue: Issue) -> Any:
        return self.person(issue.creator)

    def field_reporter(self, issue: Issue) -> Any:
        return self.person(issue.reporter)

    def field_assignee(self, issue: Issue) -> Any:
        return self.person(issue.assignee) if issue.assignee >= 0 else None

    def field_labels(self, issue: Issue) -> Any:
        return [self.store.configuration.labels[n] for n in issue.labels]

    def field_components(self, issue: Issue) -> Any:
        known = self.store.configuration.projects[issue.project].components
        return [self.named("component", known[n]) for n in issue.components]

    def field_fixVersions(self, issue: Issue) -> Any:
        known = self.store.configuration.projects[issue.project].versions
        return [self.named("version", known[n]) for n in issue.fix_versions]

    def field_versions(self, issue: Issue) -> Any:
        return []

    def field_description(self, issue: Issue) -> Any:
        text = self.content.description(issue)
        return self.rich(text) if text else None

    def field_environment(self, issue: Issue) -> Any:
        text = self.content.environment(issue)
        return self.rich(text) if text else None

    def field_duedate(self, issue: Issue) -> Any:
        return spell_day(issue.due) if issue.due else None

    def field_security(self, issue: Issue) -> Any:
        if issue.security < 0:
            return None
        level = self.store.configuration.security[issue.security]
        return self._encode_once("security", issue.security, None, lambda: self.named("securitylevel", level))

    def short(self, number: int) -> Json | None:
        """An issue as links, parents and sub-tasks show it; None where the account may not see it."""
        issue = self.store.issues.get(number)
        if issue is None or not self.store.visible(issue):
            return None
        fields = {"summary": self.content.summary(issue), "status": self.field_status(issue)}
        fields |= {"priority": self.field_priority(issue), "issuetype": self.field_issuetype(issue)}
        return {
            "id": str(number),
            "key": self.store.key(issue),
            "self": f"{self.rest}/issue/{number}",
            "fields": fields,
        }

    def field_parent(self, issue: Issue) -> Any:
        return self.short(issue.parent) if issue.parent else None

    def field_subtasks(self, issue: Issue) -> Any:
        return [short for number in self.store.children(issue.id) if (short := self.short(number)) is not None]

    def field_issuelinks(self, issue: Issue) -> Any:
        """A link has one id, and is in both of its issues; the account sees it where it sees the other one."""
        links = [] if not issue.link else [self._link(issue.id, "outwardIssue", issue.link)]
        links += [self._link(number, "inwardIssue", number) for number in self.store.linked_from(issue.id)]
        return [link for link in links if link is not None]

    def _link(self, link: int, direction: str, other_id: int) -> Json | None:
        other = self.short(other_id)
        if other is None:
            return None
        number, name, inward, outward = LINK_TYPES[link % 2]
        kind = {"id": number, "name": name, "inward": inward, "outward": outward}
        kind["self"] = f"{self.rest}/issueLinkType/{number}"
        return {"id": str(link), "self": f"{self.rest}/issueLink/{link}", "type": kind, direction: other}

    def field_attachment(self, issue: Issue) -> Any:
        return [self.attachment(a) for a in self.content.attachments(issue)]

    def field_comment(self, issue: Issue) -> Any:
        comments = self.content.comments(issue)
        total = len(comments)
        cap = int(self.store.traps.number("inline-caps")) if self.cloud else 0
        sent = comments[:cap] if cap else comments
        document: Json = {
            "comments": [self.comment(issue.id, c) for c in sent],
            "maxResults": cap if total > len(sent) else total,
        }
        document |= {"total": total, "startAt": 0}
        return document | {"self": f"{self.rest}/issue/{issue.id}/comment"} if self.cloud else document

    def field_worklog(self, issue: Issue) -> Any:
        logs = self.content.worklogs(issue)
        sent = logs[:WORKLOG_CAP] if "inline-caps" in self.store.traps else logs
        results = [self.worklog(issue.id, w) for w in sent]
        return {"startAt": 0, "maxResults": WORKLOG_CAP, "total": len(logs), "worklogs": results}

    def field_timetracking(self, issue: Issue) -> Any:
        spent = self.field_timespent(issue)
        return {"timeSpent": duration(spent), "timeSpentSeconds": spent} if spent else {}

    def field_timespent(self, issue: Issue) -> Any:
        return (
            sum(w.seconds for w in self.content.worklogs(issue)) or None
            if issue.worklogs or issue.more_worklogs
            else None
        )

    def field_timeestimate(self, issue: Issue) -> Any:
        return None

    def field_timeoriginalestimate(self, issue: Issue) -> Any:
        return None

    def field_votes(self, issue: Issue) -> Any:
        return {"self": f"{self.rest}/issue/{issue.id}/votes", "votes": issue.id // 3 % 3, "hasVoted": False}

    def field_watches(self, issue: Issue) -> Any:
        return {"self": f"{self.rest}/issue/{issue.id}/watchers", "watchCount": issue.id % 5, "isWatching": False}

    def field_workratio(self, issue: Issue) -> Any:
        return -1

    def field_customfield_10010(self, issue: Issue) -> Any:
        """Sprint: objects on Cloud, the well-known strings on Data Center."""
        number = sprint_of(issue)
        if number is None:
            return None
        state = ("closed", "closed", "active", "future", "future")[number % 10]
        if self.cloud:
            return [
                {"id": number, "name": f"Sprint {number}", "state": state, "boardId": issue.project + 1, "goal": ""}
            ]
        inner = f"id={number},rapidViewId={issue.project + 1},state={state.upper()},name=Sprint {number},goal=<null>"
        return [f"com.atlassian.greenhopper.service.sprint.Sprint@{number:x}[{inner}]"]

    def field_customfield_10016(self, issue: Issue) -> Any:
        return issue.points

    def field_customfield_10020(self, issue: Issue) -> Any:
        return self._option(*SEVERITIES[issue.severity]) if issue.severity >= 0 else None

    def _option(self, number: str, value: str) -> Json:
        return {"self": f"{self.rest}/customFieldOption/{number}", "value": value, "id": number}

    def field_customfield_10021(self, issue: Issue) -> Any:
        return f"free text {issue.id % 17}" if issue.id % 4 == 0 else None

    def field_customfield_10022(self, issue: Issue) -> Any:
        text = self.content.root_cause(issue)
        return self.rich(text) if text else None

    def field_customfield_10023(self, issue: Issue) -> Any:
        people = len(self.store.people)
        return [self.person(issue.id % people), self.person((issue.id + 7) % people)] if issue.id % 6 == 0 else None

    def field_customfield_10024(self, issue: Issue) -> Any:
        return spell_day(issue.created) if issue.id % 5 == 1 else None

    def field_customfield_10025(self, issue: Issue) -> Any:
        return self.time(issue.created - 1_234_567) if issue.id % 5 == 2 else None

    def field_customfield_10026(self, issue: Issue) -> Any:
        if issue.id % 8:
            return None
        return {
            **self._option("10050", "Europe"),
            "child": self._option(str(10_060 + issue.id % 3), f"Office {issue.id % 3}"),
        }

    def field_customfield_10027(self, issue: Issue) -> Any:
        return [self._option(str(10_070 + n), f"Customer {n}") for n in range(issue.id % 4)] or None

    def field_customfield_10028(self, issue: Issue) -> Any:
        return [f"l{issue.id % 13}", "shared"] if issue.id % 7 == 1 else None

    def field_customfield_10029(self, issue: Issue) -> Any:
        """Whole numbers above 2^53 - 1, and a fraction that floats cannot represent."""
        return (None, 9_007_199_254_740_993, 0.1, -12.75, 1e21)[issue.id % 5]

    def field_customfield_10030(self, issue: Issue) -> Any:
        return self.person(issue.id % len(self.store.people)) if issue.id % 10 == 4 else None

    def field_customfield_10031(self, issue: Issue) -> Any:
        return None

    def field_customfield_10040(self, issue: Issue) -> Any:
        groups = [self.store.groups[n] for n in field_groups(issue)]
        return [{"name": g.name} | ({"groupId": g.group_id} if self.cloud else {}) for g in groups] or None

    # Comments, worklogs, histories, attachments.

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

    # Whole issues.

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


def sprint_of(issue: Issue) -> int | None:
    """The sprint of an issue: boards of odd projects have none, epics are in none."""
    ordinal = issue.id // 3  # ids are three apart
    if issue.type == 0 or ordinal % 3 or issue.project % 2:
        return None
    return issue.project * 10 + ordinal % 5


def duration(seconds: int) -> str:
    """`1d 2h 5m`, with days of eight hours."""
    minutes = seconds // 60
    parts = ((minutes // 480, "d"), (minutes % 480 // 60, "h"), (minutes % 60, "m"))
    return " ".join(f"{n}{unit}" for n, unit in parts if n) or "0m"
