"""The shapes of Jira's answers, as far as they are read. Objects that are stored untouched stay undecoded (`Raw`).

Atlassian's OpenAPI file requires hardly any member: every one that is not needed to find an object may be missing or null.
"""

from typing import Any, Generic, TypeVar

from msgspec import Raw, Struct

from ingest_ray.http.errors import BrokenAnswer
from ingest_strategies.atlassian.json_decoding import attempted, decoder

I = TypeVar("I")  # noqa: E741


class Person(Struct, gc=False, rename={"time_zone": "timeZone"}):
    """Cloud identifies people by accountId, Data Center by key."""

    accountId: str | None = None
    key: str | None = None
    name: str | None = None
    displayName: str | None = None
    time_zone: str | None = None

    @property
    def id(self) -> str | None:
        return self.accountId or self.key or self.name


class ServerInfo(Struct, gc=False):
    serverTime: str | None = None
    deploymentType: str | None = None
    version: str | None = None
    baseUrl: str | None = None


class Field(Struct, gc=False):
    """`schema` has objects, too: `configuration`, of the Team field."""

    id: str
    name: str | None = None
    custom: bool | None = None
    schema: dict[str, Any] | None = None


class Id(Struct, gc=False):
    id: str


_id = decoder(Id)


def issue_number(text: str) -> int:
    """Ids of issues are numbers in text. Raises `BrokenAnswer`."""
    if not text.isdecimal():
        raise BrokenAnswer(f"'{text[:40]}' is no id of an issue")
    return int(text)


def number_of(body: Raw) -> int | None:
    """Of an issue; None where its id is odd or missing."""
    head = attempted(_id, body)
    return int(head.id) if head is not None and head.id.isdecimal() else None


class SearchPage(Struct, Generic[I], gc=False):
    """Of search/jql: it has no total, and only a missing token marks the last page."""

    issues: list[I]
    nextPageToken: str | None = None
    isLast: bool | None = None


IdPage = SearchPage[Id]
BodyPage = SearchPage[Raw]


class Count(Struct, gc=False):
    count: int


class IssuePage(Struct, gc=False):
    """Of issue/bulkfetch, and of search on Data Center, where `maxResults` may be less than requested."""

    issues: list[Raw]
    total: int | None = None
    maxResults: int | None = None


class DateFields(Struct, gc=False):
    updated: str | None = None
    created: str | None = None


class DatedIssue(Struct, gc=False):
    id: str
    key: str | None = None
    fields: DateFields | None = None


class DatedIssuePage(Struct, gc=False):
    issues: list[DatedIssue]
    total: int | None = None


class ValuePage(Struct, gc=False):
    """The envelope of most lists."""

    values: list[Raw]
    startAt: int | None = None
    total: int | None = None
    isLast: bool | None = None
    nextCursor: str | None = None


class CommentPage(Struct, gc=False):
    comments: list[Raw] | None = None
    total: int | None = None


class WorklogPage(Struct, gc=False):
    worklogs: list[Raw] | None = None
    total: int | None = None


class Histories(Struct, gc=False):
    histories: list[Raw] | None = None
    total: int | None = None


class IssueHistories(Struct, gc=False):
    issueId: str
    changeHistories: list[Raw] | None = None


class ChangelogPage(Struct, gc=False):
    issueChangeLogs: list[IssueHistories]
    nextPageToken: str | None = None


class DeletedWorklog(Struct, gc=False):
    worklogId: int
    updatedTime: int


class DeletedWorklogPage(Struct, gc=False):
    values: list[DeletedWorklog]
    lastPage: bool | None = None
    until: int | None = None
