"""What administration clients read beside lists: counts of versions and components, creation metadata, schemes, screens, assignable people.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and https://developer.atlassian.com/server/jira/platform/rest/v10003/
"""

from typing import Any

from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.jira.endpoints.list_endpoints import OPTIONS
from ingest_ray.simulators.atlassian.jira.endpoints.request_endpoints import JiraRequests
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.rendering.issues import JsonRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, RequestRefused, reply, route

NOTIFICATION_SCHEME = 10_000
SETTINGS = (
    ("jira.title", "Jira", "string"),
    ("jira.option.voting", "true", "boolean"),
    ("jira.option.watching", "true", "boolean"),
)


class JiraAdministration(JiraRequests):
    # Issues, versions, components.

    @route("GET /rest/api/{api}/issue/{key}/worklog/{id}")
    def one_worklog(self, call: Call) -> Reply:
        renderer, issue = self.renderer(call), self.issue_of(call)
        for worklog in self.store.content.worklogs(issue):
            if str(worklog.id) == call.params["id"]:
                return reply(renderer.worklog(issue.id, worklog))
        raise self.refuse(404, f"Cannot find worklog with id: '{call.params['id']}'.")

    @route("GET /rest/api/{api}/issueLink/{id}")
    def issue_link(self, call: Call) -> Reply:
        """Both of its issues; without one that the account may not see, there is no link."""
        renderer = self.renderer(call)
        issue = self.store.find(call.params["id"]) if call.params["id"].isdecimal() else None
        links = renderer.field_issuelinks(issue) if issue is not None else []
        for link in links:
            if link["id"] == call.params["id"] and "outwardIssue" in link and issue is not None:
                return reply(link | {"inwardIssue": renderer.short(issue.id)})
        raise self.refuse(404, f"No issue link with id '{call.params['id']}' exists.")

    def _counted(self, kind: str, number: str) -> list[Issue]:
        """The issues of a version or a component. Refuses an unknown one."""
        for project in self.store.configuration.projects:
            for at, named in enumerate(getattr(project, kind)):
                if named.id == number and not project.deleted:
                    name = "components" if kind == "components" else "fix_versions"
                    issues = (
                        self.store.issues[n] for n in self.store.project_issues(project) if n in self.store.issues
                    )
                    return [issue for issue in issues if at in getattr(issue, name, ())]
        raise self.refuse(404, f"The {kind.removesuffix('s')} with id {number} does not exist.")

    @route("GET /rest/api/{api}/component/{id}/relatedIssueCounts")
    def component_counts(self, call: Call) -> Reply:
        rest, number = self.renderer(call).rest, call.params["id"]
        return reply({"self": f"{rest}/component/{number}", "issueCount": len(self._counted("components", number))})

    @route("GET /rest/api/{api}/version/{id}/relatedIssueCounts")
    def version_counts(self, call: Call) -> Reply:
        rest, number = self.renderer(call).rest, call.params["id"]
        found = len(self._counted("versions", number))
        document: Json = {"self": f"{rest}/version/{number}", "issuesFixedCount": found, "issuesAffectedCount": 0}
        return reply(document | {"issueCountWithCustomFieldsShowingVersion": 0, "customFieldUsage": []})

    @route("GET /rest/api/{api}/version/{id}/unresolvedIssueCount")
    def version_unresolved(self, call: Call) -> Reply:
        rest, number = self.renderer(call).rest, call.params["id"]
        issues = self._counted("versions", number)
        document: Json = {
            "self": f"{rest}/version/{number}",
            "issuesUnresolvedCount": sum(i.resolution < 0 for i in issues),
        }
        return reply(document | ({"issuesCount": len(issues)} if self.cloud else {}))

    # Metadata of creation, options, screens.

    @route("GET /rest/api/{api}/issue/createmeta/{project}/issuetypes")
    def creation_types(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        self.project_of(call)
        types = [renderer.issue_type(kind) for kind in self.store.configuration.types]
        return reply(self._listed(call, types, "issueTypes"))

    @route("GET /rest/api/{api}/issue/createmeta/{project}/issuetypes/{type}")
    def creation_fields(self, call: Call) -> Reply:
        self.renderer(call)
        self.project_of(call)
        if not any(kind.id == call.params["type"] for kind in self.store.configuration.types):
            raise self.refuse(404, f"Issue type '{call.params['type']}' does not exist in the project.")
        fields: list[Json] = []
        for spec in self.store.configuration.fields:
            if spec.schema and (self.cloud or not spec.cloud_only):
                document: Json = {"required": spec.id == "summary", "schema": spec.schema, "name": spec.name}
                document |= {"fieldId": spec.id, "hasDefaultValue": False, "operations": ["set"]}
                fields.append(document | ({"key": spec.id} if self.cloud else {}))
        return reply(self._listed(call, fields, "fields"))

    def _listed(self, call: Call, values: list[Any], cloud_name: str) -> Json:
        """Cloud names the list by what is in it, and says no `isLast`; Data Center has `values`."""
        bean = self.page_bean(call, values, 50, 200)
        if not self.cloud:
            return bean
        return {name: bean[name] for name in ("startAt", "maxResults", "total")} | {cloud_name: bean["values"]}

    @route("GET /rest/api/{api}/customFieldOption/{id}")
    def custom_field_option(self, call: Call) -> Reply:
        rest = self.renderer(call).rest
        for options in OPTIONS.values():
            for number, value in options:
                if number == call.params["id"]:
                    document: Json = {"self": f"{rest}/customFieldOption/{number}", "value": value}
                    return reply(document if self.cloud else document | {"disabled": False})
        raise self.refuse(404, f"A custom field option with id '{call.params['id']}' does not exist.")

    @route("GET /rest/api/{api}/screens")
    def screens(self, call: Call) -> Reply:
        self.renderer(call)
        screen: Json = {"id": 1, "name": "Default Screen", "description": "Allows to update all system fields."}
        return reply(self.page_bean(call, [screen], 100, 100))

    @route("GET /rest/api/{api}/workflow")
    def workflows(self, call: Call) -> Reply:
        """Data Center only; Cloud has `workflow/search`."""
        if self.cloud:
            raise RequestRefused(self.unknown_path_reply(call))
        return reply([{"name": "jira", "description": "The default Jira workflow.", "steps": 5, "default": True}])

    # Schemes and settings.

    def _notification_scheme(self, renderer: JsonRenderer) -> Json:
        where = f"{renderer.rest}/notificationscheme/{NOTIFICATION_SCHEME}"
        scheme: Json = {
            "id": NOTIFICATION_SCHEME,
            "self": where,
            "name": "Default Notification Scheme",
            "description": "",
        }
        event = {"id": 1, "name": "Issue Created", "description": "This is the issue created event."}
        notification = {"id": 1, "notificationType": "Reporter"}
        return scheme | {"notificationSchemeEvents": [{"event": event, "notifications": [notification]}]}

    @route("GET /rest/api/{api}/notificationscheme")
    def notification_schemes(self, call: Call) -> Reply:
        return reply(self.page_bean(call, [self._notification_scheme(self.renderer(call))], 50, 50))

    @route("GET /rest/api/{api}/notificationscheme/{id}")
    def notification_scheme(self, call: Call) -> Reply:
        if call.params["id"] != str(NOTIFICATION_SCHEME):
            raise self.refuse(404, "The notification scheme does not exist.")
        return reply(self._notification_scheme(self.renderer(call)))

    @route("GET /rest/api/{api}/project/{project}/notificationscheme")
    def project_notification_scheme(self, call: Call) -> Reply:
        self.project_of(call)
        return reply(self._notification_scheme(self.renderer(call)))

    @route("GET /rest/api/{api}/project/{project}/priorityscheme")
    def project_priority_scheme(self, call: Call) -> Reply:
        """Data Center only."""
        if self.cloud:
            raise RequestRefused(self.unknown_path_reply(call))
        self.project_of(call)
        ids = [priority.id for priority in self.store.configuration.priorities]
        where = f"{self.renderer(call).rest}/priorityschemes/10000"
        document: Json = {"id": 10_000, "self": where, "name": "Default priority scheme", "description": ""}
        return reply(document | {"defaultScheme": True, "defaultOptionId": ids[0], "optionIds": ids})

    @route("GET /rest/api/{api}/application-properties")
    def settings(self, call: Call) -> Reply:
        self.renderer(call)
        wanted = call.parameter("key")
        found = [
            {"id": k, "key": k, "value": v, "name": k, "desc": "", "type": t, "defaultValue": v} for k, v, t in SETTINGS
        ]
        if wanted and not any(each["key"] == wanted for each in found):
            raise self.refuse(404, f"There is no property '{wanted}'.")
        return reply(next(each for each in found if each["key"] == wanted) if wanted and not self.cloud else
                     [each for each in found if wanted in ("", each["key"])])  # fmt: skip

    @route("GET /rest/api/{api}/attachment/meta")
    def attachment_settings(self, call: Call) -> Reply:
        self.renderer(call)
        return reply({"enabled": True, "uploadLimit": 10_485_760})

    @route("GET /rest/api/{api}/issue/{key}/pinned-comments")
    def pinned_comments(self, call: Call) -> Reply:
        """Data Center only: nothing is pinned here."""
        if self.cloud:
            raise RequestRefused(self.unknown_path_reply(call))
        self.issue_of(call)
        return reply([])

    @route("GET /rest/api/{api}/permissions")
    def all_permissions(self, call: Call) -> Reply:
        self.renderer(call)
        names = (("BROWSE_PROJECTS", "PROJECT"), ("ADMINISTER", "GLOBAL"))
        return reply({"permissions": {n: {"key": n, "name": n, "type": kind, "description": ""} for n, kind in names}})

    @route("GET /rest/api/{api}/configuration")
    def configuration(self, call: Call) -> Reply:
        self.renderer(call)
        tracking = {"workingHoursPerDay": 8.0, "workingDaysPerWeek": 5.0, "timeFormat": "pretty", "defaultUnit": "day"}
        switches = ("voting", "watching", "unassignedIssues", "subTasks", "issueLinking", "timeTracking", "attachments")
        return reply({f"{name}Enabled": True for name in switches if name != "unassignedIssues"}
                     | {"unassignedIssuesAllowed": True, "timeTrackingConfiguration": tracking})  # fmt: skip

    @route("GET /rest/api/{api}/jql/autocompletedata")
    def autocomplete(self, call: Call) -> Reply:
        self.renderer(call)
        fields = [
            {"value": spec.clause_names[0], "displayName": spec.name, "orderable": "true", "searchable": "true",
             "operators": ["=", "!=", "in", "not in", "is", "is not"], "types": ["java.lang.String"]}
            for spec in self.store.configuration.fields if spec.clause_names
        ]  # fmt: skip
        words = ["and", "or", "not", "in", "is", "empty", "null", "order", "by", "was", "changed"]
        return reply({"visibleFieldNames": fields, "visibleFunctionNames": [], "jqlReservedWords": words})

    @route("GET /rest/api/{api}/filter/{id}/permission")
    def filter_permissions(self, call: Call) -> Reply:
        for document in self._filters(self.renderer(call)):
            if document["id"] == call.params["id"]:
                return reply(document["sharePermissions"])
        raise self.refuse(404, "The selected filter is not available to you.")

    # People.

    @route("GET /rest/api/{api}/user/assignable/search", "GET /rest/api/{api}/user/assignable/multiProjectSearch")
    def assignable(self, call: Call) -> Reply:
        """People whose name has the text. All active ones may be assigned here."""
        self.renderer(call)
        keys = call.parameters("projectKeys") or call.parameters("project")
        known = {project.key for project in self.store.configuration.projects}
        if unknown := [key for key in keys if key not in known]:
            raise self.refuse(404, f"No project could be found with key '{unknown[0]}'.")
        text = (call.parameter("query") or call.parameter("username")).lower()
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 1), 1000)
        people = [person for person in self.store.people if person.active and self._matches(person, text)]
        return reply([self.person_document(person) for person in people[start : start + size]])

    def _matches(self, person: Person, text: str) -> bool:
        return text in ("", ".") or text in f"{person.username} {person.display} {person.email}".lower()

    @route("GET /rest/api/{api}/group")
    def group(self, call: Call) -> Reply:
        """Cloud only, and deprecated there; Data Center 10 has it no more."""
        renderer, name = self.cloud_only(call), call.parameter("groupname")
        for group in self.store.groups:
            if name == group.name or call.parameter("groupId") == group.group_id:
                people = [self.person_document(self.store.people[n]) for n in group.members]
                users: Json = {"size": len(people), "items": people[:50], "max-results": 50}
                users |= {"start-index": 0, "end-index": max(min(len(people), 50) - 1, 0)}
                document: Json = {"self": f"{renderer.rest}/group?groupname={group.name}", "name": group.name}
                return reply(document | {"groupId": group.group_id, "users": users, "expand": "users"})
        raise self.refuse(404, f"The group named '{name}' does not exist.")
