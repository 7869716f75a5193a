"""Confluence Cloud v2: versions, labels, comments and attachments of pages; spaces and their permissions; people."""

from urllib.parse import quote

from ingest_ray.simulators.atlassian.confluence import space_grants
from ingest_ray.simulators.atlassian.confluence.page import LABELS, Page, PageAttachment, PageComment, Space
from ingest_ray.simulators.atlassian.confluence.site_endpoints import Json
from ingest_ray.simulators.atlassian.confluence.v2_pages import ConfluenceV2Pages
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.content.rich_text import adf, storage
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, encode, reply, route


class ConfluenceV2(ConfluenceV2Pages):
    # Versions, labels, comments, attachments.

    @route("GET ~/api/v2/pages/{id}/versions")
    def v2_versions(self, call: Call) -> Reply:
        return self._versions(call, "page")

    @route("GET ~/api/v2/blogposts/{id}/versions")
    def v2_blogpost_versions(self, call: Call) -> Reply:
        return self._versions(call, "blogpost")

    def _versions(self, call: Call, kind: str) -> Reply:
        page = self.v2_page(call, kind)
        numbers = (
            range(page.version, 0, -1)
            if call.parameter("sort", "-modified-date").startswith("-")
            else range(1, page.version + 1)
        )
        return self.by_offset(call, numbers, lambda n: self.version_v2(page, n))

    @route("GET ~/api/v2/pages/{id}/labels")
    def v2_labels(self, call: Call) -> Reply:
        return self.by_offset(call, self.v2_page(call).labels, self.label_v2)

    @route("GET ~/api/v2/blogposts/{id}/labels")
    def v2_blogpost_labels(self, call: Call) -> Reply:
        return self.by_offset(call, self.v2_page(call, "blogpost").labels, self.label_v2)

    @route("GET ~/api/v2/pages/{id}/operations")
    def v2_operations(self, call: Call) -> Reply:
        self.v2_page(call)
        return reply({"operations": [{"operation": "read", "targetType": "page"}]})

    def comment_v2(self, page: Page, comment: PageComment, form: str, *, owner: str = "pageId") -> Json:
        author, at = self.store.people[comment.author].account_id, spell_utc(comment.created)
        document: Json = {"id": str(comment.id), "status": "current", "title": f"Re: {self.content.title(page)}"}
        if owner == "parentCommentId" or (owner == "both" and comment.parent):
            document["parentCommentId"] = str(comment.parent)
        if owner != "parentCommentId":
            document["pageId" if page.kind == "page" else "blogPostId"] = str(page.id)
        document["version"] = {
            "number": comment.version,
            "message": "",
            "minorEdit": False,
            "authorId": author,
            "createdAt": at,
        }
        document["body"] = {}
        if form:
            value = storage(comment.text, cloud=True) if form == "storage" else encode(adf(comment.text)).decode()
            document["body"] = {form: {"value": value, "representation": form}}
        if comment.inline:
            document["resolutionStatus"] = "resolved" if comment.resolved else "open"
            document["properties"] = {"inlineMarkerRef": f"{comment.id:032x}", "inlineOriginalSelection": "the text"}
        return document | {"_links": {"webui": f"/pages/{page.id}?focusedCommentId={comment.id}"}}

    def _roots(self, call: Call, kind: str, *, inline: bool) -> Reply:
        page, form = self.v2_page(call, kind), self.body_format(call)
        states = call.parameters("resolution-status")
        roots = [
            c for c in self.content.comments(page)
            if c.inline == inline and not c.parent and (not states or ("resolved" if c.resolved else "open") in states)
        ]  # fmt: skip
        return self.by_offset(call, roots, lambda c: self.comment_v2(page, c, form))

    @route("GET ~/api/v2/pages/{id}/footer-comments")
    def v2_footer(self, call: Call) -> Reply:
        return self._roots(call, "page", inline=False)

    @route("GET ~/api/v2/pages/{id}/inline-comments")
    def v2_inline(self, call: Call) -> Reply:
        return self._roots(call, "page", inline=True)

    @route("GET ~/api/v2/blogposts/{id}/footer-comments")
    def v2_blogpost_footer(self, call: Call) -> Reply:
        return self._roots(call, "blogpost", inline=False)

    @route("GET ~/api/v2/blogposts/{id}/inline-comments")
    def v2_blogpost_inline(self, call: Call) -> Reply:
        return self._roots(call, "blogpost", inline=True)

    @route("GET ~/api/v2/footer-comments/{id}/children", "GET ~/api/v2/inline-comments/{id}/children")
    def v2_replies(self, call: Call) -> Reply:
        page, parent = self._comment(call)
        form = self.body_format(call)
        below = [c for c in self.content.comments(page) if c.parent == parent.id]
        return self.by_offset(call, below, lambda c: self.comment_v2(page, c, form, owner="parentCommentId"))

    @route("GET ~/api/v2/footer-comments/{id}", "GET ~/api/v2/inline-comments/{id}")
    def v2_comment(self, call: Call) -> Reply:
        page, comment = self._comment(call)
        document = self.comment_v2(page, comment, self.body_format(call, single=True), owner="both")
        document["_links"]["base"] = f"{self.site}/wiki"
        return reply(document)

    def _comment(self, call: Call) -> tuple[Page, PageComment]:
        match = self.comment_by_id(call.params["id"])
        if match is None or match[1].inline != ("/inline-comments/" in call.path):
            raise self.v2_refuse(404, "Not Found")
        return match

    def _all_comments(self, call: Call, *, inline: bool) -> Reply:
        form, down = self.body_format(call), call.parameter("sort").startswith("-")
        matches = [
            (page, c) for page in self.store.visible_pages()
            if (page.comments or page.more_comments) and page.status == "current"
            for c in self.content.comments(page) if c.inline == inline
        ]  # fmt: skip
        if "date" in call.parameter("sort"):
            matches.sort(key=lambda e: (e[1].created, e[1].id), reverse=down)
        return self.by_offset(call, matches, lambda e: self.comment_v2(e[0], e[1], form, owner="both"))

    @route("GET ~/api/v2/footer-comments")
    def v2_all_footer(self, call: Call) -> Reply:
        return self._all_comments(call, inline=False)

    @route("GET ~/api/v2/inline-comments")
    def v2_all_inline(self, call: Call) -> Reply:
        return self._all_comments(call, inline=True)

    def attachment_v2(self, page: Page, file: PageAttachment) -> Json:
        author, at = self.store.people[file.author].account_id, spell_utc(file.created)
        download = f"/download/attachments/{page.id}/{quote(file.title)}?version={file.version}&cacheVersion=1&api=v2"
        webui = f"/pages/viewpageattachments.action?pageId={page.id}&preview=att{file.id}"
        document: Json = {
            "id": f"att{file.id}",
            "status": "current",
            "title": file.title,
            "createdAt": at,
            "mediaType": file.kind,
        }
        document["pageId" if page.kind == "page" else "blogPostId"] = str(page.id)
        document |= {"mediaTypeDescription": "File", "comment": "", "fileId": f"{file.id:032x}", "fileSize": file.size}
        document |= {"webuiLink": webui, "downloadLink": download, "_links": {"webui": webui, "download": download}}
        document["version"] = {
            "number": file.version,
            "message": "",
            "minorEdit": False,
            "authorId": author,
            "createdAt": at,
        }
        return document

    def _attachments(self, call: Call, kind: str) -> Reply:
        page = self.v2_page(call, kind)
        if page.attachment_fails:
            raise self.v2_refuse(400, "Cannot list the attachments")
        return self.by_offset(call, self.content.attachments(page), lambda a: self.attachment_v2(page, a), default=50)

    @route("GET ~/api/v2/pages/{id}/attachments")
    def v2_attachments(self, call: Call) -> Reply:
        return self._attachments(call, "page")

    @route("GET ~/api/v2/blogposts/{id}/attachments")
    def v2_blogpost_attachments(self, call: Call) -> Reply:
        return self._attachments(call, "blogpost")

    @route("GET ~/api/v2/attachments/{id}")
    def v2_attachment(self, call: Call) -> Reply:
        match = self.attachment_by_id(call.params["id"])
        if match is None:
            raise self.v2_refuse(404, "Not Found")
        document = self.attachment_v2(*match)
        document["_links"]["base"] = f"{self.site}/wiki"
        return reply(document)

    @route("GET ~/api/v2/attachments")
    def v2_all_attachments(self, call: Call) -> Reply:
        trashed = call.parameters("status") == ["trashed"]
        matches = [
            (page, a) for page in self.store.visible_pages()
            if (page.attachments or page.more_attachments) and (page.status == "trashed") == trashed
            for a in self.content.attachments(page)
        ]  # fmt: skip
        if "date" in call.parameter("sort"):
            matches.sort(key=lambda e: (e[1].created, e[1].id), reverse=call.parameter("sort").startswith("-"))
        return self.by_offset(call, matches, lambda e: self.attachment_v2(*e), default=50)

    # Spaces and people.

    def space_v2(self, space: Space, *, description: bool) -> Json:
        author = self.store.people[space.author].account_id
        document: Json = {"id": str(space.id), "key": space.key, "name": space.name, "type": space.kind}
        document |= {"status": "archived" if space.archived else "current", "authorId": author, "spaceOwnerId": author}
        document |= {
            "createdAt": spell_utc(space.created),
            "homepageId": str(space.homepage),
            "currentActiveAlias": space.key,
        }
        if description:
            document["description"] = {"plain": {"value": f"About {space.name}", "representation": "plain"}}
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
        return self.by_offset(
            call, chosen, lambda s: self.space_v2(s, description=bool(call.parameter("description-format")))
        )

    @route("GET ~/api/v2/spaces/{id}")
    def v2_one_space(self, call: Call) -> Reply:
        document = self.space_v2(
            self.v2_space(call.params["id"]), description=bool(call.parameter("description-format"))
        )
        document.pop("currentActiveAlias")
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
        space = self.v2_space(call.params["id"])
        if not space_grants.has_roles(self.store):
            return self.by_offset(call, self.permissions_of(space), lambda p: p)
        granted = sorted({role for *_, role in space_grants.assignments(self.store, space)})
        pairs = [(role, name) for role in granted for name in space_grants.ROLES[role][2]]
        listed = [
            {
                "id": str(space.id * 100 + n),
                "principal": {"type": "role", "id": role},
                "operation": dict(zip(("key", "targetType"), name.split("/"), strict=True)),
            }
            for n, (role, name) in enumerate(pairs)
        ]
        return self.by_offset(call, listed, lambda p: p)

    @route("GET ~/api/v2/spaces/{id}/role-assignments")
    def v2_roles(self, call: Call) -> Reply:
        space = self.v2_space(call.params["id"])
        if not space_grants.has_roles(self.store):
            owner = {"principalType": "USER", "principalId": self.store.people[space.author].account_id}
            return self.by_offset(call, [{"principal": owner, "roleId": space_grants.MANAGER}], lambda r: r)
        ids = {"USER": lambda n: self.store.people[n].account_id, "GROUP": lambda n: self.store.groups[n].group_id}
        sent = [
            {
                "principal": {"principalType": kind, "principalId": ids[kind](int(name[1:])) if kind in ids else name},
                "roleId": role,
            }
            for kind, name, role in space_grants.assignments(self.store, space)
        ]
        return self.by_offset(call, sent, lambda r: r)

    @route("GET ~/api/v2/space-roles")
    def v2_space_roles(self, call: Call) -> Reply:
        sent = [
            {"id": role, "type": kind, "name": name, "description": "", "spacePermissions": list(permissions)}
            for role, (name, kind, permissions) in space_grants.ROLES.items()
        ]
        return self.by_offset(call, sent, lambda r: r)

    @route("GET ~/api/v2/spaces/{id}/labels")
    def v2_space_labels(self, call: Call) -> Reply:
        self.v2_space(call.params["id"])
        return self.by_offset(call, [], lambda n: n)

    @route("GET ~/api/v2/labels")
    def v2_all_labels(self, call: Call) -> Reply:
        return self.by_offset(call, range(len(LABELS)), self.label_v2)

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
