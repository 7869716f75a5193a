"""The lists of a Jira site that administration and ingestion clients read: versions, components, categories, statuses, filters, workflows.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and https://developer.atlassian.com/server/jira/platform/rest/v10003/
"""

from typing import Any

from ingest_ray.simulators.atlassian.content.clock import spell_day
from ingest_ray.simulators.atlassian.jira.endpoints.agile_endpoints import JiraAgile
from ingest_ray.simulators.atlassian.jira.issue import SEVERITIES
from ingest_ray.simulators.atlassian.jira.rendering.issues import JsonRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.site_configuration import Named, Project
from ingest_ray.simulators.atlassian.query.jql_structure import parse_structure
from ingest_ray.simulators.atlassian.server.error_messages import BAD_PAYLOAD
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, RequestRefused, reply, route

CONTEXT = 10_100
"""The id of the only context of each custom field."""
OPTIONS = {
    "customfield_10020": SEVERITIES,
    "customfield_10026": (("10050", "Europe"), *((str(10_060 + n), f"Office {n}") for n in range(3))),
    "customfield_10027": tuple((str(10_070 + n), f"Customer {n}") for n in range(3)),
}
TYPES = {"software": "Software", "service_desk": "Service management", "business": "Business"}
CATEGORIES = (
    (1, "undefined", "medium-gray", "No Category"),
    (2, "new", "blue-gray", "To Do"),
    (4, "indeterminate", "yellow", "In Progress"),
    (3, "done", "green", "Done"),
)
EVENTS = ((1, "Issue Created"), (2, "Issue Updated"), (3, "Issue Assigned"), (13, "Generic Event"))
_PARENT_OPTION = "10050"


class JiraLists(JiraAgile):
    # Of projects.

    def version(self, renderer: JsonRenderer, project: Project, version: Named) -> Json:
        """The first versions are released; the last one has no date."""
        at = project.versions.index(version)
        document = renderer.named("version", version) | {"projectId": int(project.id), "released": at < 2}
        document |= {"description": f"Version {version.name}"} if at % 2 == 0 else {}
        dated = at < len(project.versions) - 1
        return document | ({"releaseDate": spell_day(self.store.started_ms), "overdue": at == 2} if dated else {})

    def component(self, renderer: JsonRenderer, project: Project, component: Named) -> Json:
        document = renderer.named("component", component) | {"project": project.key, "projectId": int(project.id)}
        document |= {"lead": renderer.person(project.lead), "assigneeType": "PROJECT_DEFAULT"}
        return document | {"realAssigneeType": "PROJECT_DEFAULT", "isAssigneeTypeValid": False}

    @route("GET /rest/api/{api}/project/{project}/versions")
    def versions(self, call: Call) -> Reply:
        renderer, project = self.renderer(call), self.project_of(call)
        return reply([self.version(renderer, project, v) for v in project.versions])

    @route("GET /rest/api/{api}/project/{project}/version")
    def version_page(self, call: Call) -> Reply:
        renderer, project = self.renderer(call), self.project_of(call)
        versions, states = [self.version(renderer, project, v) for v in project.versions], call.parameters("status")
        if unknown := [s for s in states if s not in ("released", "unreleased", "archived")]:
            raise self.refuse(400, f"'{unknown[0]}' is no status of a version.")
        if states:
            versions = [v for v in versions if ("released" if v["released"] else "unreleased") in states]
        return reply(self.page_bean(call, versions, 50, 50))

    @route("GET /rest/api/{api}/version/{id}")
    def one_version(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        for project in self.store.configuration.projects:
            for version in project.versions:
                if version.id == call.params["id"] and not project.deleted:
                    return reply(self.version(renderer, project, version))
        raise self.refuse(404, "The version does not exist or you do not have permission to view it.")

    @route("GET /rest/api/{api}/project/{project}/components")
    def components(self, call: Call) -> Reply:
        renderer, project = self.renderer(call), self.project_of(call)
        return reply([self.component(renderer, project, c) for c in project.components])

    @route("GET /rest/api/{api}/project/{project}/component")
    def component_page(self, call: Call) -> Reply:
        renderer, project = self.cloud_only(call), self.project_of(call)
        return reply(self.page_bean(call, [self.component(renderer, project, c) for c in project.components], 50, 50))

    @route("GET /rest/api/{api}/component/{id}")
    def one_component(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        for project in self.store.configuration.projects:
            for component in project.components:
                if component.id == call.params["id"] and not project.deleted:
                    return reply(self.component(renderer, project, component))
        raise self.refuse(404, f"The component with id {call.params['id']} does not exist.")

    @route("GET /rest/api/{api}/project/type")
    def project_types(self, call: Call) -> Reply:
        self.renderer(call)
        return reply([self._type(key) for key in TYPES])

    @route("GET /rest/api/{api}/project/type/{kind}")
    def project_type(self, call: Call) -> Reply:
        self.renderer(call)
        if call.params["kind"] not in TYPES:
            raise self.refuse(404, f"There is no project type '{call.params['kind']}'.")
        return reply(self._type(call.params["kind"]))

    def _type(self, key: str) -> Json:
        document: Json = {"key": key, "formattedKey": TYPES[key], "color": "#357DE8", "icon": ""}
        return document | {"descriptionI18nKey": f"jira.project.type.{key}"}

    @route("GET /rest/api/{api}/projectCategory")
    def project_categories(self, call: Call) -> Reply:
        return reply([self._category(self.renderer(call))])

    @route("GET /rest/api/{api}/projectCategory/{id}")
    def project_category(self, call: Call) -> Reply:
        category = self._category(self.renderer(call))
        if call.params["id"] != category["id"]:
            raise self.refuse(404, "The project category does not exist.")
        return reply(category)

    def _category(self, renderer: JsonRenderer) -> Json:
        where = f"{renderer.rest}/projectCategory/10000"
        return {"self": where, "id": "10000", "name": "Products", "description": "What is sold."}

    # Of the site.

    @route("GET /rest/api/{api}/statuscategory")
    def status_categories(self, call: Call) -> Reply:
        return reply([self._status_category(self.renderer(call), *category) for category in CATEGORIES])

    @route("GET /rest/api/{api}/statuscategory/{id}")
    def status_category(self, call: Call) -> Reply:
        for category in CATEGORIES:
            if call.params["id"] in (str(category[0]), category[1]):
                return reply(self._status_category(self.renderer(call), *category))
        raise self.refuse(404, f"The status category with id '{call.params['id']}' was not found")

    def _status_category(self, renderer: JsonRenderer, number: int, key: str, colour: str, name: str) -> Json:
        where = f"{renderer.rest}/statuscategory/{number}"
        return {"self": where, "id": number, "key": key, "colorName": colour, "name": name}

    @route("GET /rest/api/{api}/status/{id}")
    def one_status(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        for status in self.store.configuration.statuses:
            if call.params["id"] in (status.id, status.name):
                return reply(renderer.status(status))
        raise self.refuse(404, f"The status with id '{call.params['id']}' does not exist")

    @route("GET /rest/api/{api}/statuses/search")
    def search_statuses(self, call: Call) -> Reply:
        self.cloud_only(call)
        words = {2: "TODO", 3: "DONE", 4: "IN_PROGRESS", 1: "TODO"}
        part = call.parameter("searchString").lower()
        found = [
            {"id": s.id, "name": s.name, "description": s.description, "statusCategory": words[s.category],
             "scope": {"type": "GLOBAL"}}
            for s in self.store.configuration.statuses if part in s.name.lower()
        ]  # fmt: skip
        return reply(self.page_bean(call, found, 200, 200))

    @route("GET /rest/api/{api}/resolution/search")
    def search_resolutions(self, call: Call) -> Reply:
        renderer = self.cloud_only(call)
        resolutions = self.store.configuration.resolutions
        return reply(self.page_bean(call, [renderer.named("resolution", r) for r in resolutions], 50, 50))

    @route("GET /rest/api/{api}/resolution/{id}")
    def one_resolution(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        for resolution in self.store.configuration.resolutions:
            if call.params["id"] == resolution.id:
                return reply(renderer.named("resolution", resolution))
        raise self.refuse(404, f"The resolution with id '{call.params['id']}' does not exist.")

    @route("GET /rest/api/{api}/priority/{id}")
    def one_priority(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        for priority in self.store.configuration.priorities:
            if call.params["id"] == priority.id:
                return reply(renderer.priority(priority) | {"statusColor": "#cc0000", "description": ""})
        raise self.refuse(404, f"The priority with id '{call.params['id']}' does not exist.")

    @route("GET /rest/api/{api}/issuetype/{id}")
    def one_issue_type(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        for kind in self.store.configuration.types:
            if call.params["id"] == kind.id:
                return reply(renderer.issue_type(kind))
        raise self.refuse(404, f"The issue type with id '{call.params['id']}' does not exist.")

    @route("GET /rest/api/{api}/label")
    def labels(self, call: Call) -> Reply:
        self.cloud_only(call)
        return reply(self.page_bean(call, sorted(self.store.configuration.labels), 1000, 1000))

    @route("GET /rest/api/{api}/events")
    def events(self, call: Call) -> Reply:
        self.cloud_only(call)
        return reply([{"id": number, "name": name} for number, name in EVENTS])

    @route("GET /rest/api/{api}/workflow/search")
    def search_workflows(self, call: Call) -> Reply:
        self.cloud_only(call)
        workflow: Json = {"id": {"name": "jira", "entityId": "6b1c8f8a-0000-4000-8000-000000000001"}}
        workflow |= {"description": "The default workflow.", "isDefault": True}
        if "statuses" in call.parameters("expand"):
            workflow["statuses"] = [{"id": s.id, "name": s.name} for s in self.store.configuration.statuses]
        return reply(self.page_bean(call, [workflow], 50, 50))

    @route("POST /rest/api/{api}/jql/parse")
    def parse_jql(self, call: Call) -> Reply:
        self.cloud_only(call)
        queries = call.json_body().get("queries")
        if not isinstance(queries, list) or not queries or not all(isinstance(q, str) for q in queries):
            raise self.refuse(400, BAD_PAYLOAD)
        if call.parameter("validation", "strict") not in ("strict", "warn", "none"):
            raise self.refuse(400, "The validation mode is invalid.")
        return reply({"queries": [parse_structure(query) for query in queries]})

    # Filters and dashboards.

    def _filter(self, renderer: JsonRenderer, project: Project) -> Json:
        number = str(10_000 + project.index)
        jql = f"project = {project.key} ORDER BY Rank ASC"
        document: Json = {"id": number, "self": f"{renderer.rest}/filter/{number}", "name": f"Filter for {project.key}"}
        document |= {"description": "", "owner": renderer.person(project.lead), "jql": jql, "favourite": True}
        document |= {
            "viewUrl": f"{self.site}/issues/?filter={number}",
            "searchUrl": f"{renderer.rest}/search?jql={jql}",
        }
        return document | {
            "sharePermissions": [{"id": 10_000 + project.index, "type": "loggedin" if self.cloud else "global"}]
        }

    def _filters(self, renderer: JsonRenderer) -> list[Json]:
        return [self._filter(renderer, p) for p in self.store.configuration.projects if not p.deleted]

    @route("GET /rest/api/{api}/filter/search")
    def search_filters(self, call: Call) -> Reply:
        renderer, part = self.cloud_only(call), call.parameter("filterName").lower()
        expand = set(call.parameters("expand"))
        found = [f for f in self._filters(renderer) if part in f["name"].lower()]
        wide = {"description", "owner", "jql", "favourite", "viewUrl", "searchUrl", "sharePermissions"} - expand
        return reply(self.page_bean(call, [{k: v for k, v in f.items() if k not in wide} for f in found], 50, 100))

    @route("GET /rest/api/{api}/filter/favourite", "GET /rest/api/{api}/filter/my")
    def favourite_filters(self, call: Call) -> Reply:
        if call.path.endswith("/my"):
            self.cloud_only(call)
        return reply(self._filters(self.renderer(call)))

    @route("GET /rest/api/{api}/filter/{id}")
    def one_filter(self, call: Call) -> Reply:
        for document in self._filters(self.renderer(call)):
            if document["id"] == call.params["id"]:
                return reply(document)
        raise self.refuse(400 if call.params["id"].isdecimal() else 404, "The selected filter is not available to you.")

    @route("GET /rest/api/{api}/dashboard")
    def dashboards(self, call: Call) -> Reply:
        bean = self.page_bean(call, [self._dashboard(self.renderer(call))], 20, 1000, "dashboards")
        return reply({k: bean[k] for k in ("startAt", "maxResults", "total", "dashboards")})

    @route("GET /rest/api/{api}/dashboard/search")
    def search_dashboards(self, call: Call) -> Reply:
        return reply(self.page_bean(call, [self._dashboard(self.cloud_only(call))], 50, 100))

    @route("GET /rest/api/{api}/dashboard/{id}")
    def one_dashboard(self, call: Call) -> Reply:
        document = self._dashboard(self.renderer(call))
        if call.params["id"] != document["id"]:
            raise self.refuse(404, f"The dashboard with id '{call.params['id']}' does not exist.")
        return reply(document)

    def _dashboard(self, renderer: JsonRenderer) -> Json:
        document: Json = {"id": "10000", "self": f"{renderer.rest}/dashboard/10000", "name": "System Dashboard"}
        document |= {"view": f"{self.site}/secure/Dashboard.jspa?selectPageId=10000"}
        return document | ({"isFavourite": False, "popularity": 1, "sharePermissions": []} if self.cloud else {})

    # Options of custom fields.

    def _options(self, field_id: str) -> list[Json]:
        parent = {"optionId": _PARENT_OPTION} if field_id == "customfield_10026" else {}
        return [
            {"id": number, "value": value, "disabled": False} | (parent if number != _PARENT_OPTION else {})
            for number, value in OPTIONS.get(field_id, ())
        ]

    def _custom_field(self, field_id: str) -> str:
        if not any(spec.id == field_id and spec.custom for spec in self.store.configuration.fields):
            raise self.refuse(404, f"The custom field '{field_id}' was not found.")
        return field_id

    @route("GET /rest/api/{api}/field/{field}/context")
    def field_contexts(self, call: Call) -> Reply:
        self.cloud_only(call)
        self._custom_field(call.params["field"])
        context: Json = {"id": str(CONTEXT), "name": "Default context", "description": ""}
        return reply(self.page_bean(call, [context | {"isGlobalContext": True, "isAnyIssueType": True}], 50, 50))

    @route("GET /rest/api/{api}/field/{field}/context/{context}/option")
    def field_options(self, call: Call) -> Reply:
        self.cloud_only(call)
        field_id = self._custom_field(call.params["field"])
        if call.params["context"] != str(CONTEXT):
            raise self.refuse(404, "The custom field context was not found.")
        if field_id not in OPTIONS:
            raise self.refuse(400, "This field does not support options.")
        return reply(self.page_bean(call, self._options(field_id), 100, 100))

    @route("GET /rest/api/{api}/customFields/{field}/options")
    def custom_field_options(self, call: Call) -> Reply:
        """Data Center: pages by `page` and `maxResults`, from 1."""
        if self.cloud:
            raise RequestRefused(self.unknown_path_reply(call))
        rest = self.renderer(call).rest
        options: list[Any] = self._options(self._custom_field(f"customfield_{call.params['field']}"))
        page, size = max(call.integer("page", 1), 1), max(call.integer("maxResults", 50), 1)
        part = [
            {"self": f"{rest}/customFieldOption/{o['id']}", "id": int(o["id"]), "value": o["value"], "disabled": False,
             "childrenIds": [int(c["id"]) for c in options if c.get("optionId") == o["id"]]}
            for o in options[(page - 1) * size : page * size]
        ]  # fmt: skip
        return reply({"options": part, "total": len(options)})
