"""The shapes of Confluence's answers, as far as they are read. `V1` is of REST v1 (Data Center, and search on Cloud), `V2` of v2."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

T = TypeVar("T")


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode


class Person(Struct):
    """Cloud identifies people by accountId, Data Center by key."""

    accountId: str | None = None
    userKey: str | None = None
    username: str | None = None
    displayName: str | None = None

    @property
    def id(self) -> str | None:
        return self.accountId or self.userKey or self.username


class Links(Struct):
    webui: str | None = None
    download: str | None = None
    next: str | None = None
    base: str | None = None


class Page(Struct):
    """The envelope of every list: v1 has `size`, Data Center's search has `totalSize`; a cursor is in `_links.next`."""

    results: list[Raw]
    size: int | None = None
    limit: int | None = None
    totalSize: int | None = None
    nextCursor: str | None = None
    links: Links = msgspec.field(default_factory=Links, name="_links")


class SearchCount(Struct):
    totalSize: int


class PlainText(Struct):
    value: str = ""


class SpaceV1(Struct):
    id: int | str
    key: str
    name: str | None = None
    type: str = "global"
    status: str = "current"
    description: dict[str, Raw] | None = None
    homepage: dict[str, Raw] | None = None
    history: "HistoryV1 | None" = None
    links: Links = msgspec.field(default_factory=Links, name="_links")


class SpaceV2(Struct):
    id: str
    key: str
    name: str | None = None
    type: str = "global"
    status: str = "current"
    authorId: str | None = None
    createdAt: str | None = None
    homepageId: str | None = None
    description: dict[str, PlainText] | None = None
    links: Links = msgspec.field(default_factory=Links, name="_links")


class VersionV2(Struct):
    number: int
    createdAt: str
    message: str | None = None
    minorEdit: bool | None = None
    authorId: str | None = None


class BodyText(Struct):
    value: str
    representation: str | None = None


class ContentV2(Struct):
    """A page or a blog post; only pages have a parent."""

    id: str
    status: str
    version: VersionV2
    title: str | None = None
    spaceId: str | None = None
    parentId: str | None = None
    parentType: str | None = None
    position: int | None = None
    authorId: str | None = None
    ownerId: str | None = None
    createdAt: str | None = None
    body: dict[str, BodyText] = {}
    links: Links = msgspec.field(default_factory=Links, name="_links")


class VersionV1(Struct):
    number: int
    when: str
    by: Person = msgspec.field(default_factory=Person)
    message: str | None = None
    minorEdit: bool | None = None


class HistoryV1(Struct):
    createdDate: str | None = None
    createdBy: Person = msgspec.field(default_factory=Person)


class LabelV1(Struct):
    id: str
    name: str
    prefix: str | None = None


class LabelList(Struct):
    results: list[LabelV1] = []
    size: int = 0
    limit: int = 200


class MetadataV1(Struct):
    labels: LabelList | None = None
    mediaType: str | None = None
    comment: str | None = None


class GroupV1(Struct):
    name: str | None = None
    id: str | None = None


class Users(Struct):
    results: list[Person] = []
    size: int = 0
    limit: int = 200


class Groups(Struct):
    results: list[GroupV1] = []
    size: int = 0
    limit: int = 200


class Principals(Struct):
    user: Users = msgspec.field(default_factory=Users)
    group: Groups = msgspec.field(default_factory=Groups)


class Restriction(Struct):
    restrictions: Principals = msgspec.field(default_factory=Principals)


class Restrictions(Struct):
    read: Restriction | None = None


class ContentRef(Struct):
    id: str
    type: str | None = None


class Extensions(Struct):
    position: int | str | None = None
    location: str | None = None
    resolution: dict[str, Any] | None = None
    mediaType: str | None = None
    fileSize: int | None = None
    comment: str | None = None


class Container(Struct):
    id: int | str
    type: str | None = None
    key: str | None = None


class ContentV1(Struct):
    """A page, blog post, comment or attachment; members that were not expanded are missing."""

    id: str
    type: str
    status: str
    title: str | None = None
    space: SpaceV1 | None = None
    version: VersionV1 | None = None
    history: HistoryV1 | None = None
    ancestors: list[ContentRef] | None = None
    container: Container | None = None
    extensions: Extensions = msgspec.field(default_factory=Extensions)
    metadata: MetadataV1 = msgspec.field(default_factory=MetadataV1)
    restrictions: Restrictions | None = None
    body: dict[str, BodyText] = {}
    links: Links = msgspec.field(default_factory=Links, name="_links")
