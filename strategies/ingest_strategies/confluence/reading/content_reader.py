"""Reads the items of each dataset: listings, their bodies, and the comments, attachments, labels and versions of pages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from msgspec import Raw

from ingest_ray.http.errors import NotThere
from ingest_strategies.atlassian.attachment_files import AttachmentFile, AttachmentStore
from ingest_strategies.atlassian.deployment import SERVER
from ingest_strategies.atlassian.instants import instant, instant_ms_or
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.readers import AclUnknown
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.contract import Api, FetchedContent, Space, UnreadableContent
from ingest_strategies.confluence.api.responses import ContentRef, ContentV1, ContentV2, LabelList
from ingest_strategies.confluence.reading.acl import AclReader
from ingest_strategies.confluence.reading.content_heads import LabelledPage, LabelName, PageHead
from ingest_strategies.confluence.reading.items import Item, PageRef

PAGES_AT_ONCE = 250
ATTACHED = ("version", "history", "container")
COMMENT = (*ATTACHED, "ancestors", "extensions.resolution")
ATTACHMENT = (*ATTACHED, "metadata", "extensions")


_v1_content, _v2_content, _head, ref_of = decoder(ContentV1), decoder(ContentV2), decoder(PageHead), decoder(ContentRef)
_labelled, _label_name = decoder(LabelledPage), decoder(LabelName)
RejectContent = Callable[[str, str | None, str, str | None], None]
"""(id, title, reason, column): sends content that exists and cannot be stored to quarantine."""


@dataclass
class ContentReader:
    """Reads one slice of one space."""

    api: Api
    space: Space
    reject: RejectContent
    unreadable: list[UnreadableContent] = field(default_factory=list)
    without_readers: int = 0
    """Items that were rejected because their readers cannot be determined."""
    hits: set[str] = field(default_factory=set)
    """Ids that search gave for the slice's window, also of what could not be read."""
    items: int = 0
    now_ms: int = 0
    start_ms: int | None = None
    """Pages that are read by their ids are yielded only if they were changed since."""
    attachments: AttachmentStore | None = None

    def __post_init__(self) -> None:
        self.acls = AclReader(self.api, self.space)
        self.needs_acl = self.api.client.config.acl == "required"
        self._spaces: dict[str, Space] = {self.space.id: self.space, self.space.key: self.space}

    def read_items(self, dataset: str, where: str) -> Iterator[list[Item]]:
        """`dataset`: one that search finds, other than those of readers (`access_items`)."""
        readers: dict[str, Callable[[str], Iterator[list[Item]]]] = {
            "confluence.page": self.read_pages,
            "confluence.comment": self.read_comments,
            "confluence.attachment": self.read_attachments,
            "confluence.label": self.read_labels,
            "confluence.revision": self.read_revisions,
            "confluence.like": self.read_likes,
        }
        return readers[dataset](where)

    def search(self, where: str, expand: Sequence[str], unreadable: list[UnreadableContent]) -> list[Raw]:
        before = len(unreadable)
        bodies = self.api.search(where, expand, unreadable)
        self.hits |= {ref.id for body in bodies if (ref := attempted(ref_of, body)) is not None}
        self.hits |= {content.id for content in unreadable[before:]}
        return bodies

    # Pages.

    def read_pages(self, where: str) -> Iterator[list[Item]]:
        yield from self._read_bodies(self.search(where, self.api.listing_expand, self.unreadable))

    def read_pages_by_id(self, ids: Sequence[tuple[str, str]]) -> Iterator[list[Item]]:
        """Of any status; pages that search lacks have no labels."""
        listed: list[Raw] = []
        if self.api.listing_expand:
            listed = self.api.search_ids([number for _, number in ids], self.api.listing_expand, self.unreadable)
        for page in self._read_bodies(listed, ids):
            yield [item for item in page if self.start_ms is None or self._modified_ms(item) >= self.start_ms]

    def _modified_ms(self, item: Item) -> int:
        """Of a page whose time cannot be told: later than any start, so that its row is judged."""
        if self.api.deployment == SERVER:
            content = attempted(_v1_content, item.content.body)
            when = content.version.when if content and content.version else None
        else:
            page = attempted(_v2_content, item.content.body)
            when = page.version.createdAt if page else None
        return instant_ms_or(when, 1 << 62)

    def decoded(self, bodies: Sequence[Raw]) -> Iterator[tuple[Raw, ContentV1]]:
        """Each body with what can be told of it. One that has not even an id goes to quarantine alone."""
        for body in bodies:
            content = attempted(_v1_content, body)
            if content is None and (ref := attempted(ref_of, body)) is not None:
                content = ContentV1(id=ref.id, type=ref.type)
            if content is None:
                self.reject(
                    "unknown", None, f"content without an id: {bytes(body[:200]).decode(errors='replace')}", "id"
                )
                continue
            yield body, content

    def _read_bodies(self, listed: list[Raw], ids: Sequence[tuple[str, str]] | None = None) -> Iterator[list[Item]]:
        """The bodies of the listed pages, or of `ids`, with the labels that the listing has."""
        pages = [page for _, page in self.decoded(listed)]
        labels = {page.id: self._labels_of(page) for page in pages if page.metadata.labels is not None}
        selected = ids if ids is not None else [(page.type or "page", page.id) for page in pages]
        kinds = {number: kind for kind, number in selected}
        for contents in self.api.read_contents(selected, self.unreadable):
            if self.needs_acl:
                self.acls.prepare([_head(content.body).id for content in contents])
            items = (self._page_item(content, kinds, labels) for content in contents)
            yield [item for item in items if item is not None]

    def _page_item(self, content: FetchedContent, kinds: dict[str, str], labels: dict[str, list[str]]) -> Item | None:
        """None: the page is not to be read, or its readers cannot be determined."""
        head = _head(content.body)
        space = self.space_of(head)
        if space is None:
            return None
        if self.api.deployment == SERVER:
            page = attempted(_v1_content, content.body)
            names = self._labels_of(page) if page is not None and page.metadata.labels is not None else None
        else:
            names = labels.get(head.id)
        item = Item(content, space, labels=names, extra={"type": head.type or kinds[head.id]})
        return self._with_acl(item, head.id, space)

    def space_of(self, head: PageHead) -> Space | None:
        """The page's current space, which may have changed during the run. None: a space that is not to be read."""
        key = head.spaceId or (head.space.key if head.space else None) or self.space.key
        if key not in self._spaces:
            keys = self.api.client.config.space_keys
            for space in self.api.list_spaces():
                if not keys or space.key in keys:
                    self._spaces |= {space.id: space, space.key: space}
        return self._spaces.get(key)

    def _labels_of(self, content: ContentV1) -> list[str]:
        embedded = content.metadata.labels or LabelList()
        if embedded.is_complete:
            return embedded.names
        try:
            labels = [attempted(_label_name, body) for body in self.api.list_labels(content.type or "page", content.id)]
        except NotThere:
            return []
        return [label.name for label in labels if label is not None and label.name is not None]

    def _with_acl(self, item: Item, page_id: str, space: Space | None = None) -> Item | None:
        """The item with its readers, where they are wanted. None: they cannot be determined."""
        if not self.needs_acl:
            return item
        try:
            acl = self.acls.read_acl(page_id, space)
        except AclUnknown as error:
            self.reject_without_readers(page_id, None, error)
            return None
        return replace(item, acl=acl)

    def reject_without_readers(self, number: str, title: str | None, error: AclUnknown) -> None:
        self.without_readers += 1
        self.reject(number, title, f"its readers cannot be determined: {error.message}", "acl")

    # Content of pages.

    def read_comments(self, where: str) -> Iterator[list[Item]]:
        body_format, broken = self.api.client.config.body_format, list[UnreadableContent]()
        bodies = self.search(where, (*COMMENT, f"body.{body_format}"), broken)
        contents = [FetchedContent(body) for body in bodies]
        for comment in broken:
            still_broken: list[UnreadableContent] = []
            for body in self.api.search_ids([comment.id], (*COMMENT, "body.view"), still_broken):
                content = attempted(_v1_content, body)
                text = content.body.get("view") if content is not None else None
                value = text.value if text is not None else None
                contents.append(FetchedContent(body, value, "view", f"{body_format}: {comment.reason}"))
            self.unreadable += still_broken
        yield from self._attached_items(contents)

    def read_attachments(self, where: str) -> Iterator[list[Item]]:
        contents = [FetchedContent(body) for body in self.search(where, ATTACHMENT, self.unreadable)]
        for page in self._attached_items(contents):
            yield list(self.api.client.map_concurrently(self._with_stored_file, iter(page)))

    def _attached_items(self, contents: list[FetchedContent]) -> Iterator[list[Item]]:
        for part in chunked(contents, PAGES_AT_ONCE):
            by_body = {id(content.body): content for content in part}
            pairs = list(self.decoded([content.body for content in part]))
            decoded = [fields for _, fields in pairs]
            if self.needs_acl:
                self.acls.prepare(sorted({str(one.container.id) for one in decoded if one.container is not None}))
            items = []
            for body, fields in pairs:
                content, page = by_body[id(body)], fields.container
                if page is None:
                    self.reject(fields.id, fields.title, "it does not name its page", "page_id")
                    continue
                item = self._with_acl(Item(content, self.space, PageRef(str(page.id), page.type)), str(page.id))
                if item is not None:
                    items.append(item)
            yield items

    def _with_stored_file(self, item: Item) -> Item:
        fields = attempted(_v1_content, item.content.body)
        if self.attachments is None or fields is None:
            return item
        if fields.version is None or fields.version.number is None:
            return item
        size, media_type = fields.extensions.fileSize, fields.extensions.mediaType or fields.metadata.mediaType
        path = self.api.download_path(fields, item.page.id if item.page else "")
        if path is None:
            return item
        file = AttachmentFile(fields.id, fields.version.number, size or 0, media_type, path)
        return replace(item, extra=self.attachments.store(file).columns())

    def read_labels(self, where: str) -> Iterator[list[Item]]:
        items = []
        for body, page in self.decoded(self.search(where, ("metadata.labels", "version"), self.unreadable)):
            listed, embedded = page.metadata.labels, attempted(_labelled, body, LabelledPage())
            if listed is None or not listed.is_complete:
                labels = self.api.list_labels(page.type or "page", page.id)
            else:
                labels = embedded.labels
            items += [Item(FetchedContent(label), self.space, page_ref(page)) for label in labels]
        yield items

    def read_revisions(self, where: str) -> Iterator[list[Item]]:
        pages = [page for _, page in self.decoded(self.search(where, ("version",), self.unreadable))]
        yield from self.api.client.map_concurrently(self._read_versions, iter(pages))

    def _read_versions(self, page: ContentV1) -> list[Item]:
        """Empty for a page that was deleted meanwhile."""
        try:
            versions = self.api.list_versions(page.type or "page", page.id)
        except NotThere:
            return []
        return [Item(FetchedContent(version), self.space, page_ref(page)) for version in versions]

    def read_likes(self, where: str) -> Iterator[list[Item]]:
        pages = [page for _, page in self.decoded(self.search(where, ("version",), self.unreadable))]
        yield from self.api.client.map_concurrently(self._read_page_likes, iter(pages))

    def _read_page_likes(self, page: ContentV1) -> list[Item]:
        """Empty for a page that was deleted meanwhile."""
        try:
            people = self.api.list_likes(page.type or "page", page.id)
        except NotThere:
            return []
        return [Item(FetchedContent(person), self.space, page_ref(page)) for person in people]


def page_ref(page: ContentV1) -> PageRef:
    """Without the time where it is odd: a row that needs it goes to quarantine."""
    try:
        modified_at = instant(page.version.when) if page.version and page.version.when else None
    except ValueError:
        modified_at = None
    return PageRef(page.id, page.type, modified_at)
