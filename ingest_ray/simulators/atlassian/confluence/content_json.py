"""Content, spaces, people and search results of Confluence as the JSON of its v1 REST API."""

from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import quote

from ingest_ray.simulators.atlassian.confluence.page import LABELS, Container, Page, PageAttachment, PageComment, Space
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.confluence.refusals import Refusals
from ingest_ray.simulators.atlassian.content.clock import spell, spell_utc
from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.content.rich_text import adf, storage, view
from ingest_ray.simulators.atlassian.query.cql import Hit
from ingest_ray.simulators.atlassian.server.routing import encode

Json = dict[str, Any]
BODY_FORMS = ("storage", "view", "export_view", "styled_view", "atlas_doc_format")


class ContentDocuments(Refusals):
    """`root` is the context path: `/wiki` on Cloud, nothing on Data Center."""

    root = "/wiki"

    def __init__(self, store: PageStore, site: str) -> None:
        super().__init__(store)
        self.store = store
        self.content = store.content
        self.site = site
        self.content.site = site

    def time(self, ms: int) -> str:
        return spell_utc(ms) if self.cloud else spell(ms, self.store.people[0].zone, colon=True)

    def user(self, person: Person) -> Json:
        picture = {"path": f"{self.root}/aa-avatar/{person.index}", "width": 48, "height": 48, "isDefault": False}
        document: Json = {"type": "known", "displayName": person.display, "profilePicture": picture}
        if self.cloud:
            document |= {"accountId": person.account_id, "accountType": "app" if person.kind == "app" else "atlassian"}
            document |= {
                "email": person.email if person.index % 3 or not person.index else "",
                "publicName": person.display,
            }
            document |= {"isExternalCollaborator": False, "timeZone": person.zone}
        else:
            document |= {"username": person.username, "userKey": person.key}
        link = f"{self.site}{self.root}/rest/api/user?" + (
            f"accountId={person.account_id}" if self.cloud else f"key={person.key}"
        )
        return document | {"_expandable": {"operations": ""}, "_links": {"self": link}}

    def person(self, index: int) -> Json:
        return self.user(self.store.people[index])

    def space_json(self, space: Space) -> Json:
        document: Json = {"id": space.id, "key": space.key, "name": space.name, "type": space.kind}
        document["status"] = "archived" if space.archived else "current"
        links = {"webui": f"/spaces/{space.key}", "self": f"{self.site}{self.root}/rest/api/space/{space.key}"}
        expandable = {
            "settings": f"/rest/api/space/{space.key}/settings",
            "homepage": f"/rest/api/content/{space.homepage}",
        }
        return document | {"_expandable": expandable, "_links": links}

    def version_json(self, page: Page, number: int) -> Json:
        at, author, message = self.content.version_at(page, number)
        document: Json = {
            "by": self.person(author),
            "when": self.time(at),
            "message": message,
            "number": number,
            "minorEdit": False,
        }
        return document | {"friendlyWhen": "some time ago", "_expandable": {"content": ""}, "_links": {}}

    def body_json(self, page: Page, form: str, revision: int | None = None) -> Json:
        text = self.content.body(page, revision)
        match form:
            case "storage":
                value = storage(text, cloud=self.cloud)
            case "atlas_doc_format":
                value = encode(adf(text)).decode()
            case _:
                value = view(text)
        return {
            "value": value,
            "representation": form,
            "embeddedContent": [],
            "_expandable": {"content": f"/rest/api/content/{page.id}"},
        }

    def content_json(self, page: Page, expand: set[str]) -> Json:
        """A page as v1 JSON; `expand` holds every prefix of the requested paths."""
        space = self.store.spaces[page.space]
        document: Json = {
            "id": str(page.id),
            "type": page.kind,
            "status": page.status,
            "title": self.content.title(page),
        }
        document["macroRenderedOutput"] = {}
        document["extensions"] = {"position": page.position}
        if "space" in expand:
            document["space"] = self.space_json(space)
        if "version" in expand:
            document["version"] = self.version_json(page, page.version)
        if "history" in expand:
            document["history"] = self.history_json(page, expand)
        if "ancestors" in expand:
            if "ancestors.restrictions" in expand and "ancestor-restrictions-404" in self.traps:
                raise self.content_not_found(str(page.parent))
            above = [p for n in self.store.ancestors(page) if (p := self.store.pages.get(n)) is not None]
            inner = {e.removeprefix("ancestors.") for e in expand if e.startswith("ancestors.")}
            document["ancestors"] = [self.content_json(p, inner) for p in above]
        document |= self._expanded_parts(page, expand)
        if "container" in expand:
            document["container"] = self.space_json(space)
        links = {
            "webui": f"/spaces/{space.key}/pages/{page.id}",
            "tinyui": f"/x/{page.id:x}",
            "self": f"{self.site}{self.root}/rest/api/content/{page.id}",
        }
        expandable = {"container": f"/rest/api/space/{space.key}", "children": f"/rest/api/content/{page.id}/child"}
        return document | {"_expandable": expandable, "_links": links}

    def _expanded_parts(self, page: Page, expand: AbstractSet[str]) -> Json:
        """Bodies, labels and restrictions, as far as `expand` names them."""
        document: Json = {}
        forms = [f for f in BODY_FORMS if f"body.{f}" in expand]
        if forms:
            document["body"] = {f: self.body_json(page, f) for f in forms}
        if "metadata.labels" in expand:
            labels = [self.label_json(n) for n in page.labels]
            links = {"self": f"{self.site}{self.root}/rest/api/content/{page.id}/label"}
            document["metadata"] = {
                "labels": {"results": labels, "start": 0, "limit": 200, "size": len(labels), "_links": links}
            }
        if "restrictions" in expand:
            if "restrictions-500" in self.traps:
                raise self.internal_error()
            document["restrictions"] = {
                k: self.restriction_json(page, k) for k in ("read", "update") if f"restrictions.{k}" in expand
            }
        return document

    def history_json(self, page: Page, expand: AbstractSet[str] = frozenset(), *, latest: bool = True) -> Json:
        document: Json = {
            "latest": latest,
            "createdBy": self.person(page.author),
            "createdDate": self.time(page.created),
        }
        if "history.lastUpdated" in expand or "lastUpdated" in expand:
            document["lastUpdated"] = self.version_json(page, page.version)
        if page.version > 1 and ("history.previousVersion" in expand or "previousVersion" in expand):
            document["previousVersion"] = self.version_json(page, page.version - 1)
        links = {"self": f"{self.site}{self.root}/rest/api/content/{page.id}/history"}
        return document | {"_expandable": {"contributors": "", "lastUpdated": ""}, "_links": links}

    def label_json(self, number: int) -> Json:
        name = LABELS[number]
        return {"prefix": "global", "name": name, "id": str(500_000 + number), "label": name}

    def restriction_json(self, page: Page | Container, operation: str) -> Json:
        """Of a folder always none: https://jira.atlassian.com/browse/CONFCLOUD-82920."""
        names = page.restricted if operation == "read" and isinstance(page, Page) else ()
        users = [self.person(int(n[1:])) for n in names if n[0] == "u"]
        groups = [self.group_json(int(n[1:])) for n in names if n[0] == "g"]
        base = f"{self.site}{self.root}/rest/api/content/{page.id}/restriction/byOperation/{operation}"

        def part(results: list[Json]) -> Json:
            return {"results": results, "start": 0, "limit": 200, "size": len(results)}

        document: Json = {
            "operation": operation,
            "restrictions": {"user": part(users), "group": part(groups), "_expandable": {"user": "", "group": ""}},
        }
        return document | {
            "_expandable": {"restrictions": "", "content": f"/rest/api/content/{page.id}"},
            "_links": {"self": base},
        }

    def group_json(self, number: int) -> Json:
        group = self.store.groups[number]
        links = {"self": f"{self.site}{self.root}/rest/api/group/by-id/{group.group_id}"}
        document: Json = {"type": "group", "name": group.name}
        return document | ({"id": group.group_id} if self.cloud else {}) | {"_links": links}

    def comment_json(self, page: Page, comment: PageComment, expand: set[str]) -> Json:
        document: Json = {
            "id": str(comment.id),
            "type": "comment",
            "status": "current",
            "title": f"Re: {self.content.title(page)}",
        }
        location = "inline" if comment.inline else "footer"
        document["extensions"] = {"location": location}
        if comment.inline:
            document["extensions"]["resolution"] = {"status": "resolved" if comment.resolved else "open"}
        if "body.storage" in expand or "body.view" in expand:
            document["body"] = {}
            for form in ("storage", "view"):
                if f"body.{form}" in expand:
                    text = storage(comment.text, cloud=self.cloud) if form == "storage" else view(comment.text)
                    document["body"][form] = {"value": text, "representation": form}
        when: Json = {"by": self.person(comment.author), "when": self.time(comment.created), "number": comment.version}
        if "version" in expand:
            document["version"] = when | {"minorEdit": False, "message": ""}
        if "history" in expand:
            document["history"] = {
                "latest": True,
                "createdBy": self.person(comment.author),
                "createdDate": self.time(comment.created),
            }
        if "ancestors" in expand:
            document["ancestors"] = (
                [{"id": str(comment.parent), "type": "comment", "status": "current"}] if comment.parent else []
            )
        if "container" in expand:
            document["container"] = self.content_json(page, set())
        links = {
            "self": f"{self.site}{self.root}/rest/api/content/{comment.id}",
            "webui": f"/pages/{page.id}?focusedCommentId={comment.id}",
        }
        return document | {"_expandable": {"container": f"/rest/api/content/{page.id}"}, "_links": links}

    def attachment_json(self, page: Page, file: PageAttachment, expand: set[str]) -> Json:
        document: Json = {"id": f"att{file.id}", "type": "attachment", "status": "current", "title": file.title}
        document["metadata"] = {"mediaType": file.kind, "comment": ""}
        document["extensions"] = {"mediaType": file.kind, "fileSize": file.size, "comment": ""}
        if "version" in expand:
            document["version"] = {
                "by": self.person(file.author),
                "when": self.time(file.created),
                "number": file.version,
                "minorEdit": False,
            }
        if "history" in expand:
            created = {"createdBy": self.person(file.creator), "createdDate": self.time(file.first)}
            document["history"] = {"latest": True, **created, "_expandable": {"lastUpdated": ""}, "_links": {}}
        if "container" in expand:
            document["container"] = self.content_json(page, set())
        download = f"/download/attachments/{page.id}/{quote(file.title)}?version={file.version}&cacheVersion=1&api=v2"
        links = {"webui": f"/pages/viewpageattachments.action?pageId={page.id}", "download": download}
        links["self"] = f"{self.site}{self.root}/rest/api/content/att{file.id}"
        return document | {"_expandable": {"container": f"/rest/api/content/{page.id}"}, "_links": links}

    def hit_json(self, hit: Hit, expand: set[str]) -> Json:
        """The current content of a search hit; a page that was purged since is shown as it was indexed."""
        page = self.store.pages.get(hit.page.id, hit.page)
        if hit.kind == "comment":
            comment = next(c for c in self.content.comments(hit.page) if c.id == hit.id)
            return self.comment_json(page, comment, expand)
        if hit.kind == "attachment":
            file = next(a for a in self.content.attachments(hit.page) if a.id == hit.id)
            return self.attachment_json(page, file, expand)
        return self.content_json(page, expand)

    def result_json(self, hit: Hit, expand: set[str]) -> Json:
        """One entry of `/search`: the content, and the fields of a result list."""
        space = self.store.spaces[hit.page.space]
        title = hit.title or self.content.title(hit.page)
        document: Json = {
            "title": title,
            "excerpt": title[:80],
            "url": f"/spaces/{space.key}/pages/{hit.page.id}",
            "entityType": "content",
        }
        document |= {
            "breadcrumbs": [],
            "iconCssClass": f"aui-icon content-type-{hit.kind}",
            "lastModified": self.time(hit.page.modified),
        }
        document["resultGlobalContainer"] = {"title": space.name, "displayUrl": f"/spaces/{space.key}"}
        inner = {e.removeprefix("content.") for e in expand}
        document |= {"friendlyLastModified": "some time ago", "score": 0.0}
        return document | {"content": self.hit_json(hit, inner)}
