"""From what came to rows: one function per dataset, in the words of `tables`. Both deployments end in the same columns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw
from pydantic import JsonValue

from ingest_ray.sdk.types import Dataset
from ingest_strategies.atlassian.batches import Misfit, Reject, batch_of
from ingest_strategies.confluence.api.client import Found, Space
from ingest_strategies.confluence.api.responses import (
    ContentOne,
    ContentTwo,
    LabelOne,
    Links,
    SpaceOne,
    SpaceTwo,
    Text,
    VersionOne,
    VersionTwo,
    decoder,
    instant,
)
from ingest_strategies.confluence.reading.acl import Acl
from ingest_strategies.confluence.tables import BODY, TABLES

_one, _two = decoder(ContentOne), decoder(ContentTwo)
_space_one, _space_two = decoder(SpaceOne), decoder(SpaceTwo)
_version_one, _version_two, _label = decoder(VersionOne), decoder(VersionTwo), decoder(LabelOne)
_parts = decoder(dict[str, Raw])
Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One object with what is known of it besides."""

    found: Found
    space: Space
    page: "PageRef | None" = None
    labels: Sequence[str] | None = None
    acl: Acl | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PageRef:
    """The page or post that something hangs on."""

    id: str
    type: str | None
    modified_at: datetime | None = None


@dataclass(frozen=True)
class Site:
    """`web_root` is what links for people begin with."""

    is_cloud: bool
    web_root: str

    def link(self, path: str | None) -> str | None:
        return None if path is None else path if path.startswith("http") else f"{self.web_root}{path}"


def when(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def without_body(body: Raw) -> str:
    """The object as it came; the text has columns of its own, so it is not kept twice."""
    parts = _parts(body)
    parts.pop("body", None)
    return msgspec.json.encode(parts).decode()


def text_of(found: Found, bodies: Mapping[str, Text]) -> Row:
    """Storage where it came; what could not be had in the format that was asked for says so."""
    if found.text_format is not None:
        return {"body": found.text, "body_format": found.text_format, "body_fault": found.fault}
    for form in ("storage", "view"):
        if form in bodies:
            return {"body": bodies[form].value, "body_format": form, "body_fault": None}
    return {"body": None, "body_format": None, "body_fault": found.fault}


def acl_of(item: Item) -> Row:
    return {"readers": list(item.acl.readers), "acl": item.acl.text} if item.acl else {}


def space_of(item: Item) -> Row:
    return {"space_id": item.space.id, "space_key": item.space.key}


def page_of(item: Item) -> Row:
    return {"page_id": item.page.id, "page_type": item.page.type} if item.page else {}


def page_two(item: Item, site: Site) -> Row:
    page = _two(item.found.body)
    return {
        "id": page.id,
        "type": item.more["type"],
        "status": page.status,
        "title": page.title,
        "parent_id": page.parentId,
        "parent_type": page.parentType,
        "position": page.position,
        "created_at": when(page.createdAt),
        "modified_at": instant(page.version.createdAt),
        "author_id": page.authorId,
        "editor_id": page.version.authorId,
        "owner_id": page.ownerId,
        "version": page.version.number,
        "version_message": page.version.message or None,
        "minor_edit": page.version.minorEdit,
        "web_url": site.link(page.links.webui),
        **text_of(item.found, page.body),
    }


def page_one(item: Item, site: Site) -> Row:
    page = _one(item.found.body)
    above = page.ancestors[-1] if page.ancestors else None
    position = page.extensions.position
    return {
        "id": page.id,
        "type": page.type,
        "status": page.status,
        "title": page.title,
        "parent_id": above.id if above else None,
        "parent_type": (above.type or "page") if above else None,
        "position": position if isinstance(position, int) else None,
        **stamps(page),
        "version_message": (page.version.message or None) if page.version else None,
        "minor_edit": page.version.minorEdit if page.version else None,
        "web_url": site.link(page.links.webui),
        **text_of(item.found, page.body),
    }


def stamps(content: ContentOne) -> Row:
    """Who made it and who changed it last, where that was expanded. An attachment's first version made it."""
    version, history = content.version, content.history
    return {
        "created_at": when(history.createdDate) if history else None,
        "modified_at": when(version.when) if version else None,
        "author_id": history.createdBy.id if history else None,
        "editor_id": version.by.id if version else None,
        "version": version.number if version else None,
    }


def page_row(item: Item, site: Site) -> Row:
    row = page_two(item, site) if site.is_cloud else page_one(item, site)
    labels = None if item.labels is None else list(item.labels)
    return {**row, **space_of(item), "labels": labels, **acl_of(item), BODY: without_body(item.found.body)}


def comment_row(item: Item, site: Site) -> Row:
    comment = _one(item.found.body)
    resolution = (comment.extensions.resolution or {}).get("status")
    return {
        "id": comment.id,
        **page_of(item),
        **space_of(item),
        "parent_id": comment.ancestors[-1].id if comment.ancestors else None,
        "location": comment.extensions.location,
        "resolution": resolution,
        "status": comment.status,
        "title": comment.title,
        **stamps(comment),
        "web_url": site.link(comment.links.webui),
        **text_of(item.found, comment.body),
        **acl_of(item),
        BODY: without_body(item.found.body),
    }


def attachment_row(item: Item, site: Site) -> Row:
    file = _one(item.found.body)
    return {
        "id": file.id,
        **page_of(item),
        **space_of(item),
        "title": file.title,
        "media_type": file.extensions.mediaType or file.metadata.mediaType,
        "file_size": file.extensions.fileSize,
        "status": file.status,
        "comment": file.extensions.comment or file.metadata.comment or None,
        **stamps(file),
        "web_url": site.link(file.links.webui),
        "download_url": site.link(file.links.download),
        **acl_of(item),
        **item.more,
        BODY: without_body(item.found.body),
    }


def label_row(item: Item, site: Site) -> Row:
    label = _label(item.found.body)
    row = {"label_id": label.id, "name": label.name, "prefix": label.prefix}
    return {**page_of(item), **space_of(item), **row, "page_modified_at": item.page.modified_at if item.page else None}


def revision_row(item: Item, site: Site) -> Row:
    if site.is_cloud:
        two = _version_two(item.found.body)
        row: Row = {"version": two.number, "version_message": two.message or None, "minor_edit": two.minorEdit}
        row |= {"author_id": two.authorId, "created_at": instant(two.createdAt)}
    else:
        one = _version_one(item.found.body)
        row = {"version": one.number, "version_message": one.message or None, "minor_edit": one.minorEdit}
        row |= {"author_id": one.by.id, "created_at": instant(one.when)}
    row["page_modified_at"] = item.page.modified_at if item.page else None
    return {**page_of(item), **space_of(item), **row, BODY: bytes(item.found.body).decode()}


def acl_row(item: Item, site: Site) -> Row:
    assert item.acl is not None
    assert item.page is not None
    return {
        "content_id": item.page.id,
        "content_type": item.page.type,
        **space_of(item),
        "is_restricted": item.acl.is_restricted,
        **acl_of(item),
        **item.more,
    }


def space_row(item: Item, site: Site) -> Row:
    body = item.space.body
    if site.is_cloud:
        two = _space_two(body)
        text = (two.description or {}).get("plain")
        row: Row = {"homepage_id": two.homepageId, "author_id": two.authorId, "created_at": when(two.createdAt)}
        row |= {"description": text.value if text else None, "web_url": site.link(two.links.webui)}
    else:
        one = _space_one(body)
        plain = (one.description or {}).get("plain")
        home = (one.homepage or {}).get("id")
        row = {"homepage_id": msgspec.json.decode(home, type=str) if home is not None else None}
        row |= {"description": msgspec.json.decode(plain, type=Text).value if plain is not None else None}
        row |= {"author_id": one.history.createdBy.id if one.history else None, "web_url": site.link(one.links.webui)}
        row |= {"created_at": when(one.history.createdDate) if one.history else None}
    space = item.space
    head = {"id": space.id, "key": space.key, "name": space.name, "type": space.type, "status": space.status}
    return {**head, **row, BODY: bytes(body).decode()}


MAKERS: dict[str, Callable[[Item, Site], Row]] = {
    "confluence.space": space_row,
    "confluence.page": page_row,
    "confluence.comment": comment_row,
    "confluence.attachment": attachment_row,
    "confluence.label": label_row,
    "confluence.revision": revision_row,
    "confluence.acl": acl_row,
}


class RowMaker:
    def __init__(self, dataset: Dataset, schema: pa.Schema, site: Site) -> None:
        self.schema = schema
        self.site = site
        self._make = MAKERS[dataset.name]
        self._required = [part.column for part in TABLES[dataset.name].parts if not part.nullable]

    def values(self, item: Item) -> list[Any]:
        """One row. Raises `Misfit`."""
        try:
            row = self._make(item, self.site)
        except (msgspec.DecodeError, ValueError) as error:
            raise Misfit(None, str(error)) from None
        for column in self._required:
            if row.get(column) is None:
                raise Misfit(column, "is missing")
        return [row.get(name) for name in self.schema.names]

    def batch(self, items: Sequence[Item], reject: Reject) -> pa.RecordBatch:
        return batch_of(self.schema, items, self.values, raw_of, reject)


def raw_of(item: Item) -> dict[str, JsonValue]:
    """The object as it came, for quarantine."""
    head: dict[str, JsonValue] = {"space_key": item.space.key, "page_id": item.page.id if item.page else None}
    return head | {BODY: bytes(item.found.body).decode(errors="replace")}


def links_of(body: Raw) -> Links:
    return _one(body).links
