"""Confluence Cloud v2, the spaces: their permissions, roles and labels; and people."""

from collections.abc import Callable
from typing import Any

from ingest_ray.simulators.atlassian.confluence import space_grants
from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import LABELS, Space
from ingest_ray.simulators.atlassian.confluence.v2.comments import ConfluenceV2Comments
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route


class ConfluenceV2Spaces(ConfluenceV2Comments):
    # Spaces and people.

    def space_v2(self, space: Space, form: str) -> Json:
        author = self.store.people[space.author].account_id
        document: Json = {"id": str(space.id), "key": space.key, "name": space.name, "type": space.kind}
        document |= {"status": "archived" if space.archived else "current", "authorId": author, "spaceOwnerId": author}
        document |= {
            "createdAt": spell_utc(space.created),
            "homepageId": str(space.homepage),
            "currentActiveAlias": space.key,
        }
        if form:
            document["description"] = {form: {"value": f"About {space.name}", "representation": form}}
        return document | {"_links": {"webui": f"/spaces/{space.key}"}}

    @route("GET ~/api/v2/spaces")
    def v2_spaces(self, call: Call) -> Reply:
        keys, ids, kind, status = (
            call.parameters("keys"),
            call.parameters("ids"),
            call.parameter("type"),
            call.parameter("status"),
        )
        chosen = [
            s for s in self.store.spaces
            if (not keys or s.key in keys) and (not ids or str(s.id) in ids) and (not kind or s.kind == kind)
            and (not status or status == ("archived" if s.archived else "current"))
        ]  # fmt: skip
        if call.parameters("labels"):  # no space here has labels
            chosen = []
        sorts: dict[str, Callable[[Space], Any]] = {
            "id": lambda s: s.id,
            "key": lambda s: s.key,
            "name": lambda s: s.name,
        }
        form = call.parameter("description-format")
        return self.by_offset(call, self.in_order(call, chosen, sorts, "id"), lambda s: self.space_v2(s, form))

    @route("GET ~/api/v2/spaces/{id}")
    def v2_one_space(self, call: Call) -> Reply:
        space = self.v2_space(call.params["id"])
        document = self.space_v2(space, call.parameter("description-format"))
        document.pop("currentActiveAlias")
        document = self.with_included(
            call,
            document,
            permissions=self.sent_permissions(space),
            role_assignments=self.sent_assignments(space),
            labels=[],
        )
        if "role_assignments" in document:
            document["roleAssignments"] = document.pop("role_assignments")
        document["_links"]["base"] = f"{self.site}/wiki"
        return reply(document)

    def permissions_of(self, space: Space) -> list[Json]:
        """Groups 0 and 1 may read every space that is not personal; its author may also administer it."""
        owner = {"type": "user", "id": self.store.people[space.author].account_id}
        grants = [(owner, "read", "space"), (owner, "administer", "space")]
        if space.kind != "personal":
            groups = [{"type": "group", "id": g.group_id} for g in self.store.groups[:2]]
            grants += [(g, "read", "space") for g in groups] + [(groups[0], "create", "page")]
        return [
            {"id": str(space.id * 100 + n), "principal": p, "operation": {"key": key, "targetType": target}}
            for n, (p, key, target) in enumerate(grants)
        ]

    @route("GET ~/api/v2/spaces/{id}/permissions")
    def v2_permissions(self, call: Call) -> Reply:
        """On a site with roles the permissions are those of roles."""
        return self.by_offset(call, self.sent_permissions(self.v2_space(call.params["id"])), lambda p: p)

    def sent_permissions(self, space: Space) -> list[Json]:
        if not space_grants.has_roles(self.store):
            return self.permissions_of(space)
        granted = sorted({role for *_, role in space_grants.assignments(self.store, space)})
        pairs = [(role, name) for role in granted for name in space_grants.ROLES[role][2]]
        return [
            {
                "id": str(space.id * 100 + n),
                "principal": {"type": "role", "id": role},
                "operation": dict(zip(("key", "targetType"), name.split("/"), strict=True)),
            }
            for n, (role, name) in enumerate(pairs)
        ]

    @route("GET ~/api/v2/spaces/{id}/role-assignments")
    def v2_roles(self, call: Call) -> Reply:
        wanted = {name: call.parameter(name) for name in ("role-id", "role-type", "principal-id", "principal-type")}
        sent = [
            each
            for each in self.sent_assignments(self.v2_space(call.params["id"]))
            if (not wanted["role-id"] or each["roleId"] == wanted["role-id"])
            and (not wanted["role-type"] or space_grants.ROLES[each["roleId"]][1] == wanted["role-type"])
            and (not wanted["principal-id"] or each["principal"]["principalId"] == wanted["principal-id"])
            and (not wanted["principal-type"] or each["principal"]["principalType"] == wanted["principal-type"])
        ]
        return self.by_offset(call, sent, lambda r: r)

    def sent_assignments(self, space: Space) -> list[Json]:
        if not space_grants.has_roles(self.store):
            owner = {"principalType": "USER", "principalId": self.store.people[space.author].account_id}
            return [{"principal": owner, "roleId": space_grants.MANAGER}]
        ids = {"USER": lambda n: self.store.people[n].account_id, "GROUP": lambda n: self.store.groups[n].group_id}
        return [
            {
                "principal": {"principalType": kind, "principalId": ids[kind](int(name[1:])) if kind in ids else name},
                "roleId": role,
            }
            for kind, name, role in space_grants.assignments(self.store, space)
        ]

    @route("GET ~/api/v2/space-roles")
    def v2_space_roles(self, call: Call) -> Reply:
        sent = [
            {"id": role, "type": kind, "name": name, "description": "", "spacePermissions": list(permissions)}
            for role, (name, kind, permissions) in space_grants.ROLES.items()
            if self._has_role(call, role, kind)
        ]
        return self.by_offset(call, sent, lambda r: r)

    def _has_role(self, call: Call, role: str, kind: str) -> bool:
        """Whether the role is of the kind, and assigned in the space and to the principal, that are wanted."""
        if call.parameter("role-type") not in ("", kind):
            return False
        number = call.parameter("space-id")
        principal = call.parameter("principal-id"), call.parameter("principal-type")
        if not number and not any(principal):
            return True
        spaces = [self.v2_space(number)] if number else self.store.spaces
        return any(
            each["roleId"] == role
            and principal[0] in ("", each["principal"]["principalId"])
            and principal[1] in ("", each["principal"]["principalType"])
            for space in spaces
            for each in self.sent_assignments(space)
        )

    @route("GET ~/api/v2/spaces/{id}/labels", "GET ~/api/v2/spaces/{id}/content/labels")
    def v2_space_labels(self, call: Call) -> Reply:
        self.v2_space(call.params["id"])
        return self.by_offset(call, [], lambda n: n)

    @route("GET ~/api/v2/labels")
    def v2_all_labels(self, call: Call) -> Reply:
        ids = call.parameters("label-id")
        return self.labels_v2(call, [n for n in range(len(LABELS)) if not ids or str(500_000 + n) in ids])

    @route("GET ~/api/v2/labels/{id}/attachments")
    def v2_label_attachments(self, call: Call) -> Reply:
        self.label_number(call)
        return self.by_offset(call, [], lambda n: n)

    @route("POST ~/api/v2/users-bulk")
    def v2_users(self, call: Call) -> Reply:
        wanted = {str(a) for a in call.json_body().get("accountIds", [])}
        sent = []
        for person in self.store.people:
            if person.account_id in wanted:
                document: Json = {
                    "accountId": person.account_id,
                    "displayName": person.display,
                    "publicName": person.display,
                }
                document |= {"accountType": person.kind, "accountStatus": "active" if person.active else "inactive"}
                document |= {"email": person.email, "isExternalCollaborator": False, "timeZone": person.zone}
                document["profilePicture"] = {"path": f"/wiki/aa-avatar/{person.index}", "isDefault": False}
                sent.append(document)
        return self.multi_plain(sent)
