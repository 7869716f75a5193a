"""Builds the rows of pages, comments and attachments. Both deployments fill the same columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from ingest_strategies.atlassian.instants import instant
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.confluence.api.contract import FetchedContent
from ingest_strategies.confluence.api.responses import BodyText, ContentV1, ContentV2
from ingest_strategies.confluence.reading.items import Item
from ingest_strategies.confluence.tables import BODY

_v1_content, _v2_content = decoder(ContentV1), decoder(ContentV2)
_members = decoder(dict[str, Raw])
Row = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """`web_root` is the prefix of links for people."""

    is_cloud: bool
    web_root: str

    def link(self, path: str | None) -> str | None:
        return None if path is None else path if path.startswith("http") else f"{self.web_root}{path}"


def optional_instant(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def without_body(body: Raw) -> str:
    """The object without the text, which has columns of its own. Raises `BrokenAnswer` where it is no object."""
    members = _members(body)
    members.pop("body", None)
    return msgspec.json.encode(members).decode()


def text_columns(content: FetchedContent, bodies: Mapping[str, BodyText]) -> Row:
    """The storage format where the site gave it; otherwise the fault says why not."""
    if content.text_format is not None:
        return {"body": content.text, "body_format": content.text_format, "body_fault": content.fault}
    for body_format in ("storage", "view"):
        if body_format in bodies and bodies[body_format].value is not None:
            return {"body": bodies[body_format].value, "body_format": body_format, "body_fault": None}
    return {"body": None, "body_format": None, "body_fault": content.fault}


def acl_columns(item: Item) -> Row:
    return {"readers": list(item.acl.readers), "acl": item.acl.text} if item.acl else {}


def space_columns(item: Item) -> Row:
    return {"space_id": item.space.id, "space_key": item.space.key} if item.space is not None else {}


def page_columns(item: Item) -> Row:
    return {"page_id": item.page.id, "page_type": item.page.type} if item.page else {}


def author_columns(content: ContentV1) -> Row:
    """Creation and last change, as far as they were expanded. An attachment's `history` is that of its first version."""
    version, history = content.version, content.history
    return {
        "created_at": optional_instant(history.createdDate) if history else None,
        "modified_at": optional_instant(version.when) if version else None,
        "author_id": history.createdBy.id if history else None,
        "editor_id": version.by.id if version else None,
        "version": version.number if version else None,
    }


def page_row(item: Item, site: Site) -> Row:
    row = _v2_page_columns(item, site) if site.is_cloud else _v1_page_columns(item, site)
    return {
        **row,
        **space_columns(item),
        "labels": None if item.labels is None else list(item.labels),
        **acl_columns(item),
        BODY: without_body(item.content.body),
    }


def _v2_page_columns(item: Item, site: Site) -> Row:
    page = _v2_content(item.content.body)
    return {
        "id": page.id,
        "type": item.extra["type"],
        "status": page.status,
        "title": page.title,
        "parent_id": page.parentId,
        "parent_type": page.parentType,
        "position": page.position,
        "created_at": optional_instant(page.createdAt),
        "modified_at": optional_instant(page.version.createdAt),
        "author_id": page.authorId,
        "editor_id": page.version.authorId,
        "owner_id": page.ownerId,
        "version": page.version.number,
        "version_message": page.version.message or None,
        "minor_edit": page.version.minorEdit,
        "web_url": site.link(page.links.webui),
        **text_columns(item.content, page.body),
    }


def _v1_page_columns(item: Item, site: Site) -> Row:
    page = _v1_content(item.content.body)
    parent = page.ancestors[-1] if page.ancestors else None
    position = page.extensions.position
    return {
        "id": page.id,
        "type": page.type,
        "status": page.status,
        "title": page.title,
        "parent_id": parent.id if parent else None,
        "parent_type": (parent.type or "page") if parent else None,
        "position": position if isinstance(position, int) else None,
        **author_columns(page),
        "version_message": (page.version.message or None) if page.version else None,
        "minor_edit": page.version.minorEdit if page.version else None,
        "web_url": site.link(page.links.webui),
        **text_columns(item.content, page.body),
    }


def comment_row(item: Item, site: Site) -> Row:
    comment = _v1_content(item.content.body)
    return {
        "id": comment.id,
        **page_columns(item),
        **space_columns(item),
        "parent_id": comment.ancestors[-1].id if comment.ancestors else None,
        "location": comment.extensions.location,
        "resolution": (comment.extensions.resolution or {}).get("status"),
        "status": comment.status,
        "title": comment.title,
        **author_columns(comment),
        "web_url": site.link(comment.links.webui),
        **text_columns(item.content, comment.body),
        **acl_columns(item),
        BODY: without_body(item.content.body),
    }


def attachment_row(item: Item, site: Site) -> Row:
    attachment = _v1_content(item.content.body)
    extensions, metadata = attachment.extensions, attachment.metadata
    return {
        "id": attachment.id,
        **page_columns(item),
        **space_columns(item),
        "title": attachment.title,
        "media_type": extensions.mediaType or metadata.mediaType,
        "file_size": extensions.fileSize,
        "status": attachment.status,
        "comment": extensions.comment or metadata.comment or None,
        **author_columns(attachment),
        "web_url": site.link(attachment.links.webui),
        "download_url": site.link(attachment.links.download),
        **acl_columns(item),
        **item.extra,
        BODY: without_body(item.content.body),
    }
