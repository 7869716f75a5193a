"""The shapes of Jira's answers, as far as they are read. What is landed untouched stays as the bytes that came."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer

T = TypeVar("T")


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Also for parts of answers that are decoded later: what is not of the kind is a broken answer, wherever it shows."""
    decode = msgspec.json.Decoder(kind).decode

    def decoded(body: bytes) -> T:
        try:
            return decode(body)
        except (ValueError, RecursionError) as error:
            raise BrokenAnswer(f"an answer is no {kind}: {error}") from None

    return decoded


class Person(Struct, rename={"time_zone": "timeZone"}):
    """Cloud knows people by accountId, Data Center by key."""

    accountId: str | None = None
    key: str | None = None
    name: str | None = None
    displayName: str | None = None
    time_zone: str | None = None

    @property
    def id(self) -> str | None:
        return self.accountId or self.key or self.name


class ServerInfo(Struct):
    serverTime: str | None = None
    deploymentType: str = "Server"
    version: str | None = None


class Field(Struct):
    id: str
    name: str = ""
    custom: bool = False
    schema: dict[str, str | int] | None = None


class Id(Struct):
    id: str


class IdPage(Struct):
    """search/jql: no total, and only the absence of a token says that it is the last page."""

    issues: list[Id]
    nextPageToken: str | None = None
    isLast: bool | None = None


class Count(Struct):
    count: int


class IssuePage(Struct):
    """issue/bulkfetch, and search of Data Center, where `total` and `maxResults` are what really holds."""

    issues: list[Raw]
    total: int | None = None
    maxResults: int | None = None


class Stamp(Struct):
    updated: str | None = None


class Stamped(Struct):
    id: str
    key: str | None = None
    fields: Stamp = msgspec.field(default_factory=Stamp)


class StampedPage(Struct):
    issues: list[Stamped]
    total: int | None = None


class ValuePage(Struct):
    """The envelope of most lists."""

    values: list[Raw]
    startAt: int = 0
    total: int | None = None
    isLast: bool | None = None
    nextCursor: str | None = None


class CommentPage(Struct):
    comments: list[Raw]
    total: int


class WorklogPage(Struct):
    worklogs: list[Raw]
    total: int


class Histories(Struct):
    histories: list[Raw]
    total: int


class IssueLog(Struct):
    issueId: str
    changeHistories: list[Raw]


class LogPage(Struct):
    issueChangeLogs: list[IssueLog]
    nextPageToken: str | None = None


class FeedEntry(Struct):
    worklogId: int
    updatedTime: int


class FeedPage(Struct):
    values: list[FeedEntry]
    lastPage: bool
    until: int


def instant(text: str) -> datetime:
    """`2026-09-18T10:11:12.345+0900`, an offset without a colon -> UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def instant_of_ms(ms: int) -> datetime:
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=1000 * rest)


def instant_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
