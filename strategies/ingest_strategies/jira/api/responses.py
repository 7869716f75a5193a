"""The shapes of Jira's answers, as far as they are read. Objects that are stored untouched stay undecoded (`Raw`)."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer

T = TypeVar("T")


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Raises `BrokenAnswer` for text that is not of the kind, also when a part of an answer is decoded later."""
    decode = msgspec.json.Decoder(kind).decode

    def decode_answer(body: bytes) -> T:
        try:
            return decode(body)
        except (ValueError, RecursionError) as error:
            raise BrokenAnswer(f"an answer is no {kind}: {error}") from None

    return decode_answer


class Person(Struct, rename={"time_zone": "timeZone"}):
    """Cloud identifies people by accountId, Data Center by key."""

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
    """Of search/jql: it has no total, and only a missing token marks the last page."""

    issues: list[Id]
    nextPageToken: str | None = None
    isLast: bool | None = None


class Count(Struct):
    count: int


class IssuePage(Struct):
    """Of issue/bulkfetch, and of search on Data Center, where `maxResults` may be less than requested."""

    issues: list[Raw]
    total: int | None = None
    maxResults: int | None = None


class DateFields(Struct):
    updated: str | None = None
    created: str | None = None


class DatedIssue(Struct):
    id: str
    key: str | None = None
    fields: DateFields = msgspec.field(default_factory=DateFields)


class DatedIssuePage(Struct):
    issues: list[DatedIssue]
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


class IssueHistories(Struct):
    issueId: str
    changeHistories: list[Raw]


class ChangelogPage(Struct):
    issueChangeLogs: list[IssueHistories]
    nextPageToken: str | None = None


class DeletedWorklog(Struct):
    worklogId: int
    updatedTime: int


class DeletedWorklogPage(Struct):
    values: list[DeletedWorklog]
    lastPage: bool
    until: int
