"""Projects, fields and priorities of Jira Cloud."""

from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import JiraSite
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route


class CloudProjects(JiraSite):
    @route("GET /rest/api/{api}/project/search")
    def project_search(self, call: Call) -> Reply:
        renderer, states = self.renderer(call), call.parameters("status") or ["live"]
        keys, ids = set(call.parameters("keys")), set(call.parameters("id"))
        chosen = [
            p for p in self.store.configuration.projects
            if ("deleted" if p.deleted else "archived" if p.archived else "live") in states
            and (not keys or p.key in keys) and (not ids or p.id in ids)
        ]  # fmt: skip
        if call.parameter("orderBy").startswith("-"):
            chosen.reverse()
        bean = self.page_bean(call, chosen, 50, 100)
        expand = call.parameters("expand")
        sent = []
        for project in bean["values"]:
            document = self.project(renderer, project, wide=False)
            if "lead" in expand:
                document["lead"] = renderer.person(project.lead)
            if "description" in expand:
                document["description"] = f"All about {project.name}."
            if "insight" in expand:
                ids_there = self.store.project_issues(project)
                document["insight"] = {"totalIssueCount": len(ids_there)}
                if ids_there:
                    newest = self.store.index.projects[project.index].by_updated[-1][0]
                    document["insight"]["lastIssueUpdateTime"] = renderer.time(newest)
            sent.append(document)
        return reply(bean | {"values": sent})

    @route("GET /rest/api/{api}/project")
    def projects(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        projects = [p for p in self.store.configuration.projects if not p.archived and not p.deleted]
        return reply([self.project(renderer, p, wide=False) for p in projects])

    @route("GET /rest/api/{api}/field/search")
    def field_search(self, call: Call) -> Reply:
        kinds = call.parameters("type")
        specs = [
            f
            for f in self.store.configuration.fields
            if f.schema and (not kinds or ("custom" if f.custom else "system") in kinds)
        ]
        bean = self.page_bean(call, specs, 50, 50)
        sent = []
        for spec in bean["values"]:
            document: Json = {"id": spec.id, "name": spec.name, "key": spec.id, "schema": spec.schema}
            sent.append(document | {"description": "", "isLocked": False} if spec.custom else document)
        return reply(bean | {"values": sent})

    @route("GET /rest/api/{api}/priority/search")
    def priority_search(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        bean = self.page_bean(call, self.store.configuration.priorities, 50, 50)
        colour = {"statusColor": "#cc0000", "description": "", "isDefault": False}
        return reply(bean | {"values": [renderer.priority(p) | colour for p in bean["values"]]})
