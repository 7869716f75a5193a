"""What Cloud and Data Center have in common, and which of them a site is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from msgspec import Raw

from ingest_ray.http.client import Tries
from ingest_ray.http.rate_limit_headers import instant
from ingest_ray.sdk.errors import SourceDenied, SourceError
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.atlassian.site_client import SiteWeb, client_of
from ingest_strategies.jira.api.responses import Field, Person, ServerInfo, decoder, instant_ms
from ingest_strategies.jira.config import JiraConfig, parse_config

A = TypeVar("A")

_person = decoder(Person)
_server = decoder(ServerInfo)
_fields = decoder(list[Field])
_raws = decoder(list[Raw])


@dataclass(frozen=True)
class Suspect:
    """An issue that is there, and whose body cannot be had."""

    id: str
    key: str | None
    reason: str


@dataclass(frozen=True)
class Wanted:
    """Which fields of an issue, and which of its lists have to be whole."""

    fields: tuple[str, ...]
    lists: tuple[str, ...] = ()
    """Of `comment`, `worklog`, `changelog`."""


class Api(Protocol):
    """One deployment. Everything raises the errors of `ingest_ray.http`; an empty result is proved to be one."""

    web: "Web"
    deployment: str

    def count(self, where: str) -> int:
        """Issues that search knows; approximate on Cloud."""
        ...

    def edge(self, where: str, axis: str, *, last: bool = False) -> int | None:
        """The first or last value of `updated` (epoch ms) or `id`; None: no such issue."""
        ...

    def ids(self, where: str) -> Iterator[list[int]]:
        """All ids in ascending order, page by page."""
        ...

    def issues(self, where: str, wanted: Wanted, suspects: list[Suspect]) -> Iterator[list[Raw]]:
        """All issues, some at a time, each once. Those that cannot be decoded are in `suspects` instead."""
        ...

    def logs(self, where: str) -> Iterator[list[tuple[str, list[Raw]]]]:
        """The whole changelog of all issues: (issue id, histories)."""
        ...

    def projects(self) -> Iterator[Raw]: ...

    def users(self) -> Iterator[Raw]: ...


class Web(SiteWeb[JiraConfig]):
    """Requests to one site, and what both deployments answer alike."""

    def ask(
        self, rest: str, decode: Callable[[bytes], A], document: Mapping[str, object], tries: Tries | None = None
    ) -> A:
        return self.client.ask(self.path(rest), decode, document, tries)

    def myself(self) -> Person:
        """Raises `SourceDenied` unless the login is good: where it is not, lists are empty without a word."""
        found = self.get("myself", _person)
        if found.id is None:
            raise SourceDenied(f"{self.client.site.base_url}: myself names no account")
        return found

    def server(self) -> ServerInfo:
        return self.get("serverInfo", _server)

    def now_ms(self) -> int:
        """The server's clock: the `Date` of an answer; serverInfo tells it, too, where a proxy has taken the header."""
        answer = self.client.answer(self.path("serverInfo"))
        date = instant(answer.headers.get("date", ""))
        info = _server(answer.body)
        told = instant_ms(info.serverTime) if info.serverTime else None
        known = [ms for ms in (int(date.timestamp() * 1000) if date else None, told) if ms is not None]
        if not known:
            raise SourceError(f"{self.client.site.base_url}: neither header nor serverInfo tell the time")
        return min(known)

    def fields(self) -> list[Field]:
        return self.get("field", _fields)

    def raws(self, rest: str) -> list[Raw]:
        return self.get(rest, _raws)


def open_web(endpoint: Endpoint, root: str = "/rest/api/2") -> Web:
    config = parse_config(endpoint)
    return Web(client_of(config), config, root)
