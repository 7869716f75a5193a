"""The client of a Jira site, and the contract that Cloud and Data Center implement."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.rate_limit_headers import instant
from ingest_ray.sdk.errors import SourceDenied, SourceError
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.atlassian.instants import instant_ms_or
from ingest_strategies.atlassian.json_decoding import attempted, decoder
from ingest_strategies.atlassian.site_client import SiteClient, open_http_client
from ingest_strategies.jira.api.responses import Field, Person, ServerInfo
from ingest_strategies.jira.config import JiraConfig, parse_config

A = TypeVar("A")

_person = decoder(Person)
_server = decoder(ServerInfo)
_field = decoder(Field)
_objects = decoder(list[Raw])


@dataclass(frozen=True)
class UnreadableIssue:
    """An issue that exists, and whose body the site cannot give."""

    id: str
    key: str | None
    reason: str


@dataclass(frozen=True)
class IssueSelection:
    """Which fields of an issue to read, and which of its lists must be complete."""

    fields: tuple[str, ...]
    lists: tuple[str, ...] = ()
    """Of `comment`, `worklog`, `changelog`."""


@dataclass(frozen=True)
class IssueSet:
    """The issues to read: those that meet a condition, or those of `ids`, which met it when the planner listed them."""

    where: str
    ids: tuple[int, ...] | None = None
    expected: int | None = None
    """As many as search counted. Where fewer are listed, the listing is confirmed or is an error."""


class Api(Protocol):
    """One deployment. Every method raises the errors of `ingest_ray.http`; none takes a failure for an empty result."""

    client: "JiraClient"
    deployment: str
    lists_ids: bool
    """Whether a FULL run reads lists of ids; otherwise windows of `created`."""

    def count(self, where: str) -> int:
        """Issues that search knows; approximate on Cloud."""
        ...

    def find_edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        """The first or last value of `updated` or `created` in epoch ms; None: no such issue."""
        ...

    def find_first_ids(self, where: str, most: int) -> list[int]:
        """The ids of the first issues by key."""
        ...

    def list_ids(self, where: str, expected: int | None = None) -> list[int]:
        """All ids in ascending order. An issue that meets the condition from the first request to the last is in it.

        Raises:
            SourceUnavailable: fewer were listed than search counts, again and again.
        """
        ...

    def read_issues(
        self, issues: IssueSet, selection: IssueSelection, unreadable: list[UnreadableIssue]
    ) -> Iterator[list[Raw]]:
        """All issues, some at a time, each once. Appends those that cannot be decoded to `unreadable` instead; omits those that
        were deleted meanwhile."""
        ...

    def read_changelogs(self, issues: IssueSet) -> Iterator[list[tuple[str, str | None, list[Raw]]]]:
        """The whole changelog of all issues: (issue id, its key, histories)."""
        ...

    def list_projects(self) -> Iterator[Raw]: ...

    def list_objects(self, rest: str) -> list[Raw]:
        """A short list of the site: `status`, `priority` or `issuetype`."""
        ...

    def list_users(self) -> Iterator[Raw]: ...


class JiraClient(SiteClient[JiraConfig]):
    """Sends requests to one site, and reads what both deployments answer alike."""

    def post(
        self, rest: str, decode: Callable[[bytes], A], document: Mapping[str, object], tries: Tries | None = None
    ) -> A:
        return self.http.ask(self.path(rest), decode, document, tries)

    def read_account(self) -> Person:
        """Raises `SourceDenied` unless the login is good. With a bad login, Cloud answers lists with 200 and no items."""
        person = self.get("myself", _person)
        if person.id is None:
            raise SourceDenied(f"{self.http.site.base_url}: myself names no account")
        return person

    def read_server_info(self) -> ServerInfo:
        return self.get("serverInfo", _server)

    def read_clock_ms(self) -> int:
        """The server's clock: the earlier of the answer's `Date` and serverInfo's time. A proxy may remove the header."""
        answer = self.http.answer(self.path("serverInfo"))
        date = instant(answer.headers.get("date", ""))
        info = _server(answer.body)
        from_header_ms = int(date.timestamp() * 1000) if date else None
        from_body_ms = instant_ms_or(info.serverTime, 0) or None
        clocks_ms = [ms for ms in (from_header_ms, from_body_ms) if ms is not None]
        if not clocks_ms:
            raise SourceError(f"{self.http.site.base_url}: neither the Date header nor serverInfo has the time")
        return min(clocks_ms)

    def list_fields(self) -> list[Field]:
        """Those that have an id: one odd field costs its own column only."""
        decoded = (attempted(_field, body) for body in self.get("field", _objects))
        return [field for field in decoded if field is not None]

    def list_objects(self, rest: str) -> list[Raw]:
        return self.get(rest, _objects)


def open_client(endpoint: Endpoint, root: str = "/rest/api/2") -> JiraClient:
    config = parse_config(endpoint)
    return JiraClient(open_http_client(config, "jira", endpoint.secret_store), config, root)
