"""The other common endpoints of Jira Cloud and Jira Data Center: fields, statuses, projects, roles, boards."""

from collections.abc import Sequence
from typing import Any

from ingest_ray.simulators.atlassian.jira.issue_endpoints import JiraIssues
from ingest_ray.simulators.atlassian.jira.json_renderer import Json, JsonRenderer
from ingest_ray.simulators.atlassian.jira.site_configuration import FieldSpec, Project
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

PROFILE_EXTRAS: Json = {
    "groups": {"size": 2, "items": []},
    "applicationRoles": {"size": 1, "items": []},
    "expand": "groups,applicationRoles",
}  # of `myself`


class JiraSite(JiraIssues):
    # Fields, statuses, priorities, types.

    @route("GET /rest/api/{api}/field")
    def fields(self, call: Call) -> Reply:
        return reply([self.field(f) for f in self.store.configuration.fields if self.cloud or not f.cloud_only])

    def field(self, spec: FieldSpec) -> Json:
        document: Json = {"id": spec.id, "name": spec.name, "custom": spec.custom, "orderable": spec.custom}
        document |= {"navigable": spec.navigable, "searchable": True, "clauseNames": spec.clause_names}
        if self.cloud:
            document["key"] = spec.id
        return document | {"schema": spec.schema} if spec.schema else document

    @route("GET /rest/api/{api}/status")
    def statuses(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        return reply([renderer.status(s) for s in self.store.configuration.statuses])

    @route("GET /rest/api/{api}/priority")
    def priorities(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        colour = {"statusColor": "#cc0000", "description": ""}
        return reply([renderer.priority(p) | colour for p in self.store.configuration.priorities])

    @route("GET /rest/api/{api}/resolution")
    def resolutions(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        return reply([renderer.named("resolution", r) for r in self.store.configuration.resolutions])

    @route("GET /rest/api/{api}/issuetype")
    def issue_types(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        return reply([renderer.issue_type(t) for t in self.store.configuration.types])

    @route("GET /rest/api/{api}/issueLinkType")
    def link_types(self, call: Call) -> Reply:
        return reply(
            {"issueLinkTypes": [{"id": "10000", "name": "Blocks", "inward": "is blocked by", "outward": "blocks"}]}
        )

    # Projects.

    def project(self, renderer: JsonRenderer, project: Project, *, wide: bool) -> Json:
        document = renderer.project_short(project)
        if self.cloud:
            document |= {
                "style": project.style,
                "isPrivate": False,
                "properties": {},
                "expand": "description,lead,issueTypes,url",
            }
        if project.archived:
            document["archived"] = True
        if wide:
            document |= {"description": f"All about {project.name}.", "lead": renderer.person(project.lead)}
            document["issueTypes"] = [renderer.issue_type(t) for t in self.store.configuration.types]
            document["components"] = [renderer.named("component", c) for c in project.components]
            document["versions"] = [renderer.named("version", v) for v in project.versions]
            document |= {"roles": self._roles(renderer, project), "assigneeType": "UNASSIGNED"}
        return document

    def _roles(self, renderer: JsonRenderer, project: Project) -> Json:
        names = ("Administrators", "Developers", "Viewers")
        return {name: f"{renderer.rest}/project/{project.id}/role/{10_002 + n}" for n, name in enumerate(names)}

    @route("GET /rest/api/{api}/project/{project}")
    def get_project(self, call: Call) -> Reply:
        return reply(self.project(self.renderer(call), self.project_of(call), wide=True))

    @route("GET /rest/api/{api}/project/{project}/statuses")
    def project_statuses(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        self.project_of(call)
        statuses = [renderer.status(s) for s in self.store.configuration.statuses]
        keep = ("self", "id", "name", "subtask")
        types = [renderer.issue_type(t) for t in self.store.configuration.types]
        return reply([{k: t[k] for k in keep} | {"statuses": statuses} for t in types])

    @route("GET /rest/api/{api}/project/{project}/role")
    def project_roles(self, call: Call) -> Reply:
        return reply(self._roles(self.renderer(call), self.project_of(call)))

    @route("GET /rest/api/{api}/project/{project}/role/{role}")
    def project_role(self, call: Call) -> Reply:
        renderer, project = self.renderer(call), self.project_of(call)
        names = {v.rpartition("/")[2]: k for k, v in self._roles(renderer, project).items()}
        if call.params["role"] not in names:
            raise self.refuse(404, f"Can not find a role with id '{call.params['role']}'.")
        number = int(call.params["role"])
        group = self.store.groups[number - 10_002]
        lead = self.store.people[project.lead]
        document: Json = {
            "self": f"{renderer.rest}/project/{project.id}/role/{number}",
            "name": names[str(number)],
            "id": number,
        }
        user: Json = {"id": 1, "displayName": lead.display, "type": "atlassian-user-role-actor"}
        team: Json = {"id": 2, "displayName": group.name, "type": "atlassian-group-role-actor", "name": group.name}
        team["actorGroup"] = {"name": group.name, "displayName": group.name}
        if self.cloud:
            user["actorUser"] = {"accountId": lead.account_id}
            team["actorGroup"]["groupId"] = group.group_id
        else:
            user["name"] = lead.username
        return reply(document | {"actors": [user, team], "description": f"{names[str(number)]} of a project"})

    @route("GET /rest/api/{api}/project/{project}/permissionscheme")
    def permission_scheme(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        self.project_of(call)
        document: Json = {
            "self": f"{renderer.rest}/permissionscheme/10000",
            "id": 10_000,
            "name": "Default scheme",
            "description": "",
        }
        if "all" in call.parameters("expand") or "permissions" in call.parameters("expand"):
            role = {"type": "projectRole", "parameter": "10002", "expand": "projectRole"} | (
                {"value": "10002"} if self.cloud else {}
            )
            grants = (("BROWSE_PROJECTS", {"type": "applicationRole"}), ("ADMINISTER_PROJECTS", role))
            document["permissions"] = [
                {"id": 10_100 + n, "self": f"{renderer.rest}/permissionscheme/10000/permission/{10_100 + n}", "holder": h, "permission": p}
                for n, (p, h) in enumerate(grants)
            ]  # fmt: skip
        return reply(document)

    @route("GET /rest/api/{api}/project/{project}/securitylevel")
    def security_levels(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        self.project_of(call)
        return reply(
            {"levels": [renderer.named("securitylevel", level) for level in self.store.configuration.security]}
        )

    @route("GET /rest/api/{api}/mypermissions")
    def my_permissions(self, call: Call) -> Reply:
        names = call.parameters("permissions") or ["BROWSE_PROJECTS"]
        return reply({"permissions": {n: {"id": "10", "key": n, "name": n, "type": "PROJECT", "description": "",
                                          "havePermission": n != "ADMINISTER"} for n in names}})  # fmt: skip

    # Agile.

    @route("GET /rest/agile/1.0/board")
    def boards(self, call: Call) -> Reply:
        values = []
        for project in self.store.configuration.projects:
            if project.archived or project.deleted:
                continue
            number = project.index + 1
            board: Json = {
                "id": number,
                "self": f"{self.site}/rest/agile/1.0/board/{number}",
                "name": f"{project.key} board",
            }
            board["type"] = "scrum" if project.index % 2 == 0 else "kanban"
            board["location"] = {"projectId": int(project.id), "projectKey": project.key, "projectName": project.name}
            values.append(board)
        return reply(self._agile(call, values))

    def _agile(self, call: Call, values: Sequence[Any], key: str = "values") -> Json:
        bean = self.page_bean(call, values, 50, 100 if key == "issues" else 50, key)
        return {
            k: v for k, v in bean.items() if k not in ("self", "nextPage") and not (key == "issues" and k == "isLast")
        }

    @route("GET /rest/agile/1.0/board/{board}/sprint")
    def sprints(self, call: Call) -> Reply:
        number = int(call.params["board"]) if call.params["board"].isdecimal() else 0
        if not 0 < number <= len(self.store.configuration.projects):
            raise self.refuse(
                404,
                "The requested board cannot be viewed because it either does not exist or you do not have permission to view it.",
            )
        if number % 2 == 0:
            raise self.refuse(400, "The board does not support sprints")
        states = ("closed", "closed", "active", "future", "future")
        first = (number - 1) * 10
        values = [
            {"id": first + n, "self": f"{self.site}/rest/agile/1.0/sprint/{first + n}", "state": state,
             "name": f"Sprint {first + n}", "originBoardId": number, "goal": ""} for n, state in enumerate(states)
        ]  # fmt: skip
        return reply(self._agile(call, values))

    @route("GET /rest/agile/1.0/sprint/{sprint}/issue")
    def sprint_issues(self, call: Call) -> Reply:
        renderer = next(reversed(self.renderers.values())) if not self.cloud else self.renderers["2"]
        number = int(call.params["sprint"])
        project = number // 10
        if project >= len(self.store.index.projects):
            raise self.refuse(404, "The sprint does not exist or you do not have permission to view it.")
        documents = self.store.index.documents
        ids = [
            i for i in self.store.index.projects[project].by_id
            if i % 3 == 0 and i % 5 == number % 10 and documents[i].type != 0
        ]  # fmt: skip
        bean = self._agile(call, ids, "issues")
        fields = renderer.selected(call.parameters("fields") or ["*navigable"])
        issues = [self.store.issues[i] for i in bean["issues"] if i in self.store.issues]
        return reply(
            bean
            | {
                "issues": self.render_issues(renderer, issues, fields, call.parameters("expand")),
                "expand": "schema,names",
            }
        )
