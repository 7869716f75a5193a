"""Short queries to a database, over the session that the launch caches where the dialect allows that."""

from collections.abc import Callable
from typing import TypeVar, cast

from ingest_ray.sdk import sessions
from ingest_ray.sdk.errors import SourceLocked, SourceUnavailable
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.dialect import Dialect, Session

T = TypeVar("T")


def query_session(dialect: Dialect, endpoint: Endpoint, query: Callable[[Session], T]) -> T:
    """The result of `query`, which may run twice: where the cached session was lost, it is opened again."""
    cache = sessions.current_cache()
    if cache is None or not dialect.keeps_session:
        with dialect.open(endpoint) as session:
            return query(session)
    cached = cast(Session | None, cache.find(endpoint))
    if cached is not None:
        try:
            return query(cached)
        except SourceLocked:
            raise
        except SourceUnavailable:
            cache.close(endpoint)
    try:
        return query(cache.open(endpoint, dialect.open(endpoint)))
    except BaseException:
        cache.close(endpoint)
        raise


def drop_session(endpoint: Endpoint) -> None:
    """Closes the cached session, so that a probe and its readers stay within the limit of connections to an endpoint."""
    cache = sessions.current_cache()
    if cache is not None:
        cache.close(endpoint)
