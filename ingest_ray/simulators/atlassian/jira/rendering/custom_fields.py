"""Renders the custom fields of issues, each by a method that is named `field_` and its id."""

from typing import Any

from ingest_ray.simulators.atlassian.content.clock import spell_day
from ingest_ray.simulators.atlassian.jira.access import field_groups
from ingest_ray.simulators.atlassian.jira.issue import SEVERITIES, Issue
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json, PartRenderer


class CustomFieldRenderer(PartRenderer):
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


def sprint_of(issue: Issue) -> int | None:
    """The sprint of an issue: boards of odd projects have none, epics are in none."""
    ordinal = issue.id // 3  # ids are three apart
    if issue.type == 0 or ordinal % 3 or issue.project % 2:
        return None
    return issue.project * 10 + ordinal % 5
