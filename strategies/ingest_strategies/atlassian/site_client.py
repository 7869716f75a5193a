"""Sends requests to one site, several at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, Self, TypeVar

from ingest_ray.http.client import Client, Params, Site, Tries
from ingest_ray.sdk.errors import SourceDenied
from ingest_ray.sdk.secret_store import SecretStore
from ingest_strategies.atlassian.access.rate_classes import answer_points, endpoint_class, most_points
from ingest_strategies.atlassian.access.scopes import scope_hint
from ingest_strategies.atlassian.access.site_login import login_of, request_url, transport_of
from ingest_strategies.atlassian.config import SiteConfig

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C", bound=SiteConfig)


class Account(Protocol):
    displayName: str | None

    @property
    def id(self) -> str | None: ...


class SiteClient(Generic[C]):
    """Prefixes every path with `root`. Closing it closes its HTTP client."""

    def __init__(self, http: Client, config: C, root: str) -> None:
        self.http = http
        self.config = config
        self.root = root
        self.pool = ThreadPoolExecutor(config.requests_at_once, thread_name_prefix="atlassian")

    def path(self, rest: str) -> str:
        return f"{self.root}/{rest}"

    def get(
        self,
        rest: str,
        decode: Callable[[bytes], A],
        params: Params | None = None,
        tries: Tries | None = None,
    ) -> A:
        return self.http.get(self.path(rest), decode, params, tries)

    def read_account(self) -> Account:
        """Raises `SourceDenied` unless the login is good."""
        raise NotImplementedError

    def check_account(self, account_id: str | None) -> None:
        """Proves that the login is still the one of `account_id`. Raises `SourceDenied`."""
        current = self.read_account().id
        if current != account_id:
            raise SourceDenied(f"the account was '{account_id}' and is '{current}'")

    def map_concurrently(self, function: Callable[[A], B], items: Iterator[A]) -> Iterator[B]:
        """Results in order; at most twice `requests_at_once` items are in progress or wait for the caller."""
        pending: list[Future[B]] = []
        try:
            for item in items:
                pending.append(self.pool.submit(function, item))
                if len(pending) >= 2 * self.config.requests_at_once:
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.http.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_http_client(config: SiteConfig, product: str, store: SecretStore | None) -> Client:
    """`product`: `jira` or `confluence`."""
    login = login_of(config, store)
    base_url = request_url(config, product, login)
    if product == "confluence":
        base_url = base_url.removesuffix("/wiki")  # every path of the API has the context path of Cloud
    tries = Tries(first_wait_s=config.retry_wait_s)
    site = Site(
        base_url,
        login,
        transport_of(config),
        config.timeout_s,
        tries,
        scope_hint=scope_hint,
        endpoint_class=endpoint_class,
        points=most_points,
        objects=answer_points,
    )
    return Client(site, config.requests_at_once)


def chunked(items: Sequence[A], size: int) -> Iterator[Sequence[A]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
