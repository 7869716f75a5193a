"""Small questions to a database, over the session that the launch keeps where it keeps one."""

from collections.abc import Callable
from typing import TypeVar, cast

from ingest_ray.sdk import sessions
from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.dialect import Dialect, Session

T = TypeVar("T")


def asked(dialect: Dialect, endpoint: Endpoint, question: Callable[[Session], T]) -> T:
    """The answer. The question may be put twice: a session that was lost since the last one is opened again."""
    kept = sessions.current()
    if kept is None or not dialect.keeps_session:
        with dialect.open(endpoint) as session:
            return question(session)
    found = cast(Session | None, kept.find(endpoint))
    if found is not None:
        try:
            return question(found)
        except SourceUnavailable:
            kept.close(endpoint)
    try:
        return question(kept.open(endpoint, dialect.open(endpoint)))
    except BaseException:
        kept.close(endpoint)
        raise


def leave(endpoint: Endpoint) -> None:
    """Gives up the kept session: what comes now opens its own, and an endpoint's connections may be counted."""
    kept = sessions.current()
    if kept is not None:
        kept.close(endpoint)
