"""The endpoints of Jira Software: boards, their sprints, issues and epics.

Boards of odd projects are kanban boards, which answer 400 for sprints. Facts:
https://developer.atlassian.com/cloud/jira/software/rest/api-group-board/
"""

from collections.abc import Sequence
from typing import Any

from ingest_ray.simulators.atlassian.content.clock import DAY_MS
from ingest_ray.simulators.atlassian.jira.endpoints.access_endpoints import JiraAccess
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.rendering.custom_fields import sprint_of
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.site_configuration import Project
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

STATES = ("closed", "closed", "active", "future", "future")
"""By the sprint's number within its board."""
_SPRINT_DAYS = 14
_NO_BOARD = (
    "The requested board cannot be viewed because it either does not exist or you do not have permission to view it."
)


class JiraAgile(JiraAccess):
    def _agile(self, call: Call, values: Sequence[Any], key: str = "values") -> Json:
        bean = self.page_bean(call, values, 50, 100 if key == "issues" else 50, key)
        return {
            k: v for k, v in bean.items() if k not in ("self", "nextPage") and not (key == "issues" and k == "isLast")
        }

    def _board(self, project: Project) -> Json:
        number = project.index + 1
        board: Json = {"id": number, "self": f"{self.site}/rest/agile/1.0/board/{number}"}
        board |= {"name": f"{project.key} board", "type": "scrum" if project.index % 2 == 0 else "kanban"}
        if self.cloud:
            board |= {
                "location": {
                    "projectId": int(project.id),
                    "projectKey": project.key,
                    "projectName": project.name,
                    "projectTypeKey": project.kind,
                    "displayName": f"{project.name} ({project.key})",
                    "name": f"{project.name} ({project.key})",
                },
                "isPrivate": False,
            }
        return board

    @property
    def _projects(self) -> list[Project]:
        return [p for p in self.store.configuration.projects if not p.archived and not p.deleted]

    @route("GET /rest/agile/1.0/board")
    def boards(self, call: Call) -> Reply:
        kinds, wanted = call.parameters("type"), call.parameter("projectKeyOrId")
        if unknown := [kind for kind in kinds if kind not in ("scrum", "kanban", "simple")]:
            raise self.refuse(400, f"Board type '{unknown[0]}' is not supported.")
        boards = [self._board(p) for p in self._projects if not wanted or wanted in (p.id, p.key)]
        part = call.parameter("name").lower()
        values = [b for b in boards if (not kinds or b["type"] in kinds) and part in b["name"].lower()]
        return reply(self._agile(call, values))

    def _project_of_board(self, call: Call) -> Project:
        text = call.params["board"]
        number = int(text) if text.isdecimal() else 0
        project = next((p for p in self._projects if p.index + 1 == number), None)
        if project is None:
            raise self.refuse(404, _NO_BOARD)
        return project

    @route("GET /rest/agile/1.0/board/{board}")
    def board(self, call: Call) -> Reply:
        return reply(self._board(self._project_of_board(call)))

    @route("GET /rest/agile/1.0/board/{board}/configuration")
    def board_configuration(self, call: Call) -> Reply:
        project = self._project_of_board(call)
        board = self._board(project)
        document: Json = {k: board[k] for k in ("id", "name", "type", "self")}
        location = {"type": "project", "key": project.key, "id": project.id, "name": project.name}
        document["location"] = location | {"self": f"{self.site}/rest/api/3/project/{project.id}"}
        columns = [
            {"name": s.name, "statuses": [{"id": s.id, "self": f"{self.site}/rest/api/2/status/{s.id}"}]}
            for s in self.store.configuration.statuses
        ]
        document |= {"filter": {"id": str(10_000 + project.index)}, "subQuery": {"query": ""}}
        document |= {"columnConfig": {"columns": columns, "constraintType": "none"}}
        return reply(document | {"ranking": {"rankCustomFieldId": 10_019}})

    @route("GET /rest/agile/1.0/board/{board}/project")
    def board_projects(self, call: Call) -> Reply:
        project = self._project_of_board(call)
        renderer = self.renderers[max(self.renderers)]
        return reply(self._agile(call, [renderer.project_short(project)]))

    @route("GET /rest/agile/1.0/board/{board}/sprint")
    def sprints(self, call: Call) -> Reply:
        project, states = self._project_of_board(call), call.parameters("state")
        if project.index % 2:
            raise self.refuse(400, "The board does not support sprints")
        if unknown := [state for state in states if state not in STATES]:
            raise self.refuse(400, f"Sprint state '{unknown[0]}' is not supported.")
        values = [self._sprint(project.index * 10 + n) for n in range(len(STATES))]
        return reply(self._agile(call, [v for v in values if not states or v["state"] in states]))

    def _sprint(self, number: int) -> Json:
        """Past sprints end before the simulator's day, the active one is around it; future ones have no dates."""
        state = STATES[number % 10]
        document: Json = {
            "id": number,
            "self": f"{self.site}/rest/agile/1.0/sprint/{number}",
            "state": state,
            "name": f"Sprint {number}",
            "originBoardId": number // 10 + 1,
            "goal": "",
        }
        if state != "future":
            renderer = self.renderers[max(self.renderers)]
            start = self.store.started_ms - (2 - number % 10) * _SPRINT_DAYS * DAY_MS - 7 * DAY_MS
            end = start + _SPRINT_DAYS * DAY_MS
            document |= {"startDate": renderer.time(start), "endDate": renderer.time(end)}
            document |= {"completeDate": renderer.time(end)} if state == "closed" else {}
        return document

    def _sprint_of(self, call: Call) -> int:
        text = call.params["sprint"]
        number = int(text) if text.isdecimal() else -1
        known = {p.index for p in self._projects if p.index % 2 == 0}
        if number < 0 or number // 10 not in known or number % 10 >= len(STATES):
            raise self.refuse(404, "The sprint does not exist or you do not have permission to view it.")
        return number

    @route("GET /rest/agile/1.0/sprint/{sprint}")
    def sprint(self, call: Call) -> Reply:
        return reply(self._sprint(self._sprint_of(call)))

    def _issues(self, call: Call, issues: Sequence[Issue]) -> Reply:
        """Issues in the order of keys; rendered by version 2, as on Cloud."""
        renderer = self.renderers["2"]
        ordered = sorted(issues, key=lambda i: (self.store.configuration.projects[i.project].key, i.number))
        bean = self._agile(call, [issue.id for issue in ordered], "issues")
        fields = renderer.selected(call.parameters("fields") or ["*navigable"])
        chosen = [self.store.issues[i] for i in bean["issues"] if i in self.store.issues]
        sent = self.render_issues(renderer, chosen, fields, call.parameters("expand"))
        return reply(bean | {"issues": sent, "expand": "schema,names"})

    @route("GET /rest/agile/1.0/sprint/{sprint}/issue", "GET /rest/agile/1.0/board/{board}/sprint/{sprint}/issue")
    def sprint_issues(self, call: Call) -> Reply:
        number = self._sprint_of(call)
        return self._issues(call, [i for i in self.store.searchable_issues() if sprint_of(i) == number])

    @route("GET /rest/agile/1.0/board/{board}/issue")
    def board_issues(self, call: Call) -> Reply:
        project = self._project_of_board(call)
        return self._issues(call, [i for i in self.store.searchable_issues() if i.project == project.index])

    @route("GET /rest/agile/1.0/board/{board}/backlog")
    def board_backlog(self, call: Call) -> Reply:
        project = self._project_of_board(call)
        here = [i for i in self.store.searchable_issues() if i.project == project.index]
        return self._issues(call, [i for i in here if sprint_of(i) is None and not i.resolved])

    @route("GET /rest/agile/1.0/board/{board}/epic")
    def board_epics(self, call: Call) -> Reply:
        project, done = self._project_of_board(call), call.parameter("done")
        if done not in ("", "true", "false"):
            raise self.refuse(400, f"'{done}' is no boolean.")
        epics = [i for i in self.store.searchable_issues() if i.project == project.index and i.type == 0]
        chosen = [i for i in epics if not done or bool(i.resolved) == (done == "true")]
        return reply(self._agile(call, [self._epic(i) for i in chosen]))

    def _epic(self, issue: Issue) -> Json:
        summary = self.store.content.summary(issue)
        document: Json = {"id": issue.id, "key": self.store.key(issue), "name": summary, "summary": summary}
        document |= {"self": f"{self.site}/rest/agile/1.0/epic/{issue.id}", "color": {"key": "color_1"}}
        return document | {"done": bool(issue.resolved)}
