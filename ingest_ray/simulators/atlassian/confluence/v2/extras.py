"""Confluence Cloud v2: tasks, likes, content of apps, roles, operations and properties.

Schemas and parameters are those of Atlassian's OpenAPI file: https://dac-static.atlassian.com/cloud/confluence/openapi-v2.v3.json
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ingest_ray.simulators.atlassian.confluence import page_extras, space_grants
from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import PER_PAGE, Page
from ingest_ray.simulators.atlassian.confluence.page_extras import APP_TYPES, AppContent, PageTask
from ingest_ray.simulators.atlassian.confluence.v2.spaces import ConfluenceV2Spaces
from ingest_ray.simulators.atlassian.content.clock import spell_utc
from ingest_ray.simulators.atlassian.content.rich_text import adf, storage
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, encode, reply, route

_OPERATIONS = ("read", "update", "delete")
Found = tuple[Page, Any]


class ConfluenceV2Extras(ConfluenceV2Spaces):
    def _extras(self, make: Callable[[Any, Page], Sequence[Any]]) -> Iterator[Found]:
        """Of the current pages that the account may see, page by page."""
        readable = set(self.readable_spaces())
        for page in self.store.visible_pages():
            if page.status == "current" and page.space in readable:
                yield from ((page, each) for each in make(self.content, page))

    def _extra(self, call: Call, make: Callable[[Any, Page], Sequence[Any]]) -> Found:
        number = call.params["id"]
        page = self.store.find(str(int(number) // PER_PAGE)) if number.isdecimal() else None
        for each in make(self.content, page) if page is not None else ():
            if str(each.id) == number and page is not None:
                return page, each
        raise self.v2_refuse(404, "Not Found")

    def _account(self, number: int | None) -> str | None:
        return None if number is None else self.store.people[number].account_id

    # Tasks.

    def task_v2(self, page: Page, task: PageTask, form: str) -> Json:
        document: Json = {"id": str(task.id), "localId": str(task.id % PER_PAGE), "status": task.status}
        document["spaceId"] = str(self.store.spaces[page.space].id)
        document["pageId" if page.kind == "page" else "blogPostId"] = str(page.id)
        if form:
            value = storage(task.text, cloud=True) if form == "storage" else encode(adf(task.text)).decode()
            document["body"] = {form: {"value": value, "representation": form}}
        document |= {"createdBy": self._account(task.author), "assignedTo": self._account(task.assignee)}
        document |= {"completedBy": self._account(task.closer), "createdAt": spell_utc(task.created)}
        document |= {"updatedAt": spell_utc(task.updated), "dueAt": None if task.due is None else spell_utc(task.due)}
        document["completedAt"] = None if task.closed is None else spell_utc(task.closed)
        return {name: value for name, value in document.items() if value is not None}

    @route("GET ~/api/v2/tasks")
    def v2_tasks(self, call: Call) -> Reply:
        """`include-blank-tasks` defaults to true: tasks whose text is empty."""
        form, blank = self.body_format(call), call.boolean("include-blank-tasks", True)
        found = [
            (page, task)
            for page, task in self._extras(page_extras.tasks)
            if self._suits(call, page, task) and (blank or task.text)
        ]
        return self.by_offset(call, found, lambda each: self.task_v2(each[0], each[1], form))

    def _suits(self, call: Call, page: Page, task: PageTask) -> bool:
        own = str(page.id)
        chosen = {
            "status": task.status,
            "task-id": str(task.id),
            "space-id": str(self.store.spaces[page.space].id),
            "page-id": own if page.kind == "page" else "",
            "blogpost-id": own if page.kind != "page" else "",
            "created-by": self._account(task.author),
            "assigned-to": self._account(task.assignee),
            "completed-by": self._account(task.closer),
        }
        instants = {"created-at": task.created, "due-at": task.due, "completed-at": task.closed}
        return all(not (wanted := call.parameters(name)) or value in wanted for name, value in chosen.items()) and all(
            _is_between(call, name, at) for name, at in instants.items()
        )

    @route("GET ~/api/v2/tasks/{id}")
    def v2_task(self, call: Call) -> Reply:
        page, task = self._extra(call, page_extras.tasks)
        return reply(self.task_v2(page, task, self.body_format(call)))

    # Likes.

    @route("GET ~/api/v2/pages/{id}/likes/count", "GET ~/api/v2/blogposts/{id}/likes/count")
    def v2_likes_count(self, call: Call) -> Reply:
        return reply({"count": len(page_extras.likes(self.content, self._liked(call)))})

    @route("GET ~/api/v2/pages/{id}/likes/users", "GET ~/api/v2/blogposts/{id}/likes/users")
    def v2_likes_users(self, call: Call) -> Reply:
        people = page_extras.likes(self.content, self._liked(call))
        return self.by_offset(call, people, lambda n: {"accountId": self._account(n)})

    def _liked(self, call: Call) -> Page:
        return self.v2_page(call, "page" if "/pages/" in call.path else "blogpost")

    @route("GET ~/api/v2/footer-comments/{id}/likes/count", "GET ~/api/v2/inline-comments/{id}/likes/count")
    def v2_comment_likes_count(self, call: Call) -> Reply:
        self._comment(call)
        return reply({"count": 0})

    @route("GET ~/api/v2/footer-comments/{id}/likes/users", "GET ~/api/v2/inline-comments/{id}/likes/users")
    def v2_comment_likes_users(self, call: Call) -> Reply:
        self._comment(call)
        return self.by_offset(call, [], lambda n: n)

    # Content of apps.

    def app_content_v2(self, page: Page, item: AppContent, form: str) -> Json:
        author, at = self._account(item.author), spell_utc(item.created)
        document: Json = {"id": str(item.id), "type": item.kind, "status": "current", "title": item.title}
        document["spaceId"] = str(self.store.spaces[page.space].id)
        document["pageId" if page.kind == "page" else "blogPostId"] = str(page.id)
        document |= {"authorId": author, "createdAt": at, "version": self._first_version(item, item.version)}
        document["body"] = {form: {"value": "{}", "representation": form}} if form else {}
        return document | {"_links": {"webui": f"/pages/{page.id}?contentId={item.id}"}}

    def _first_version(self, item: AppContent, number: int) -> Json:
        document: Json = {"number": number, "message": "", "minorEdit": False}
        return document | {"authorId": self._account(item.author), "createdAt": spell_utc(item.created)}

    def _app_contents(self, call: Call, keep: Callable[[Page], bool]) -> Reply:
        kind, form, ids = call.parameter("type"), self.raw_format(call), call.parameters("id")
        spaces = call.parameters("space-id")
        found = [
            (page, item)
            for page, item in self._extras(page_extras.app_contents)
            if item.kind == kind and keep(page) and (not ids or str(item.id) in ids)
            and (not spaces or str(self.store.spaces[page.space].id) in spaces)
        ]  # fmt: skip
        keys: dict[str, Callable[[Found], Any]] = {
            "id": lambda e: e[1].id,
            "created-date": lambda e: (e[1].created, e[1].id),
            "modified-date": lambda e: (e[1].created, e[1].id),
            "title": lambda e: (e[1].title, e[1].id),
        }
        return self.by_offset(
            call, self.in_order(call, found, keys, "id"), lambda each: self.app_content_v2(each[0], each[1], form)
        )

    def raw_format(self, call: Call) -> str:
        return call.parameter("body-format")

    @route("GET ~/api/v2/custom-content")
    def v2_app_contents(self, call: Call) -> Reply:
        return self._app_contents(call, lambda page: True)

    @route("GET ~/api/v2/spaces/{id}/custom-content")
    def v2_space_app_contents(self, call: Call) -> Reply:
        space = self.v2_space(call.params["id"])
        return self._app_contents(call, lambda page: page.space == space.index)

    @route("GET ~/api/v2/pages/{id}/custom-content", "GET ~/api/v2/blogposts/{id}/custom-content")
    def v2_page_app_contents(self, call: Call) -> Reply:
        own = self._liked(call)
        return self._app_contents(call, lambda page: page.id == own.id)

    @route("GET ~/api/v2/custom-content/{id}")
    def v2_app_content(self, call: Call) -> Reply:
        page, item = self._extra(call, page_extras.app_contents)
        number = call.integer("version", item.version)
        if not 1 <= number <= item.version:
            raise self.v2_refuse(404, "Not Found")
        document = self.app_content_v2(page, item, self.raw_format(call)) | {
            "version": self._first_version(item, number)
        }
        versions = [self._first_version(item, n) for n in range(item.version, 0, -1)]
        document = self.with_included(call, document, labels=[], versions=versions)
        document["_links"]["base"] = f"{self.site}/wiki"
        return reply(document)

    @route("GET ~/api/v2/custom-content/{id}/versions")
    def v2_app_content_versions(self, call: Call) -> Reply:
        _, item = self._extra(call, page_extras.app_contents)
        numbers: Sequence[int] = range(1, item.version + 1)
        return self.by_offset(call, self.newest_first(call, numbers), lambda n: self._first_version(item, n))

    @route("GET ~/api/v2/custom-content/{id}/labels", "GET ~/api/v2/custom-content/{id}/attachments",
           "GET ~/api/v2/custom-content/{id}/footer-comments", "GET ~/api/v2/custom-content/{id}/children")  # fmt: skip
    def v2_below_app_content(self, call: Call) -> Reply:
        self._extra(call, page_extras.app_contents)
        return self.by_offset(call, [], lambda n: n)

    # Operations and properties, of everything that has some.

    def _require(self, call: Call) -> None:
        """Raises 404 where the content of the path does not exist."""
        kind = call.path.removeprefix(f"{self.root}/api/v2/").partition("/")[0]
        match kind:
            case "pages" | "blogposts":
                self._liked(call)
            case "spaces":
                self.v2_space(call.params["id"])
            case "footer-comments" | "inline-comments":
                self._comment(call)
            case "comments":
                if self.comment_by_id(call.params["id"]) is None:
                    raise self.v2_refuse(404, "Not Found")
            case "attachments":
                if self.attachment_by_id(call.params["id"]) is None:
                    raise self.v2_refuse(404, "Not Found")
            case "custom-content":
                self._extra(call, page_extras.app_contents)
            case _:
                self._container(call, kind.removesuffix("s"))

    def operations_of(self, call: Call) -> list[Json]:
        kind = call.path.removeprefix(f"{self.root}/api/v2/").partition("/")[0]
        target = {"footer-comments": "comment", "inline-comments": "comment"}.get(kind, kind.removesuffix("s"))
        return [{"operation": name, "targetType": target} for name in _OPERATIONS]

    @route(*(f"GET ~/api/v2/{kind}/{{id}}/operations" for kind in (
        "blogposts", "spaces", "footer-comments", "inline-comments", "attachments", "custom-content", "folders", "whiteboards",
        "databases", "embeds")))  # fmt: skip
    def v2_any_operations(self, call: Call) -> Reply:
        self._require(call)
        return reply({"operations": self.operations_of(call)})

    @route(*(f"GET ~/api/v2/{kind}/{{id}}/properties" for kind in (
        "pages", "blogposts", "spaces", "comments", "attachments", "custom-content", "folders", "whiteboards", "databases", "embeds"
    )))  # fmt: skip
    def v2_properties(self, call: Call) -> Reply:
        self._require(call)
        sent = self.properties_of(call)
        keys: dict[str, Callable[[Json], Any]] = {"key": lambda each: each["key"]}
        wanted = call.parameter("key")
        return self.by_offset(
            call, self.in_order(call, [p for p in sent if not wanted or p["key"] == wanted], keys, "key"), lambda p: p
        )

    @route(*(f"GET ~/api/v2/{kind}/{{id}}/properties/{{property}}" for kind in (
        "pages", "blogposts", "spaces", "comments", "attachments", "custom-content", "folders", "whiteboards", "databases", "embeds"
    )))  # fmt: skip
    def v2_property(self, call: Call) -> Reply:
        self._require(call)
        for each in self.properties_of(call):
            if each["id"] == call.params["property"]:
                return reply(each)
        raise self.v2_refuse(404, "Not Found")

    # Roles.

    @route("GET ~/api/v2/space-roles/{id}")
    def v2_space_role(self, call: Call) -> Reply:
        role = space_grants.ROLES.get(call.params["id"])
        if role is None:
            raise self.v2_refuse(404, "Not Found")
        name, kind, permissions = role
        document: Json = {"id": call.params["id"], "type": kind, "name": name, "description": ""}
        return reply(document | {"spacePermissions": list(permissions), "_links": {"base": f"{self.site}/wiki"}})

    @route("GET ~/api/v2/space-role-mode")
    def v2_space_role_mode(self, call: Call) -> Reply:
        return reply({"mode": "ROLES" if space_grants.has_roles(self.store) else "PRE_ROLES"})

    @route("GET ~/api/v2/space-permissions")
    def v2_space_permissions(self, call: Call) -> Reply:
        names = sorted({name for *_, granted in space_grants.ROLES.values() for name in granted})
        sent = [{"id": n, "displayName": n, "description": "", "requiredPermissionIds": []} for n in names]
        return self.by_offset(call, sent, lambda each: each)


def _is_between(call: Call, name: str, at: int | None) -> bool:
    """Epoch milliseconds, both ends included; an instant that is missing is in no interval."""
    lower, upper = call.parameter(f"{name}-from"), call.parameter(f"{name}-to")
    if not lower and not upper:
        return True
    return at is not None and (not lower or int(lower) <= at) and (not upper or at <= int(upper))


__all__ = ["APP_TYPES", "ConfluenceV2Extras"]
