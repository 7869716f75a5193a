"""Builds the rows of what is listed: tasks, containers, content of apps, roles, groups and their members."""

from collections.abc import Callable

from msgspec import Struct, field

from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.confluence.api.responses import ContentV2, GroupV1, Person, WithBodies
from ingest_strategies.confluence.listed_tables import CONTAINERS
from ingest_strategies.confluence.reading.content_rows import (
    Row,
    Site,
    optional_instant,
    space_columns,
    text_columns,
    without_body,
)
from ingest_strategies.confluence.reading.items import Item
from ingest_strategies.confluence.tables import BODY


class Task(WithBodies, kw_only=True):
    id: str
    localId: str | None = None
    pageId: str | None = None
    blogPostId: str | None = None
    status: str | None = None
    createdBy: str | None = None
    assignedTo: str | None = None
    completedBy: str | None = None
    createdAt: str | None = None
    updatedAt: str | None = None
    dueAt: str | None = None
    completedAt: str | None = None


class ListedContent(ContentV2, kw_only=True):
    """Of a container, or of an app."""

    type: str | None = None
    embedUrl: str | None = None
    pageId: str | None = None
    blogPostId: str | None = None
    customContentId: str | None = None


class AssignedPrincipal(Struct, gc=False):
    principalType: str | None = None
    principalId: str | None = None


class RoleAssignment(Struct, gc=False):
    raw_principal: AssignedPrincipal | None = field(default=None, name="principal")
    roleId: str | None = None

    @property
    def principal(self) -> AssignedPrincipal:
        return self.raw_principal or AssignedPrincipal()


_task, _content, _assignment = decoder(Task), decoder(ListedContent), decoder(RoleAssignment)
_group, _person = decoder(GroupV1), decoder(Person)


def task_row(item: Item, site: Site) -> Row:
    task = _task(item.content.body)
    return {
        "id": task.id,
        "local_id": task.localId,
        **space_columns(item),
        "page_id": task.pageId,
        "blogpost_id": task.blogPostId,
        "status": task.status,
        **text_columns(item.content, task.body),
        "author_id": task.createdBy,
        "assignee_id": task.assignedTo,
        "completed_by_id": task.completedBy,
        "created_at": optional_instant(task.createdAt),
        "updated_at": optional_instant(task.updatedAt),
        "due_at": optional_instant(task.dueAt),
        "completed_at": optional_instant(task.completedAt),
        BODY: without_body(item.content.body),
    }


def content_columns(item: Item, content: ListedContent, site: Site) -> Row:
    return {
        "id": content.id,
        "type": content.type,
        "status": content.status,
        **space_columns(item),
        "title": content.title,
        "created_at": optional_instant(content.createdAt),
        "modified_at": optional_instant(content.version.createdAt),
        "author_id": content.authorId,
        "editor_id": content.version.authorId,
        "version": content.version.number,
        "web_url": site.link(content.links.webui),
        BODY: without_body(item.content.body),
    }


def container_row(item: Item, site: Site) -> Row:
    content = _content(item.content.body)
    return {
        **content_columns(item, content, site),
        "parent_id": content.parentId,
        "parent_type": content.parentType,
        "position": content.position,
        "owner_id": content.ownerId,
        "embed_url": content.embedUrl,
    }


def custom_content_row(item: Item, site: Site) -> Row:
    content = _content(item.content.body)
    bodies = ((name, text.value) for name, text in content.body.items() if text.value is not None)
    body_format, body = next(bodies, (None, None))
    return {
        **content_columns(item, content, site),
        "page_id": content.pageId,
        "blogpost_id": content.blogPostId,
        "custom_content_id": content.customContentId,
        "body": body,
        "body_format": body_format,
    }


def space_role_row(item: Item, site: Site) -> Row:
    assignment = _assignment(item.content.body)
    return {
        **space_columns(item),
        "principal_type": assignment.principal.principalType,
        "principal_id": assignment.principal.principalId,
        "role_id": assignment.roleId,
        **item.extra,
        BODY: bytes(item.content.body).decode(),
    }


def group_row(item: Item, site: Site) -> Row:
    group = _group(item.content.body)
    return {"id": group.id or group.name, "name": group.name, BODY: bytes(item.content.body).decode()}


def member_row(item: Item, site: Site) -> Row:
    person = _person(item.content.body)
    return {
        "account_id": person.id,
        "display_name": person.displayName,
        **item.extra,
        BODY: bytes(item.content.body).decode(),
    }


LISTED_ROWS: dict[str, Callable[[Item, Site], Row]] = {
    "confluence.task": task_row,
    **dict.fromkeys(CONTAINERS, container_row),
    "confluence.custom_content": custom_content_row,
    "confluence.space_role": space_role_row,
    "confluence.group": group_row,
    "confluence.member": member_row,
}
