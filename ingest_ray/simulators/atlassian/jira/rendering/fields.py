"""Renders the system fields of issues, each by a method that is named `field_` and its id."""

from typing import Any

from ingest_ray.simulators.atlassian.content.clock import spell_day
from ingest_ray.simulators.atlassian.jira.issue import LINK_TYPES, Issue
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json, PartRenderer, duration

WORKLOG_CAP = 20  # worklogs inline, on Cloud and on Data Center


class FieldRenderer(PartRenderer):
    def field_summary(self, issue: Issue) -> Any:
        return self.content.summary(issue)

    def field_issuetype(self, issue: Issue) -> Any:
        return self.encode_once(
            "type", issue.type, None, lambda: self.issue_type(self.store.configuration.types[issue.type])
        )

    def field_project(self, issue: Issue) -> Any:
        project = self.store.configuration.projects[issue.project]
        return self.encode_once("project", issue.project, project.name, lambda: self.project_short(project))

    def field_status(self, issue: Issue) -> Any:
        return self.encode_once(
            "status", issue.status, None, lambda: self.status(self.store.configuration.statuses[issue.status])
        )

    def field_statusCategory(self, issue: Issue) -> Any:
        status = self.store.configuration.statuses[issue.status]
        return self.encode_once("category", issue.status, None, lambda: self.status(status)["statusCategory"])

    def field_statuscategorychangedate(self, issue: Issue) -> Any:
        return self.time(issue.resolved or issue.created)

    def field_priority(self, issue: Issue) -> Any:
        if issue.priority < 0:
            return None
        return self.encode_once(
            "priority", issue.priority, None, lambda: self.priority(self.store.configuration.priorities[issue.priority])
        )

    def field_resolution(self, issue: Issue) -> Any:
        if issue.resolution < 0:
            return None
        chosen = self.store.configuration.resolutions[issue.resolution]
        return self.encode_once("resolution", issue.resolution, None, lambda: self.named("resolution", chosen))

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
        return self.encode_once("security", issue.security, None, lambda: self.named("securitylevel", level))

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
