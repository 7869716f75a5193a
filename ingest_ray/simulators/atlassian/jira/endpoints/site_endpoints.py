"""The other common endpoints of Jira Cloud and Jira Data Center: fields, statuses, projects.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-projects/
"""

from ingest_ray.simulators.atlassian.jira.endpoints.administration_endpoints import JiraAdministration
from ingest_ray.simulators.atlassian.jira.issue import LINK_TYPES
from ingest_ray.simulators.atlassian.jira.rendering.issues import JsonRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.site_configuration import FieldSpec, Project
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

PROFILE_EXTRAS: Json = {
    "groups": {"size": 2, "items": []},
    "applicationRoles": {"size": 1, "items": []},
    "expand": "groups,applicationRoles",
}  # of `myself`


class JiraSite(JiraAdministration):
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
        return reply({"issueLinkTypes": [self._link_type(call, *kind) for kind in LINK_TYPES]})

    def _link_type(self, call: Call, number: str, name: str, inward: str, outward: str) -> Json:
        where = f"{self.renderer(call).rest}/issueLinkType/{number}"
        return {"id": number, "name": name, "inward": inward, "outward": outward, "self": where}

    @route("GET /rest/api/{api}/issueLinkType/{id}")
    def link_type(self, call: Call) -> Reply:
        for kind in LINK_TYPES:
            if kind[0] == call.params["id"]:
                return reply(self._link_type(call, *kind))
        raise self.refuse(404, f"No issue link type with id '{call.params['id']}' found.")

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
            document["versions"] = [self.version(renderer, project, v) for v in project.versions]
            document |= {"roles": self.roles_of(renderer, project), "assigneeType": "UNASSIGNED"}
        return document

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

    @route("GET /rest/api/{api}/mypermissions")
    def my_permissions(self, call: Call) -> Reply:
        names = call.parameters("permissions") or ["BROWSE_PROJECTS"]
        return reply({"permissions": {n: {"id": "10", "key": n, "name": n, "type": "PROJECT", "description": "",
                                          "havePermission": n != "ADMINISTER"} for n in names}})  # fmt: skip
