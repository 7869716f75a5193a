"""The endpoints of Jira Service Management: service desks, request types, requests and their SLAs.

https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-request/; Data Center has the same ones:
https://docs.atlassian.com/jira-servicedesk/REST/5.15.2/. Lists have `start`, `limit`, `size`, `isLastPage`, and no total.
"""

from collections.abc import Sequence
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import HOUR_MS
from ingest_ray.simulators.atlassian.jira.endpoints.list_endpoints import JiraLists
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.site_configuration import Project
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

GOAL_MS = 8 * HOUR_MS
MOST = 50
ROOT = "rest/servicedeskapi"
METRICS = ((1, "Time to first response"), (2, "Time to resolution"))


class JiraRequests(JiraLists):
    def _service_projects(self) -> list[Project]:
        return [p for p in self.store.configuration.projects if p.kind == "service_desk" and not p.deleted]

    def _paged(self, call: Call, values: Sequence[Any]) -> Json:
        start, size = max(call.integer("start", 0), 0), min(max(call.integer("limit", MOST), 1), MOST)
        part = list(values[start : start + size])
        last = start + size >= len(values)
        links: Json = {"self": f"{self.site}{call.path}", "base": self.site, "context": ""}
        links |= {} if last else {"next": f"{self.site}{call.path}?start={start + size}&limit={size}"}
        return {"size": len(part), "start": start, "limit": size, "isLastPage": last, "_links": links, "values": part}

    def _date(self, ms: int) -> Json:
        spelled = self.renderers["2"].time(ms)
        return {
            "iso8601": f"{spelled[:19]}{spelled[-5:]}",
            "jira": spelled,
            "friendly": spelled[:16],
            "epochMillis": ms,
        }

    def _portal(self, project: Project) -> Json:
        number = str(project.index + 1)
        document: Json = {"id": number, "projectId": project.id, "projectName": project.name, "projectKey": project.key}
        return document | {"_links": {"self": f"{self.site}/{ROOT}/servicedesk/{number}"}}

    @route("GET /rest/servicedeskapi/servicedesk")
    def portals(self, call: Call) -> Reply:
        return reply(self._paged(call, [self._portal(p) for p in self._service_projects()]))

    @route("GET /rest/servicedeskapi/servicedesk/{desk}")
    def portal(self, call: Call) -> Reply:
        for project in self._service_projects():
            if call.params["desk"] in (str(project.index + 1), f"projectId:{project.id}"):
                return reply(self._portal(project))
        raise self.refuse(404, "The service desk does not exist.")

    @route("GET /rest/servicedeskapi/servicedesk/{desk}/requesttype")
    def request_types(self, call: Call) -> Reply:
        self.portal(call)
        kinds = [
            {"id": "25", "name": "Get help", "description": "", "helpText": "", "serviceDeskId": call.params["desk"]}
        ]
        return reply(self._paged(call, kinds))

    def _request_of(self, call: Call) -> Issue:
        issue = self.issue_of(call)
        if self.store.configuration.projects[issue.project].kind != "service_desk":
            raise self.refuse(404, "The request does not exist.")
        return issue

    def _request(self, issue: Issue) -> Json:
        renderer, status = self.renderers["2"], self.store.configuration.statuses[issue.status]
        portal = str(issue.project + 1)
        document: Json = {
            "issueId": str(issue.id),
            "issueKey": self.store.key(issue),
            "summary": self.store.content.summary(issue),
        }
        document |= {"requestTypeId": "25", "serviceDeskId": portal, "createdDate": self._date(issue.created)}
        document |= {"reporter": renderer.person(issue.reporter), "requestFieldValues": []}
        category = {"new": "NEW", "indeterminate": "INDETERMINATE", "done": "DONE", "undefined": "UNDEFINED"}
        current = {"status": status.name, "statusCategory": category[status.category_key]}
        document["currentStatus"] = current | {"statusDate": self._date(issue.updated)}
        where = f"{self.site}/{ROOT}/request/{issue.id}"
        links = {"self": where, "jiraRest": f"{renderer.rest}/issue/{issue.id}"}
        return document | {
            "_links": links | {"web": f"{self.site}/servicedesk/customer/portal/{portal}/{self.store.key(issue)}"}
        }

    @route("GET /rest/servicedeskapi/request")
    def requests(self, call: Call) -> Reply:
        """Those of the account itself, unless `requestOwnership` says otherwise."""
        indices, all_of = (
            {p.index for p in self._service_projects()},
            call.parameter("requestOwnership") in ("ALL_REQUESTS", "PARTICIPATED_REQUESTS"),
        )
        found = [i for i in self.store.searchable_issues() if i.project in indices and (all_of or i.reporter == 0)]
        return reply(self._paged(call, [self._request(i) for i in found]))

    @route("GET /rest/servicedeskapi/request/{key}")
    def request(self, call: Call) -> Reply:
        issue, expand = self._request_of(call), call.parameters("expand")
        document = self._request(issue)
        if "sla" in expand:
            document["sla"] = self._paged(call, self._slas(issue))
        if "requestType" in expand:
            document["requestType"] = {"id": "25", "name": "Get help", "serviceDeskId": document["serviceDeskId"]}
        return reply(document)

    @route("GET /rest/servicedeskapi/request/{key}/sla")
    def slas(self, call: Call) -> Reply:
        return reply(self._paged(call, self._slas(self._request_of(call))))

    @route("GET /rest/servicedeskapi/request/{key}/comment")
    def request_comments(self, call: Call) -> Reply:
        issue, renderer = self._request_of(call), self.renderers["2"]
        comments = [
            {"id": str(c.id), "body": renderer.comment(issue.id, c)["body"], "public": not c.visibility,
             "author": renderer.person(c.author), "created": self._date(c.created)}
            for c in self.store.content.comments(issue)
        ]  # fmt: skip
        return reply(self._paged(call, comments))

    def _slas(self, issue: Issue) -> list[Json]:
        return [self._sla(issue, number, name) for number, name in METRICS]

    def _sla(self, issue: Issue, number: int, name: str) -> Json:
        """The first response is given after some hours; the resolution is as the issue's."""
        stop = issue.created + issue.id % 20 * HOUR_MS if number == 1 else issue.resolved
        document: Json = {
            "id": str(number),
            "name": name,
            "_links": {"self": f"{self.site}/{ROOT}/request/{issue.id}/sla/{number}"},
        }
        elapsed = (stop or self.store.started_ms) - issue.created
        times = {"goalDuration": _duration(GOAL_MS), "elapsedTime": _duration(elapsed)}
        times |= {"remainingTime": _duration(GOAL_MS - elapsed)}
        cycle: Json = {"startTime": self._date(issue.created), "breached": elapsed > GOAL_MS} | times
        cycle["breachTime"] = self._date(issue.created + GOAL_MS)
        if stop:
            return document | {"completedCycles": [cycle | {"stopTime": self._date(stop)}]}
        ongoing = cycle | {"paused": False, "withinCalendarHours": True}
        return document | {"completedCycles": [], "ongoingCycle": ongoing}


def _duration(ms: int) -> Json:
    sign, minutes = "-" if ms < 0 else "", abs(ms) // 60_000
    return {"millis": ms, "friendly": f"{sign}{minutes // 60}h {minutes % 60}m"}
