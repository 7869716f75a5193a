"""What a slice is made of, dataset by dataset: listings, the bodies that belong to them, and what hangs on them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import ConfigError
from ingest_strategies.confluence.api.client import Api, Found, Space, Suspect, chunked
from ingest_strategies.confluence.api.responses import (
    ContentOne,
    ContentTwo,
    LabelList,
    Text,
    decoder,
    instant,
    instant_ms,
)
from ingest_strategies.confluence.reading.acl import AclReader, AclUnknown
from ingest_strategies.confluence.reading.attachment_files import Objects, Wanted
from ingest_strategies.confluence.reading.rows import Item, PageRef

PAGES_AT_ONCE = 250
HUNG = ("version", "history", "container")
COMMENT = (*HUNG, "ancestors", "extensions.resolution")
ATTACHMENT = (*HUNG, "metadata", "extensions")


class Head(Struct):
    """What both deployments show of a page."""

    id: str
    status: str
    type: str | None = None
    spaceId: str | None = None
    space: "Key | None" = None


class Key(Struct):
    id: int | str
    key: str


class Labelled(Struct):
    results: list[Raw] = []
    size: int = 0
    limit: int = 200


class Metadata(Struct):
    labels: Labelled | None = None


_one, _two, _head = decoder(ContentOne), decoder(ContentTwo), decoder(Head)


class Named(Struct):
    name: str


_named = decoder(Named)


class Holder(Struct):
    id: str
    metadata: Metadata = msgspec.field(default_factory=Metadata)


_holder = decoder(Holder)
Refuse = Callable[[str, str | None, str, str | None], None]
"""(id, title, reason, column): one piece of content that is there and cannot be landed."""


@dataclass
class Reader:
    """Reads one slice. `refuse` puts content into quarantine."""

    api: Api
    space: Space
    refuse: Refuse
    suspects: list[Suspect] = field(default_factory=list)
    refused: int = 0
    """Of which nobody can say who may read it."""
    now_ms: int = 0
    start_ms: int | None = None
    """Pages that are named by their ids are landed only if they were changed since."""
    objects: Objects | None = None

    def __post_init__(self) -> None:
        self.acls = AclReader(self.api, self.space)
        self.wants_acl = self.api.web.config.acl == "required"
        self._spaces: dict[str, Space] = {self.space.id: self.space, self.space.key: self.space}

    # Pages.

    def pages_of(self, where: str) -> Iterator[list[Item]]:
        yield from self._pages(self.api.hits(where, self.api.listing_expand, self.suspects))

    def pages_by_id(self, ids: Sequence[tuple[str, str]]) -> Iterator[list[Item]]:
        """Of any status; search tells the labels of those that it knows."""
        listed: list[Raw] = []
        if self.api.listing_expand:
            listed = self.api.by_ids([number for _, number in ids], self.api.listing_expand, self.suspects)
        for page in self._pages(listed, ids):
            yield [item for item in page if self.start_ms is None or self._modified_ms(item) >= self.start_ms]

    def _modified_ms(self, item: Item) -> int:
        if self.api.deployment == "Server":
            version = _one(item.found.body).version
            return instant_ms(version.when) if version else 0
        return instant_ms(_two(item.found.body).version.createdAt)

    def _pages(self, listed: list[Raw], ids: Sequence[tuple[str, str]] | None = None) -> Iterator[list[Item]]:
        labels = {}
        for body in listed:
            found = _one(body)
            if found.metadata.labels is not None:
                labels[found.id] = self._labels(found)
        wanted = ids if ids is not None else [(one.type, one.id) for one in map(_one, listed)]
        kinds = {number: kind for kind, number in wanted}
        for page in self.api.contents(wanted, self.suspects):
            if self.wants_acl:
                self.acls.prepare([_head(found.body).id for found in page])
            yield [item for found in page if (item := self._page(found, kinds, labels)) is not None]

    def _page(self, found: Found, kinds: dict[str, str], labels: dict[str, list[str]]) -> Item | None:
        head = _head(found.body)
        space = self._space_of(head)
        if space is None:
            return None
        if self.api.deployment == "Server":
            content = _one(found.body)
            named = self._labels(content) if content.metadata.labels is not None else None
        else:
            named = labels.get(head.id)
        item = Item(found, space, labels=named, more={"type": head.type or kinds[head.id]})
        return self._with_acl(item, head.id, space)

    def _space_of(self, head: Head) -> Space | None:
        """A page that moved while it was read is where it is now; None: in a space that is not to be read."""
        key = head.spaceId or (head.space.key if head.space else self.space.key)
        if key not in self._spaces:
            keys = self.api.web.config.space_keys
            for space in self.api.spaces():
                if not keys or space.key in keys:
                    self._spaces |= {space.id: space, space.key: space}
        return self._spaces.get(key)

    def _labels(self, content: ContentOne) -> list[str]:
        listed = content.metadata.labels or LabelList()
        if listed.size < listed.limit:
            return [label.name for label in listed.results]
        try:
            return [_named(body).name for body in self.api.labels(content.type, content.id)]
        except NotThere:
            return []

    def _with_acl(self, item: Item, page_id: str, space: Space | None = None) -> Item | None:
        """The item with its readers, in the same row; without them it is not landed."""
        if not self.wants_acl:
            return item
        try:
            found = self.acls.of(page_id, space)
        except AclUnknown as error:
            self._unknown(page_id, None, error)
            return None
        return Item(item.found, item.space, item.page, item.labels, found, item.more)

    def _unknown(self, number: str, title: str | None, error: AclUnknown) -> None:
        self.refused += 1
        self.refuse(number, title, f"its readers cannot be told: {error.message}", "acl")

    # What hangs on pages.

    def comments(self, where: str) -> Iterator[list[Item]]:
        form, mine = self.api.web.config.body_format, list[Suspect]()
        found = [Found(body) for body in self.api.hits(where, (*COMMENT, f"body.{form}"), mine)]
        for suspect in mine:
            again: list[Suspect] = []
            for body in self.api.by_ids([suspect.id], (*COMMENT, "body.view"), again):
                text = _one(body).body.get("view", Text(""))
                found.append(Found(body, text.value, "view", f"{form}: {suspect.reason}"))
            self.suspects += again
        yield from self._hung(found)

    def attachments(self, where: str) -> Iterator[list[Item]]:
        found = [Found(body) for body in self.api.hits(where, ATTACHMENT, self.suspects)]
        for page in self._hung(found):
            yield list(self.api.web.spread(self._with_bytes, iter(page)))

    def _hung(self, found: list[Found]) -> Iterator[list[Item]]:
        for part in chunked(found, PAGES_AT_ONCE):
            pages = [_one(one.body) for one in part]
            if self.wants_acl:
                self.acls.prepare(sorted({str(one.container.id) for one in pages if one.container is not None}))
            items = []
            for one, content in zip(part, pages, strict=True):
                page = content.container
                if page is None:
                    self.refuse(content.id, content.title, "it does not say which page it hangs on", "page_id")
                    continue
                item = Item(one, self.space, PageRef(str(page.id), page.type))
                if (known := self._with_acl(item, str(page.id))) is not None:
                    items.append(known)
            yield items

    def _with_bytes(self, item: Item) -> Item:
        file = _one(item.found.body)
        if self.objects is None or file.links.download is None or file.version is None:
            return item
        size, kind = file.extensions.fileSize, file.extensions.mediaType or file.metadata.mediaType
        path = f"{self.api.web.root}{file.links.download}"
        stored = self.objects.store(Wanted(file.id, file.version.number, size or 0, kind, path))
        return Item(item.found, item.space, item.page, item.labels, item.acl, stored.columns())

    def labels(self, where: str) -> Iterator[list[Item]]:
        items = []
        for body in self.api.hits(where, ("metadata.labels", "version"), self.suspects):
            page, listed = _one(body), _holder(body).metadata.labels or Labelled()
            bodies = listed.results if listed.size < listed.limit else self.api.labels(page.type, page.id)
            items += [Item(Found(label), self.space, self._ref(page)) for label in bodies]
        yield items

    def revisions(self, where: str) -> Iterator[list[Item]]:
        pages = [_one(body) for body in self.api.hits(where, ("version",), self.suspects)]
        yield from self.api.web.spread(self._versions, iter(pages))

    def _versions(self, page: ContentOne) -> list[Item]:
        """None of a page that is gone meanwhile."""
        try:
            bodies = self.api.versions(page.type, page.id)
        except NotThere:
            return []
        return [Item(Found(body), self.space, self._ref(page)) for body in bodies]

    def acl_rows(self, where: str) -> Iterator[list[Item]]:
        """Whoever is not told to read a page is not shown it: what cannot be told goes to quarantine."""
        read_at = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        for part in chunked(self.api.hits(where, ("version",), self.suspects), PAGES_AT_ONCE):
            pages = [_one(body) for body in part]
            self.acls.prepare([page.id for page in pages])
            items = []
            for page, body in zip(pages, part, strict=True):
                try:
                    found = self.acls.of(page.id)
                except AclUnknown as error:
                    self._unknown(page.id, page.title, error)
                    continue
                items.append(Item(Found(body), self.space, self._ref(page), acl=found, more={"read_at": read_at}))
            yield items

    def _ref(self, page: ContentOne) -> PageRef:
        return PageRef(page.id, page.type, instant(page.version.when) if page.version else None)

    def of(self, dataset: str, where: str) -> Iterator[list[Item]]:
        readers: dict[str, Callable[[str], Iterator[list[Item]]]] = {
            "confluence.page": self.pages_of,
            "confluence.comment": self.comments,
            "confluence.attachment": self.attachments,
            "confluence.label": self.labels,
            "confluence.revision": self.revisions,
            "confluence.acl": self.acl_rows,
        }
        return readers[dataset](where)


def objects_of(api: Api) -> Objects | None:
    config = api.web.config
    if config.objects_uri is None:
        return None
    if "://" not in config.objects_uri and not config.objects_uri.startswith("/"):
        raise ConfigError("field 'objects_uri': an absolute path, or a URI of pyarrow.fs")
    return Objects(config.objects_uri, config.attachment_max_bytes, api.web.client)
