"""The shapes of Confluence's answers, as far as they are read. `V1` is of REST v1 (Data Center, and search on Cloud), `V2` of v2.

Atlassian's OpenAPI files require few members, and users and versions are nullable: every member that is not needed to find an object
may be missing or null. Nested objects of such members come through a property, which is never None.
"""

from typing import Any

from msgspec import Raw, Struct, field


class Person(Struct, gc=False):
    """Cloud identifies people by accountId, Data Center by key."""

    accountId: str | None = None
    userKey: str | None = None
    username: str | None = None
    displayName: str | None = None

    @property
    def id(self) -> str | None:
        return self.accountId or self.userKey or self.username


class Links(Struct, gc=False):
    webui: str | None = None
    download: str | None = None
    next: str | None = None
    base: str | None = None


class Linked(Struct, gc=False):
    raw_links: Links | None = field(default=None, name="_links")

    @property
    def links(self) -> Links:
        return self.raw_links or Links()


class Page(Linked, kw_only=True):
    """The envelope of every list: v1 has `size`, Data Center's search has `totalSize`; a cursor is in `_links.next`."""

    results: list[Raw]
    size: int | None = None
    limit: int | None = None
    totalSize: int | None = None
    nextCursor: str | None = None


class SearchCount(Struct, gc=False):
    totalSize: int


class PlainText(Struct, gc=False):
    value: str | None = None


class SpaceV1(Linked, kw_only=True):
    id: int | str
    key: str | None = None
    name: str | None = None
    type: str | None = None
    status: str | None = None
    description: dict[str, Any] | None = None
    homepage: "ContentId | None" = None
    history: "HistoryV1 | None" = None


class SpaceV2(Linked, kw_only=True):
    id: str
    key: str | None = None
    name: str | None = None
    type: str | None = None
    status: str | None = None
    authorId: str | None = None
    createdAt: str | None = None
    homepageId: str | None = None
    description: dict[str, PlainText | None] | None = None


class VersionV2(Struct, gc=False):
    number: int | None = None
    createdAt: str | None = None
    message: str | None = None
    minorEdit: bool | None = None
    authorId: str | None = None


class BodyText(Struct, gc=False):
    value: str | None = None
    representation: str | None = None


class WithBodies(Linked):
    raw_body: dict[str, BodyText | None] | None = field(default=None, name="body")

    @property
    def body(self) -> dict[str, BodyText]:
        return {name: text for name, text in (self.raw_body or {}).items() if text is not None}


class ContentV2(WithBodies, kw_only=True):
    """A page or a blog post; only pages have a parent."""

    id: str
    status: str | None = None
    raw_version: VersionV2 | None = field(default=None, name="version")
    title: str | None = None
    spaceId: str | None = None
    parentId: str | None = None
    parentType: str | None = None
    position: int | None = None
    authorId: str | None = None
    ownerId: str | None = None
    createdAt: str | None = None

    @property
    def version(self) -> VersionV2:
        return self.raw_version or VersionV2()


class TreeVersion(Struct, gc=False):
    createdAt: str | None = None
    when: str | None = None


class TreeEntryV2(Struct, gc=False):
    """What the tree needs of a page. Its title is not among that: one that is no text must not cost the whole tree."""

    id: str
    status: str | None = None
    version: TreeVersion | None = None
    spaceId: str | None = None
    parentId: str | None = None
    parentType: str | None = None
    position: int | None = None
    createdAt: str | None = None


class TreeHistory(Struct, gc=False):
    createdDate: str | None = None


class TreeExtensions(Struct, gc=False):
    position: int | str | None = None


class TreeEntryV1(Struct, gc=False):
    id: str
    type: str | None = None
    status: str | None = None
    version: TreeVersion | None = None
    history: TreeHistory | None = None
    ancestors: "list[ContentRef] | None" = None
    extensions: TreeExtensions | None = None


class SpaceHead(Struct, gc=False):
    id: str | int
    key: str | None = None
    type: str | None = None
    status: str | None = None


class VersionV1(Struct, gc=False):
    number: int | None = None
    when: str | None = None
    raw_by: Person | None = field(default=None, name="by")
    message: str | None = None
    minorEdit: bool | None = None

    @property
    def by(self) -> Person:
        return self.raw_by or Person()


class HistoryV1(Struct, gc=False):
    createdDate: str | None = None
    raw_creator: Person | None = field(default=None, name="createdBy")

    @property
    def createdBy(self) -> Person:
        return self.raw_creator or Person()


class LabelV1(Struct, gc=False):
    id: str | None = None
    name: str | None = None
    prefix: str | None = None


class LabelList(Struct, gc=False):
    raw_results: list[LabelV1 | None] | None = field(default=None, name="results")
    size: int | None = None
    limit: int | None = None

    @property
    def names(self) -> list[str]:
        return [label.name for label in self.raw_results or () if label is not None and label.name is not None]

    @property
    def is_complete(self) -> bool:
        """A list that fills its limit may be cut."""
        size = len(self.raw_results or ()) if self.size is None else self.size
        return size < (self.limit or 200)


class MetadataV1(Struct, gc=False):
    labels: LabelList | None = None
    mediaType: str | None = None
    comment: str | None = None


class GroupV1(Struct, gc=False):
    name: str | None = None
    id: str | None = None


class Users(Struct, gc=False):
    results: list[Person] = []
    size: int = 0
    limit: int = 200


class Groups(Struct, gc=False):
    results: list[GroupV1] = []
    size: int = 0
    limit: int = 200


class Principals(Struct, gc=False):
    user: Users = field(default_factory=Users)
    group: Groups = field(default_factory=Groups)


class Restriction(Struct, gc=False):
    """Of readers nothing may be odd: an answer that does not fit is no answer."""

    restrictions: Principals = field(default_factory=Principals)


class Restrictions(Struct, gc=False):
    read: Restriction | None = None


class ContentId(Struct, gc=False):
    id: str | int | None = None


class ContentRef(Struct, gc=False):
    id: str
    type: str | None = None


class Extensions(Struct, gc=False):
    position: int | str | None = None
    location: str | None = None
    resolution: dict[str, Any] | None = None
    mediaType: str | None = None
    fileSize: int | None = None
    comment: str | None = None


class Container(Struct, gc=False):
    id: int | str
    type: str | None = None
    key: str | None = None


class ContentV1(WithBodies, kw_only=True):
    """A page, blog post, comment or attachment; members that were not expanded are missing."""

    id: str
    type: str | None = None
    status: str | None = None
    title: str | None = None
    space: SpaceV1 | None = None
    version: VersionV1 | None = None
    history: HistoryV1 | None = None
    ancestors: list[ContentRef] | None = None
    container: Container | None = None
    raw_extensions: Extensions | None = field(default=None, name="extensions")
    raw_metadata: MetadataV1 | None = field(default=None, name="metadata")
    restrictions: Restrictions | None = None

    @property
    def extensions(self) -> Extensions:
        return self.raw_extensions or Extensions()

    @property
    def metadata(self) -> MetadataV1:
        return self.raw_metadata or MetadataV1()
