"""What Cloud and Data Center have in common, and which of them a site is."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from msgspec import Raw

from ingest_ray.errors import SourceDenied, SourceError
from ingest_ray.http.client import Auth, Client, Params, Site, Tries
from ingest_ray.http.signals import instant
from ingest_ray.models import Endpoint
from strategies.jira.config import JiraConfig, parse_config
from strategies.jira.wire import Field, Person, ServerInfo, decoder, instant_ms

A = TypeVar("A")
B = TypeVar("B")

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


class Web:
    """Requests to one site, and what both deployments answer alike. Open while its client is."""

    def __init__(self, client: Client, config: JiraConfig, root: str) -> None:
        self.client = client
        self.config = config
        self.root = root
        self.pool = ThreadPoolExecutor(config.requests_at_once, thread_name_prefix="jira")

    def path(self, rest: str) -> str:
        return f"{self.root}/{rest}"

    def get(
        self,
        rest: str,
        decode: Callable[[bytes], A],
        params: Params | None = None,
        tries: Tries | None = None,
    ) -> A:
        return self.client.get(self.path(rest), decode, params, tries)

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

    def spread(self, work: Callable[[A], B], items: Iterator[A]) -> Iterator[B]:
        """Results in order; at most twice `requests_at_once` items are under way or waiting to be taken."""
        waiting = []
        try:
            for item in items:
                waiting.append(self.pool.submit(work, item))
                if len(waiting) >= 2 * self.config.requests_at_once:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.client.__exit__(None, None, None)

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_web(endpoint: Endpoint, root: str = "/rest/api/2") -> Web:
    config = parse_config(endpoint)
    auth = Auth(config.api_token.get_secret_value(), config.username if config.auth_type == "basic" else None)
    site = Site(
        base_url=config.base_url,
        auth=auth,
        timeout_s=config.timeout_s,
        verify=config.verify_tls,
        tries=Tries(first_wait_s=config.retry_wait_s),
    )
    return Web(Client(site, config.requests_at_once), config, root)
