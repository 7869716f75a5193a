"""The endpoints of access: project roles, permission schemes, security schemes and levels, application roles, groups.

Members of security levels are in the API of Cloud only; Data Center tells who may read one issue (`user/viewissue/search`).
https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-security-schemes/ and
https://developer.atlassian.com/server/jira/platform/rest/v10003/api-group-issuesecurityschemes/
"""

from typing import Any
from urllib.parse import unquote

from ingest_ray.simulators.atlassian.content.people import Person, jira_cloud, jira_dc
from ingest_ray.simulators.atlassian.jira.access import APPLICATIONS, ROLES, AccessRules, Holder
from ingest_ray.simulators.atlassian.jira.endpoints.issue_parts import JiraIssueParts
from ingest_ray.simulators.atlassian.jira.rendering.issues import JsonRenderer
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.jira.site_configuration import Named, Project
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route

SCHEME = 10_000
"""The id of the first permission scheme, and that of the only security scheme."""
MOST_FOUND = 1000


class JiraAccess(JiraIssueParts):
    @property
    def rules(self) -> AccessRules:
        return self.store.access

    # Roles.

    def roles_of(self, renderer: JsonRenderer, project: Project) -> Json:
        return {name: f"{renderer.rest}/project/{project.id}/role/{number}" for number, name in ROLES}

    @route("GET /rest/api/{api}/project/{project}/role")
    def project_roles(self, call: Call) -> Reply:
        return reply(self.roles_of(self.renderer(call), self.project_of(call)))

    @route("GET /rest/api/{api}/project/{project}/role/{role}")
    def project_role(self, call: Call) -> Reply:
        renderer, project = self.renderer(call), self.project_of(call)
        names = {str(number): name for number, name in ROLES}
        if call.params["role"] not in names:
            raise self.refuse(404, f"Can not find a role with id '{call.params['role']}'.")
        number = int(call.params["role"])
        document: Json = {"self": f"{renderer.rest}/project/{project.id}/role/{number}"}
        document |= {"name": names[str(number)], "id": number, "actors": self._actors(project, number)}
        return reply(document | {"description": f"{names[str(number)]} of a project"})

    def _actors(self, project: Project, role: int) -> list[Json]:
        users, groups = self.rules.actors_of(project.index, role)
        actors: list[Json] = []
        for person in (self.store.people[n] for n in users):
            actor: Json = {"id": len(actors) + 1, "displayName": person.display, "type": "atlassian-user-role-actor"}
            actor |= {"actorUser": {"accountId": person.account_id}} if self.cloud else {"name": person.username}
            actors.append(actor)
        for group in (self.store.groups[n] for n in groups):
            team: Json = {"id": len(actors) + 1, "displayName": group.name, "type": "atlassian-group-role-actor"}
            team |= {"name": group.name, "actorGroup": {"name": group.name, "displayName": group.name}}
            if self.cloud:
                team["actorGroup"]["groupId"] = group.group_id
            actors.append(team)
        return actors

    @route("GET /rest/api/{api}/role")
    def all_roles(self, call: Call) -> Reply:
        rest = self.renderer(call).rest
        return reply([{"self": f"{rest}/role/{n}", "id": n, "name": name, "description": ""} for n, name in ROLES])

    @route("GET /rest/api/{api}/applicationrole")
    def application_roles(self, call: Call) -> Reply:
        return reply([self._application(key) for key in APPLICATIONS])

    @route("GET /rest/api/{api}/applicationrole/{key}")
    def application_role(self, call: Call) -> Reply:
        if call.params["key"] not in APPLICATIONS:
            raise self.refuse(404, f"The application role '{call.params['key']}' does not exist.")
        return reply(self._application(call.params["key"]))

    def _application(self, key: str) -> Json:
        names = list(APPLICATIONS[key])
        document: Json = {"key": key, "name": key.title(), "groups": names, "defaultGroups": names, "defined": True}
        document |= {"numberOfSeats": -1, "remainingSeats": -1, "userCount": 3, "hasUnlimitedSeats": True}
        document |= {"selectedByDefault": False, "platform": False, "userCountDescription": ""}
        if self.cloud:
            details = [self._group(g.name) for g in self.store.groups if g.name in names]
            document |= {"groupDetails": details, "defaultGroupsDetails": details}
        return document

    def _group(self, name: str) -> Json:
        group = next(g for g in self.store.groups if g.name == name)
        document: Json = {"name": name, "self": f"{self.site}/rest/api/2/group?groupname={name}"}
        return document | {"groupId": group.group_id} if self.cloud else document

    # Permission schemes.

    def _holder(self, holder: Holder) -> Json:
        parameter, value = holder.parameter, holder.parameter
        match holder.kind:
            case "group":
                group = self.store.groups[int(parameter)]
                parameter, value = group.name, group.group_id
            case "user":
                person = self.store.people[int(parameter)]
                parameter = value = person.account_id if self.cloud else person.key
        document: Json = {"type": holder.kind}
        if parameter:
            document |= {"parameter": parameter} | ({"value": value} if self.cloud else {})
        return document | ({"expand": "group"} if holder.kind == "group" and self.cloud else {})

    def _scheme(self, rest: str, number: int, *, wide: bool) -> Json:
        at = SCHEME + number
        document: Json = {"self": f"{rest}/permissionscheme/{at}", "id": at, "description": ""}
        document |= {"name": "Default scheme" if not number else f"Scheme {number}"}
        if wide:
            grants = [("BROWSE_PROJECTS", holder) for holder in self.rules.schemes[number]]
            grants += [("ADMINISTER_PROJECTS", Holder("projectRole", str(ROLES[0][0])))]
            document["permissions"] = [
                {"id": 10_100 + n, "self": f"{rest}/permissionscheme/{at}/permission/{10_100 + n}",
                 "holder": self._holder(h), "permission": p} for n, (p, h) in enumerate(grants)
            ]  # fmt: skip
        return document

    @staticmethod
    def _is_wide(call: Call) -> bool:
        return not {"all", "permissions"}.isdisjoint(call.parameters("expand"))

    @route("GET /rest/api/{api}/project/{project}/permissionscheme")
    def permission_scheme(self, call: Call) -> Reply:
        renderer, project = self.renderer(call), self.project_of(call)
        return reply(self._scheme(renderer.rest, self.rules.scheme_of(project.index), wide=self._is_wide(call)))

    @route("GET /rest/api/{api}/permissionscheme")
    def permission_schemes(self, call: Call) -> Reply:
        rest, wide = self.renderer(call).rest, self._is_wide(call)
        return reply({"permissionSchemes": [self._scheme(rest, n, wide=wide) for n in range(len(self.rules.schemes))]})

    @route("GET /rest/api/{api}/permissionscheme/{scheme}")
    def permission_scheme_by_id(self, call: Call) -> Reply:
        number = int(call.params["scheme"]) - SCHEME if call.params["scheme"].isdecimal() else -1
        if not 0 <= number < len(self.rules.schemes):
            raise self.refuse(404, "The permission scheme does not exist.")
        return reply(self._scheme(self.renderer(call).rest, number, wide=self._is_wide(call)))

    # Security levels.

    def _level(self, rest: str, level: Named) -> Json:
        document = {"self": f"{rest}/securitylevel/{level.id}", "id": level.id, "name": level.name}
        document |= {"description": level.description}
        return document | ({"isDefault": False, "issueSecuritySchemeId": str(SCHEME)} if self.cloud else {})

    def _security_scheme(self, rest: str) -> Json:
        document: Json = {"self": f"{rest}/issuesecurityschemes/{SCHEME}", "id": SCHEME, "name": "Security scheme"}
        return document | {"description": "", "levels": [self._level(rest, level) for level in self._security]}

    @property
    def _security(self) -> list[Named]:
        return self.store.configuration.security

    @route("GET /rest/api/{api}/project/{project}/securitylevel")
    def security_levels(self, call: Call) -> Reply:
        renderer = self.renderer(call)
        self.project_of(call)
        return reply({"levels": [self._level(renderer.rest, level) for level in self._security]})

    @route("GET /rest/api/{api}/project/{project}/issuesecuritylevelscheme")
    def project_security_scheme(self, call: Call) -> Reply:
        self.project_of(call)
        return reply(self._security_scheme(self.renderer(call).rest))

    @route("GET /rest/api/{api}/issuesecurityschemes")
    def security_schemes(self, call: Call) -> Reply:
        return reply({"issueSecuritySchemes": [self._security_scheme(self.renderer(call).rest)]})

    @route("GET /rest/api/{api}/issuesecurityschemes/{scheme}")
    def security_scheme(self, call: Call) -> Reply:
        if call.params["scheme"] != str(SCHEME):
            raise self.refuse(404, "The issue security scheme does not exist.")
        return reply(self._security_scheme(self.renderer(call).rest))

    @route("GET /rest/api/{api}/securitylevel/{level}")
    def security_level(self, call: Call) -> Reply:
        rest = self.renderer(call).rest
        for level in self._security:
            if level.id == call.params["level"]:
                return reply(self._level(rest, level))
        raise self.refuse(404, "The security level does not exist.")

    def level_members(self, call: Call, levels: list[str]) -> list[Json]:
        """The members of levels, or of all of them; each with the id of its level."""
        members: list[Json] = []
        for index, level in enumerate(self._security):
            for holder in self.rules.levels[index] if not levels or level.id in levels else ():
                number = str(10_000 + 100 * index + len(members))
                document: Json = {"id": number, "issueSecuritySchemeId": str(SCHEME), "issueSecurityLevelId": level.id}
                members.append(document | {"holder": self._holder(holder)})
        return members

    @route("GET /rest/api/{api}/issuesecurityschemes/level/member")
    def members_of_levels(self, call: Call) -> Reply:
        self.cloud_only(call)
        return reply(self.page_bean(call, self.level_members(call, call.parameters("levelId")), 50, 50))

    @route("GET /rest/api/{api}/issuesecurityschemes/{scheme}/members")
    def members_of_scheme(self, call: Call) -> Reply:
        self.cloud_only(call)
        levels = call.parameters("issueSecurityLevelId")
        members = [
            {k: int(v) if k != "holder" else v for k, v in m.items() if k != "issueSecuritySchemeId"}
            for m in self.level_members(call, levels)
        ]
        return reply(self.page_bean(call, members, 50, 50))

    @route("GET /rest/api/{api}/issuesecurityschemes/level")
    def levels(self, call: Call) -> Reply:
        rest = self.cloud_only(call).rest
        return reply(self.page_bean(call, [self._level(rest, level) for level in self._security], 50, 50))

    @route("GET /rest/api/{api}/issuesecurityschemes/search")
    def search_security_schemes(self, call: Call) -> Reply:
        rest = self.cloud_only(call).rest
        scheme: Json = {"id": SCHEME, "self": f"{rest}/issuesecurityschemes/{SCHEME}", "name": "Security scheme"}
        projects = [int(p.id) for p in self.store.configuration.projects]
        return reply(self.page_bean(call, [scheme | {"description": "", "projectIds": projects}], 50, 50))

    @route("GET /rest/api/{api}/issuesecurityschemes/project")
    def projects_of_security_schemes(self, call: Call) -> Reply:
        self.cloud_only(call)
        pairs = [{"issueSecuritySchemeId": str(SCHEME), "projectId": p.id} for p in self.store.configuration.projects]
        return reply(self.page_bean(call, pairs, 50, 50))

    # People.

    def person_document(self, person: Person) -> Json:
        return jira_cloud(person, self.site) if self.cloud else jira_dc(person, self.site)

    @route("GET /rest/api/{api}/groups/picker")
    def group_picker(self, call: Call) -> Reply:
        most, part = max(call.integer("maxResults", 20), 1), call.parameter("query").lower()
        found = [g for g in self.store.groups if part in g.name.lower()]
        groups = [
            {"name": g.name, "html": g.name, "labels": []} | ({"groupId": g.group_id} if self.cloud else {})
            for g in found[:most]
        ]
        header = f"Showing {len(groups)} of {len(found)} matching groups"
        return reply({"header": header, "total": len(found), "groups": groups})

    @route("GET /rest/api/{api}/user/viewissue/search")
    def view_issue_search(self, call: Call) -> Reply:
        """The active users who may read one issue and match a text; at most 1000. `.` matches everybody on Data Center."""
        self.renderer(call)
        issue = self.store.find(unquote(call.parameter("issueKey")))
        if issue is None:
            raise self.refuse(404, "The issue does not exist or you do not have permission to see it.")
        wanted = call.parameter("query" if self.cloud else "username").lower()
        people = [
            p for p in self.store.people
            if p.active and (wanted in (".", "") or wanted in f"{p.username} {p.display} {p.email}".lower())
            and self.rules.may_read(p.index, issue)
        ]  # fmt: skip
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 0), MOST_FOUND)
        return reply([self.person_document(p) for p in people[:MOST_FOUND][start : start + size]])

    @route("GET /rest/api/{api}/user/groups")
    def user_groups(self, call: Call) -> Reply:
        self.renderer(call)
        wanted = call.parameter("accountId") if self.cloud else call.parameter("username")
        person = next((p for p in self.store.people if wanted and wanted in (p.account_id, p.username)), None)
        if person is None:
            raise self.refuse(404, "Specified user does not exist or you do not have required permissions")
        groups: list[Any] = [self._group(g.name) for g in self.store.groups if person.index in g.members]
        return reply(groups)
