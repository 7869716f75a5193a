"""Determines who may read an issue: holders of Browse Projects in the permission scheme of its project, and, where the issue has a security
level, members of that level; a comment may be visible to one group or role only.

Holders are groups, users, project roles, application roles, everybody, and the people that the issue itself names (reporter, assignee,
project lead, fields of users and groups): https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-permission-schemes/.
Data Center does not tell the members of a security level; it tells who may read one issue. A holder of an unknown type is an error: an
issue whose readers cannot be determined is never taken for a public one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from msgspec import Raw, Struct

from ingest_ray.http.errors import BadRequest, BrokenAnswer, NotThere
from ingest_ray.sdk.errors import SourceDenied
from ingest_strategies.atlassian.deployment import CLOUD
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.readers import ANYONE, EVERY_ACCOUNT, Acl, AclUnknown, Level, effective_readers
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.responses import Person
from ingest_strategies.jira.reading.site_lists import level_holders, list_members, role_members

BROWSE = "BROWSE_PROJECTS"
MOST_FOUND = 1000  # users of one search on Data Center
FIELDS = ("project", "security", "reporter", "assignee", "updated")
IGNORED_HOLDERS = frozenset({"sd.customer.portal.only"})
"""Customers of a service desk see their requests in the portal, and no issue in Jira."""


class Holder(Struct, gc=False):
    type: str
    parameter: str | None = None
    value: str | None = None


class Grant(Struct, gc=False):
    permission: str | None = None
    holder: Holder | None = None


class Scheme(Struct, gc=False):
    permissions: list[Grant] | None = None


class Application(Struct, gc=False):
    groups: list[str] | None = None
    groupDetails: list[dict[str, Any]] | None = None


class SecurityLevel(Struct, gc=False):
    id: str
    name: str | None = None


class ProjectHead(Struct, gc=False):
    id: str | None = None
    key: str | None = None
    lead: Person | None = None


class IssueFields(Struct, gc=False):
    project: ProjectHead
    security: SecurityLevel | None = None
    reporter: Person | None = None
    assignee: Person | None = None


class Issue(Struct, gc=False):
    id: str
    fields: IssueFields


class Visibility(Struct, gc=False):
    type: str | None = None
    value: str | None = None
    identifier: str | None = None


class GroupValue(Struct, gc=False):
    groupId: str | None = None
    name: str | None = None


class FoundUser(Struct, gc=False):
    accountId: str | None = None
    key: str | None = None


_scheme, _application, _project, _issue = decoder(Scheme), decoder(Application), decoder(ProjectHead), decoder(Issue)
_holder, _visibility, _users = decoder(Holder), decoder(Visibility), decoder(list[FoundUser])
_roles, _raw, _person = decoder(dict[str, str]), decoder(Raw), decoder(Person)
_fields = decoder(dict[str, Raw])
_people, _groups = decoder(list[Person | None]), decoder(list[GroupValue | None])


class FieldsOf(Struct, gc=False):
    fields: Raw


_fields_of = decoder(FieldsOf)


@dataclass
class IssueAcls:
    """Of one slice: reads each scheme, role, level and group once."""

    api: Api
    _schemes: dict[str, tuple[Holder, ...]] = field(default_factory=dict)
    _leads: dict[str, Person | None] = field(default_factory=dict)
    _levels: dict[str, tuple[Holder, ...] | None] = field(default_factory=dict)
    _roles: dict[str, frozenset[str]] = field(default_factory=dict)
    _role_ids: dict[str, dict[str, str]] = field(default_factory=dict)
    _applications: dict[str, frozenset[str]] = field(default_factory=dict)
    _members: dict[str, frozenset[str]] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def context(self, body: Raw) -> dict[str, Any]:
        """The columns of an issue's readers. Raises `AclUnknown`."""
        return self.columns(body, self.read_acl(body))

    def comment_context(self, acl: Acl, issue: Raw, visibility: Raw) -> dict[str, Any]:
        """The columns of a comment's or a worklog's readers. Raises `AclUnknown`."""
        if bytes(visibility) == b"null":
            return self.columns(issue, acl)
        found = attempted(_visibility, visibility)
        if found is None or found.type not in ("group", "role"):
            raise AclUnknown(f"its visibility is of the unknown type '{found.type if found else visibility!r}'")
        level = Level(f"visibility {found.type}", str(found.identifier or found.value), self._visible_to(issue, found))
        levels = (*acl.levels, level)
        return self.columns(issue, Acl(levels, effective_readers(levels, self._list_members)))

    def _visible_to(self, issue: Raw, visibility: Visibility) -> frozenset[str]:
        if visibility.type == "group":
            number = visibility.identifier if self.api.deployment == CLOUD else visibility.value
            return frozenset({f"group:{number or visibility.value}"})
        project = _issue(issue).fields.project
        roles = self._names_of_roles(str(project.id))
        number = roles.get(str(visibility.value))
        if number is None:
            raise AclUnknown(f"it is visible to the role '{visibility.value}', which its project does not have")
        return self._read_role(str(project.id), number)

    def columns(self, body: Raw, acl: Acl) -> dict[str, Any]:
        security = _issue(body).fields.security
        return {
            "acl.readers": list(acl.readers),
            "acl.levels": acl.text.encode(),
            "acl.is_restricted": acl.is_restricted,
            "acl.security_id": security.id if security else None,
            "acl.security": security.name if security else None,
        }

    def read_acl(self, body: Raw) -> Acl:
        try:
            issue = _issue(body)
        except BrokenAnswer as error:
            raise AclUnknown(f"its readers cannot be determined: {error.message}") from None
        fields = issue.fields
        number = str(fields.project.id)
        levels = [Level("project", str(fields.project.key), self._expand(self._read_scheme(number), issue, body))]
        if fields.security is not None:
            levels.append(
                Level("security level", fields.security.id, self._level_readers(issue, body, fields.security))
            )
        return Acl(tuple(levels), effective_readers(levels, self._list_members))

    def _level_readers(self, issue: Issue, body: Raw, level: SecurityLevel) -> frozenset[str]:
        holders = self._once(
            self._levels, level.id, f"the members of security level {level.id}", lambda: self._read_level(level.id)
        )
        return self._viewers(issue) if holders is None else self._expand(holders, issue, body)

    def _once(self, known: dict[str, Any], key: str, title: str, read: Any) -> Any:
        """Requests what is not known yet; a refusal of it is asked for once."""
        with self._lock:
            if key not in known:
                if title in self._faults:
                    raise AclUnknown(self._faults[title])
                try:
                    known[key] = read()
                except SourceDenied as error:
                    self.api.client.read_account()  # the login is good: the account lacks this one right
                    self._faults[title] = f"{title} cannot be read: {error.message}"
                    raise AclUnknown(self._faults[title]) from None
                except (NotThere, BadRequest, BrokenAnswer) as error:
                    self._faults[title] = f"{title} cannot be read: {error.message}"
                    raise AclUnknown(self._faults[title]) from None
            return known[key]

    def _read_scheme(self, project: str) -> tuple[Holder, ...]:
        """Who has Browse Projects."""

        def read() -> tuple[Holder, ...]:
            scheme = self.api.client.get(f"project/{project}/permissionscheme", _scheme, {"expand": "all"})
            if scheme.permissions is None:
                raise AclUnknown(f"the permission scheme of project {project} comes without its grants")
            return tuple(grant.holder for grant in scheme.permissions if grant.permission == BROWSE and grant.holder)

        holders: tuple[Holder, ...] = self._once(
            self._schemes, project, f"the permission scheme of project {project}", read
        )
        return holders

    def _read_level(self, level: str) -> tuple[Holder, ...] | None:
        bodies = level_holders(self.api, level)
        return None if bodies is None else tuple(_holder(body) for body in bodies)

    def _expand(self, holders: tuple[Holder, ...], issue: Issue, body: Raw) -> frozenset[str]:
        readers: set[str] = set()
        for holder in holders:
            readers |= self._readers_of(holder, issue, body)
        return frozenset({ANYONE}) if ANYONE in readers else frozenset(readers)

    def _readers_of(self, holder: Holder, issue: Issue, body: Raw) -> frozenset[str]:
        """Raises `AclUnknown` for a holder of an unknown type."""
        fields = issue.fields
        parameter = holder.value or holder.parameter or ""
        match holder.type:
            case "anyone":
                return frozenset({ANYONE})
            case "group":
                return frozenset({f"group:{parameter}"})
            case "user":
                return frozenset({f"user:{parameter}"})
            case "projectRole":
                return self._read_role(str(fields.project.id), parameter)
            case "applicationRole":
                return self._read_application(parameter) if parameter else frozenset({EVERY_ACCOUNT[0]})
            case "reporter" | "assignee":
                return users((fields.reporter if holder.type == "reporter" else fields.assignee,))
            case "projectLead":
                return users((self._read_lead(str(fields.project.id)),))
            case "userCustomField":
                return users(attempted_list(_people, field_value(body, parameter)))
            case "groupCustomField":
                return groups(attempted_list(_groups, field_value(body, parameter)))
            case kind if kind in IGNORED_HOLDERS:
                return frozenset()
        raise AclUnknown(f"'{holder.type}' is an unknown type of holder of a permission")

    def _read_role(self, project: str, role: str) -> frozenset[str]:
        def read() -> frozenset[str]:
            members = role_members(self.api, self.api.client.get(f"project/{project}/role/{role}", _raw))
            if members is None:
                raise AclUnknown(f"role {role} of project {project} has an actor that cannot be told")
            return frozenset(members)

        readers: frozenset[str] = self._once(
            self._roles, f"{project}/{role}", f"role {role} of project {project}", read
        )
        return readers

    def _names_of_roles(self, project: str) -> dict[str, str]:
        def read() -> dict[str, str]:
            urls = self.api.client.get(f"project/{project}/role", _roles)
            return {name: url.rpartition("/")[2] for name, url in urls.items()}

        names: dict[str, str] = self._once(self._role_ids, project, f"the roles of project {project}", read)
        return names

    def _read_application(self, key: str) -> frozenset[str]:
        def read() -> frozenset[str]:
            application = self.api.client.get(f"applicationrole/{key}", _application)
            if self.api.deployment == CLOUD:
                details = application.groupDetails or []
                return frozenset(f"group:{group.get('groupId') or group.get('name')}" for group in details)
            return frozenset(f"group:{name}" for name in application.groups or ())

        readers: frozenset[str] = self._once(self._applications, key, f"the groups of application '{key}'", read)
        return readers

    def _read_lead(self, project: str) -> Person | None:
        def read() -> Person | None:
            return self.api.client.get(f"project/{project}", _project).lead

        lead: Person | None = self._once(self._leads, project, f"the lead of project {project}", read)
        return lead

    def _viewers(self, issue: Issue) -> frozenset[str]:
        """The active users who may read one issue, as Data Center tells. Raises `AclUnknown` where there may be more."""
        params: Mapping[str, Any] = {"issueKey": issue.id, "username": ".", "maxResults": MOST_FOUND}
        try:
            found = self.api.client.get("user/viewissue/search", _users, params)
        except (NotThere, BadRequest, SourceDenied) as error:
            self.api.client.read_account()
            raise AclUnknown(f"the viewers of issue {issue.id} cannot be read: {error.message}") from None
        if len(found) >= MOST_FOUND:
            raise AclUnknown(f"issue {issue.id} has {MOST_FOUND} viewers or more, and no more can be listed")
        return frozenset(f"user:{user.accountId or user.key}" for user in found)

    def _list_members(self, group: str) -> frozenset[str]:
        def read() -> frozenset[str]:
            bodies = list_members(self.api, {"group.id": group.removeprefix("group:")})
            return users(attempted(_person, body) for body in bodies)

        readers: frozenset[str] = self._once(self._members, group, f"the members of {group}", read)
        return readers


def users(people: Any) -> frozenset[str]:
    return frozenset(f"user:{person.id}" for person in people if person is not None and person.id)


def groups(values: Any) -> frozenset[str]:
    return frozenset(f"group:{group.groupId or group.name}" for group in values if group is not None)


def field_value(body: Raw, field_id: str) -> Raw | None:
    """The value of a field; raises `AclUnknown` where the issue was read without it."""
    fields = _fields(_fields_of(body).fields)
    if field_id not in fields:
        raise AclUnknown(f"the field '{field_id}', which names its readers, is not in the issue")
    return fields[field_id]


def attempted_list(decode: Any, value: Raw | None) -> Any:
    """A field holds one object or a list of them. Raises `AclUnknown` for anything else."""
    text = bytes(value) if value is not None else b"null"
    if text == b"null":
        return []
    try:
        return decode(text if text.startswith(b"[") else b"[" + text + b"]")
    except BrokenAnswer as error:
        raise AclUnknown(f"a field that names its readers is odd: {error.message}") from None
