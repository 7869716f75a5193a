"""Builds batches of one schema: a function per dataset turns an item into a row, in the column names of `tables`."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.http.errors import BrokenAnswer
from ingest_ray.sdk.types import Dataset
from ingest_strategies.atlassian.batches import Reject, UnfitValue, build_batch
from ingest_strategies.atlassian.json_decoding import MARK, decoder, may_have_marks, stored_value, unmarked
from ingest_strategies.confluence.api.responses import (
    LabelV1,
    Person,
    SpaceV1,
    SpaceV2,
    VersionV1,
    VersionV2,
)
from ingest_strategies.confluence.reading.content_rows import (
    Row,
    Site,
    acl_columns,
    attachment_row,
    comment_row,
    optional_instant,
    page_columns,
    page_row,
    space_columns,
)
from ingest_strategies.confluence.reading.items import Item
from ingest_strategies.confluence.reading.listed_rows import LISTED_ROWS
from ingest_strategies.confluence.tables import BODY, TABLES

_v1_space, _v2_space = decoder(SpaceV1), decoder(SpaceV2)
_v1_version, _v2_version, _label = decoder(VersionV1), decoder(VersionV2), decoder(LabelV1)
_person = decoder(Person)


def label_row(item: Item, site: Site) -> Row:
    label = _label(item.content.body)
    return {
        **page_columns(item),
        **space_columns(item),
        "label_id": label.id,
        "name": label.name,
        "prefix": label.prefix,
        "page_modified_at": item.page.modified_at if item.page else None,
    }


def revision_row(item: Item, site: Site) -> Row:
    version: VersionV1 | VersionV2
    if site.is_cloud:
        version = v2 = _v2_version(item.content.body)
        author_id, created = v2.authorId, v2.createdAt
    else:
        version = v1 = _v1_version(item.content.body)
        author_id, created = v1.by.id, v1.when
    return {
        **page_columns(item),
        **space_columns(item),
        "version": version.number,
        "version_message": version.message or None,
        "minor_edit": version.minorEdit,
        "author_id": author_id,
        "created_at": optional_instant(created),
        "page_modified_at": item.page.modified_at if item.page else None,
        BODY: bytes(item.content.body).decode(),
    }


def acl_row(item: Item, site: Site) -> Row:
    assert item.acl is not None
    assert item.page is not None
    return {
        "content_id": item.page.id,
        "content_type": item.page.type,
        **space_columns(item),
        "is_restricted": item.acl.is_restricted,
        **acl_columns(item),
        **item.extra,
    }


def like_row(item: Item, site: Site) -> Row:
    account = _person(item.content.body).id
    return {**page_columns(item), **space_columns(item), "account_id": account, BODY: bytes(item.content.body).decode()}


def space_row(item: Item, site: Site) -> Row:
    space = item.space
    assert space is not None
    return {
        "id": space.id,
        "key": space.key,
        "name": space.name,
        "type": space.type,
        "status": space.status,
        **(_v2_space_columns(item, site) if site.is_cloud else _v1_space_columns(item, site)),
        BODY: bytes(space.body).decode(),
    }


def _v2_space_columns(item: Item, site: Site) -> Row:
    space = _v2_space(item.content.body)
    text = (space.description or {}).get("plain")
    return {
        "homepage_id": space.homepageId,
        "author_id": space.authorId,
        "created_at": optional_instant(space.createdAt),
        "description": text.value if text else None,
        "web_url": site.link(space.links.webui),
    }


def _v1_space_columns(item: Item, site: Site) -> Row:
    space = _v1_space(item.content.body)
    text = (space.description or {}).get("plain")
    homepage_id = space.homepage.id if space.homepage else None
    history = space.history
    return {
        "homepage_id": None if homepage_id is None else str(homepage_id),
        "author_id": history.createdBy.id if history else None,
        "created_at": optional_instant(history.createdDate) if history else None,
        "description": text.get("value") if isinstance(text, dict) else None,
        "web_url": site.link(space.links.webui),
    }


ROW_FUNCTIONS: dict[str, Callable[[Item, Site], Row]] = {
    "confluence.space": space_row,
    "confluence.page": page_row,
    "confluence.comment": comment_row,
    "confluence.attachment": attachment_row,
    "confluence.label": label_row,
    "confluence.revision": revision_row,
    "confluence.acl": acl_row,
    "confluence.attachment_acl": acl_row,
    "confluence.like": like_row,
    **LISTED_ROWS,
}


class RowBuilder:
    def __init__(self, dataset: Dataset, schema: pa.Schema, site: Site) -> None:
        self.schema = schema
        self._names = tuple(schema.names)
        self.site = site
        self._columns_of = ROW_FUNCTIONS[dataset.name]
        self._required = [column.name for column in TABLES[dataset.name].columns if not column.nullable]

    def columns(self, item: Item) -> Row:
        """The values by column. Raises `UnfitValue`."""
        try:
            return self._columns_of(item, self.site)
        except BrokenAnswer as error:
            raise UnfitValue(None, error.message) from None
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise UnfitValue(None, str(error)) from None

    def row(self, item: Item) -> list[Any]:
        """The values in the order of the schema. Raises `UnfitValue`."""
        columns = self.columns(item)
        for name in self._required:
            if columns.get(name) is None:
                raise UnfitValue(name, "is missing")
        if may_have_marks():
            self._check_half_characters(columns)
        return list(map(columns.get, self._names))

    def _check_half_characters(self, columns: Row) -> None:
        """The payload has them as they came. Raises `UnfitValue` for a text column that has one, also from another answer: a label, a role."""
        payload = columns.get(BODY)
        if isinstance(payload, str) and MARK.decode() in payload:
            columns[BODY] = unmarked(payload.encode()).decode()
        for name, value in columns.items():
            try:
                stored_value(value)
            except ValueError as error:
                raise UnfitValue(name, str(error)) from None

    def batch(self, items: Sequence[Item], reject: Reject) -> pa.RecordBatch:
        return build_batch(self.schema, items, self.row, raw_of, reject)


def raw_of(item: Item) -> dict[str, JsonValue]:
    """The untouched object, for quarantine."""
    head: dict[str, JsonValue] = {
        "space_key": item.space.key if item.space else None,
        "page_id": item.page.id if item.page else None,
    }
    return head | {BODY: unmarked(bytes(item.content.body)).decode(errors="replace")}
