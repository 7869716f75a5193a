"""Requests to one site, several at once. Open while its client is."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

from ingest_ray.http.client import Auth, Client, Params, Site, Tries
from ingest_strategies.atlassian.config import SiteConfig

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C", bound=SiteConfig)


class SiteWeb(Generic[C]):
    """`root` is what every path of the API begins with."""

    def __init__(self, client: Client, config: C, root: str) -> None:
        self.client = client
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
        return self.client.get(self.path(rest), decode, params, tries)

    def spread(self, work: Callable[[A], B], items: Iterator[A]) -> Iterator[B]:
        """Results in order; at most twice `requests_at_once` items are under way or waiting to be taken."""
        waiting: list[Future[B]] = []
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def client_of(config: SiteConfig) -> Client:
    auth = Auth(config.api_token.get_secret_value(), config.username if config.auth_type == "basic" else None)
    site = Site(
        base_url=config.base_url,
        auth=auth,
        timeout_s=config.timeout_s,
        verify=config.verify_tls,
        tries=Tries(first_wait_s=config.retry_wait_s),
    )
    return Client(site, config.requests_at_once)
