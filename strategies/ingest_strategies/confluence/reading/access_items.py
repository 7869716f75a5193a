"""Reads who may read each page, post and attachment. Content whose readers cannot be determined goes to quarantine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.readers import AclUnknown
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.contract import FetchedContent, Space
from ingest_strategies.confluence.reading.acl import CLOSED
from ingest_strategies.confluence.reading.content_heads import PageHead
from ingest_strategies.confluence.reading.content_reader import PAGES_AT_ONCE, ContentReader, page_ref
from ingest_strategies.confluence.reading.items import Item, PageRef

_head = decoder(PageHead)


def read_acls_by_id(reader: ContentReader, ids: Sequence[tuple[str, str]]) -> Iterator[list[Item]]:
    """Of archived and trashed pages. Nobody reads what is in the trash."""
    extra = {"read_at": datetime.fromtimestamp(reader.now_ms / 1000, UTC)}
    kinds = {number: kind for kind, number in ids}
    for contents in reader.api.read_contents(ids, reader.unreadable):
        items = []
        for content in contents:
            head = _head(content.body)
            space, page = reader.space_of(head), PageRef(head.id, head.type or kinds[head.id])
            if space is None:
                continue
            if head.status == "trashed":
                items.append(Item(content, space, page, acl=CLOSED, extra=extra))
            else:
                items += _acl_items(reader, content, space, page, extra)
        yield items


def _acl_items(
    reader: ContentReader,
    content: FetchedContent,
    space: Space,
    page: PageRef,
    extra: Mapping[str, Any],
    of: str | None = None,
) -> list[Item]:
    """One, or none where the readers cannot be determined. `of`: the page whose readers they are, where it is another content."""
    try:
        return [Item(content, space, page, acl=reader.acls.read_acl(of or page.id, space), extra=extra)]
    except AclUnknown as error:
        reader.reject_without_readers(page.id, None, error)
        return []


def read_acls(reader: ContentReader, where: str) -> Iterator[list[Item]]:
    """A page whose readers cannot be determined goes to quarantine."""
    read_at = datetime.fromtimestamp(reader.now_ms / 1000, UTC)
    for part in chunked(reader.search(where, ("version",), reader.unreadable), PAGES_AT_ONCE):
        pages = list(reader.decoded(part))
        reader.acls.prepare([page.id for _, page in pages])
        items = []
        for body, page in pages:
            items += _acl_items(reader, FetchedContent(body), reader.space, page_ref(page), {"read_at": read_at})
        yield items


def read_attachment_acls(reader: ContentReader, where: str) -> Iterator[list[Item]]:
    """The readers of an attachment are those of its page."""
    extra = {"read_at": datetime.fromtimestamp(reader.now_ms / 1000, UTC)}
    found = reader.decoded(reader.search(where, ("container",), reader.unreadable))
    files = [(body, fields, fields.container) for body, fields in found]
    for part in chunked(files, PAGES_AT_ONCE):
        reader.acls.prepare(sorted({str(page.id) for _, _, page in part if page is not None}))
        items: list[Item] = []
        for body, fields, page in part:
            if page is None:
                reader.reject(fields.id, fields.title, "it does not name its page", "content_id")
                continue
            ref = PageRef(fields.id, "attachment")
            items += _acl_items(reader, FetchedContent(body), reader.space, ref, extra, str(page.id))
        yield items


def read_found(reader: ContentReader, dataset: str, where: str) -> Iterator[list[Item]]:
    """The items of any dataset that search finds."""
    accesses: dict[str, Callable[[ContentReader, str], Iterator[list[Item]]]] = {
        "confluence.acl": read_acls,
        "confluence.attachment_acl": read_attachment_acls,
    }
    return accesses[dataset](reader, where) if dataset in accesses else reader.read_items(dataset, where)
