"""Maps Confluence's units to the common data model: spaces, items (pages, blog posts, files, containers), revisions, links, comments,
readers, groups and their members.

Trashed content makes no row, and the engine erases the rows that it made before. A link has the id of its target page where the text
has it (a content id, or a URL of the same site); where the text has a title only, the title is in `properties`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ingest_ray.cdm import CdmRow, MapContext, Row, RowMapper, cdm_id
from ingest_strategies.atlassian.cdm import present, user_cdm_id
from ingest_strategies.confluence.link_rows import issue_links, page_links
from ingest_strategies.confluence.listed_tables import CONTAINERS, GROUPS, MEMBERS
from ingest_strategies.confluence.tables import ACLS, ATTACHMENT_ACLS, ATTACHMENTS, COMMENTS, PAGES, REVISIONS, SPACES
from ingest_strategies.rich_text import storage_links, storage_to_markdown

SPACE, ITEM, REVISION, LINK, ACCESS, COMMENT, GROUP, MEMBER = (
    "cdm.doc.space",
    "cdm.doc.item",
    "cdm.doc.revision",
    "cdm.doc.link",
    "cdm.doc.access",
    "cdm.doc.comment",
    "cdm.identity.group",
    "cdm.identity.member",
)
ISSUE = "cdm.work.item"
_decode = msgspec.json.Decoder().decode


def space(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        SPACE,
        {
            "cdm_id": cdm_id(SPACE, context.system, row["key"]),
            "source_system": context.system,
            "source_space_id": row["id"],
            "key": row["key"],
            "name": row["name"],
            "description": row["description"],
            "url": row["web_url"],
            "properties": present(
                type=row["type"],
                status=row["status"],
                homepage_cdm_id=_item(context, row["homepage_id"]),
                author_cdm_id=user_cdm_id(context, row["author_id"]),
                created_at=_text(row["created_at"]),
            ),
        },
    )


def page(row: Row, context: MapContext) -> Iterator[CdmRow]:
    if row["status"] == "trashed":
        return
    yield ITEM, _page_item(row, context)
    yield _revision(context, row["id"], row["version"], row["editor_id"], row["modified_at"], row["version_message"])
    seen: set[str] = set()
    links = list(storage_links(row["body"])) if row["body"] else ()
    for document in (*page_links(row, context, links), *issue_links(row, context, links)):
        if document["cdm_id"] not in seen:
            seen.add(document["cdm_id"])
            yield LINK, document


def _tree_item(row: Row, context: MapContext) -> dict[str, Any]:
    """What pages and containers have in common."""
    return {
        "cdm_id": _item(context, row["id"]),
        "source_system": context.system,
        "source_id": row["id"],
        "source_item_id": row["id"],
        "space_cdm_id": cdm_id(SPACE, context.system, row["space_key"]),
        "parent_item_cdm_id": _item(context, row["parent_id"]),
        "title": row["title"],
        "doc_type": row["type"],
        "created_by_cdm_id": user_cdm_id(context, row["author_id"]),
        "updated_by_cdm_id": user_cdm_id(context, row["editor_id"]),
        "created_at": row["created_at"],
        "updated_at": row["modified_at"],
    }


def _page_item(row: Row, context: MapContext) -> dict[str, Any]:
    return _tree_item(row, context) | {
        "mime_type": "text/markdown",
        "url": row["web_url"],
        "source_url": row["web_url"],
        "tags": row["labels"] or [],
        "properties": present(
            text=storage_to_markdown(row["body"]) if row["body"] else None,
            status=row["status"],
            version=row["version"],
            position=row["position"],
            parent_type=row["parent_type"],
            owner_cdm_id=user_cdm_id(context, row["owner_id"]),
            body_fault=row["body_fault"],
        ),
        "raw_source": present(
            id=row["id"],
            type=row["type"],
            status=row["status"],
            space_id=row["space_id"],
            space_key=row["space_key"],
            parent_id=row["parent_id"],
            version=row["version"],
            created_at=_text(row["created_at"]),
            modified_at=_text(row["modified_at"]),
        ),
    }


def attachment(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """A file is an item; a link with the file's id connects it to its page."""
    if row["status"] == "trashed":
        return
    yield (
        ITEM,
        {
            "cdm_id": _item(context, row["id"]),
            "source_system": context.system,
            "source_id": row["id"],
            "source_item_id": row["id"],
            "space_cdm_id": cdm_id(SPACE, context.system, row["space_key"]),
            "parent_item_cdm_id": _item(context, row["page_id"]),
            "title": row["title"],
            "doc_type": "attachment",
            "mime_type": row["media_type"],
            "created_by_cdm_id": user_cdm_id(context, row["author_id"]),
            "updated_by_cdm_id": user_cdm_id(context, row["editor_id"]),
            "created_at": row["created_at"],
            "updated_at": row["modified_at"],
            "url": row["download_url"],
            "source_url": row["web_url"],
            "tags": [],
            "properties": present(
                size=row["file_size"],
                version=row["version"],
                comment=row["comment"],
                object_uri=row["object_uri"],
                sha256=row["sha256"],
                object_fault=row["object_fault"],
            ),
            "raw_source": present(
                id=row["id"], page_id=row["page_id"], space_key=row["space_key"], version=row["version"]
            ),
        },
    )
    yield LINK, _attachment_link(row, context)


def _attachment_link(row: Row, context: MapContext) -> dict[str, Any]:
    return {
        "cdm_id": cdm_id(LINK, context.system, row["id"]),
        "source_system": context.system,
        "source_link_id": row["id"],
        "from_item_cdm_id": _item(context, row["page_id"]),
        "to_item_cdm_id": _item(context, row["id"]),
        "url": row["download_url"],
        "link_type": "attachment",
        "created_at": row["created_at"],
    }


def container(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """A folder, whiteboard, database or embed: pages may be below it."""
    if row["status"] == "trashed":
        return
    yield (
        ITEM,
        _tree_item(row, context)
        | {
            "url": row["embed_url"] or row["web_url"],
            "source_url": row["web_url"],
            "tags": [],
            "properties": present(
                status=row["status"],
                version=row["version"],
                position=row["position"],
                parent_type=row["parent_type"],
                owner_cdm_id=user_cdm_id(context, row["owner_id"]),
            ),
            "raw_source": present(id=row["id"], type=row["type"], parent_id=row["parent_id"], version=row["version"]),
        },
    )


def comment(row: Row, context: MapContext) -> Iterator[CdmRow]:
    if row["status"] == "trashed":
        return
    yield (
        COMMENT,
        {
            "cdm_id": cdm_id(COMMENT, context.system, row["id"]),
            "source_system": context.system,
            "item_cdm_id": _item(context, row["page_id"]),
            "parent_comment_cdm_id": cdm_id(COMMENT, context.system, row["parent_id"]) if row["parent_id"] else None,
            "author_cdm_id": user_cdm_id(context, row["author_id"]),
            "body": storage_to_markdown(row["body"]) if row["body"] else None,
            "created_at": row["created_at"],
            "updated_at": row["modified_at"],
            "is_inline": row["location"] == "inline" if row["location"] else None,
            "resolution": row["resolution"],
            "properties": present(
                version=row["version"],
                url=row["web_url"],
                editor_cdm_id=user_cdm_id(context, row["editor_id"]),
                body_fault=row["body_fault"],
            ),
        },
    )


def group(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        GROUP,
        {
            "cdm_id": cdm_id(GROUP, context.system, row["id"]),
            "source_system": context.system,
            "name": row["name"],
        },
    )


def member(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield (
        MEMBER,
        {
            "cdm_id": cdm_id(MEMBER, context.system, row["group_id"], row["account_id"]),
            "source_system": context.system,
            "group_cdm_id": cdm_id(GROUP, context.system, row["group_id"]),
            "user_cdm_id": user_cdm_id(context, row["account_id"]),
            "properties": present(display_name=row["display_name"]),
        },
    )


def revision(row: Row, context: MapContext) -> Iterator[CdmRow]:
    yield _revision(
        context, row["page_id"], row["version"], row["author_id"], row["created_at"], row["version_message"]
    )


def access(row: Row, context: MapContext) -> Iterator[CdmRow]:
    """One row for each reader: `user:<id>`, `group:<id>`, `class:<name of a class of accounts>` or `anyone`."""
    levels = _decode(row["acl"]) if row["acl"] else None
    for reader in dict.fromkeys(row["readers"]):
        kind, _, principal = reader.partition(":")
        yield (
            ACCESS,
            {
                "cdm_id": cdm_id(ACCESS, context.system, row["content_id"], kind, principal or kind),
                "source_system": context.system,
                "doc_cdm_id": _item(context, row["content_id"]),
                "principal_id": principal or kind,
                "principal_type": kind,
                "permission": "read",
                "properties": present(
                    is_restricted=row["is_restricted"],
                    levels=len(levels) if isinstance(levels, list) else None,
                    principal_cdm_id=_principal(context, kind, principal),
                    read_at=_text(row["read_at"]),
                ),
            },
        )


def _revision(
    context: MapContext, content_id: str, number: int, author: str | None, created_at: Any, message: str | None
) -> CdmRow:
    return (
        REVISION,
        {
            "cdm_id": cdm_id(REVISION, context.system, content_id, number),
            "source_system": context.system,
            "source_revision_id": f"{content_id}:{number}",
            "item_cdm_id": _item(context, content_id),
            "revision_number": number,
            "revision_label": f"v{number}",
            "author_cdm_id": user_cdm_id(context, author),
            "created_at": created_at,
            "summary": message or None,
        },
    )


def _principal(context: MapContext, kind: str, principal: str) -> str | None:
    if kind == "group":
        return cdm_id(GROUP, context.system, principal)
    return user_cdm_id(context, principal) if kind == "user" else None


def _item(context: MapContext, content_id: str | None) -> str | None:
    return cdm_id(ITEM, context.system, content_id) if content_id else None


def _text(instant: Any) -> str | None:
    return instant.isoformat() if instant is not None else None


_containers = {name: RowMapper(f"{name}/1", (ITEM,), container) for name in CONTAINERS}
mappers = {
    SPACES.name: RowMapper("confluence.space/1", (SPACE,), space),
    # A new version adds a revision; those before stay.
    PAGES.name: RowMapper("confluence.page/4", (ITEM, REVISION, LINK), page, keeps=(REVISION,)),
    COMMENTS.name: RowMapper("confluence.comment/1", (COMMENT,), comment),
    ATTACHMENTS.name: RowMapper("confluence.attachment/1", (LINK, ITEM), attachment),
    REVISIONS.name: RowMapper("confluence.revision/1", (REVISION,), revision),
    ACLS.name: RowMapper("confluence.acl/2", (ACCESS,), access),
    ATTACHMENT_ACLS.name: RowMapper("confluence.attachment_acl/1", (ACCESS,), access),
    **_containers,
    GROUPS.name: RowMapper("confluence.group/1", (GROUP,), group),
    MEMBERS.name: RowMapper("confluence.member/1", (MEMBER,), member),
}
