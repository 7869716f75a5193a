"""The sessions that a launch keeps open between its units: a hundred units of one endpoint share one connection.

A cached session must not hold a transaction or changed settings: code that needs those opens a session of its own.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from ingest_ray.sdk.types import Endpoint

T = TypeVar("T")


class SessionCache:
    """One session per endpoint, opened on first use. Not thread-safe."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Endpoint, object, ExitStack]] = {}

    def find(self, endpoint: Endpoint) -> object | None:
        """The open session of the endpoint; None where there is none, or where the endpoint's configuration changed."""
        entry = self._open.get(endpoint.endpoint_id)
        return entry[1] if entry is not None and entry[0] == endpoint else None

    def open(self, endpoint: Endpoint, opening: AbstractContextManager[T]) -> T:
        """Opens a session and replaces the one that was open to the endpoint."""
        self.close(endpoint)
        stack = ExitStack()
        opened = stack.enter_context(opening)
        self._open[endpoint.endpoint_id] = (endpoint, opened, stack)
        return opened

    def close(self, endpoint: Endpoint) -> None:
        entry = self._open.pop(endpoint.endpoint_id, None)
        if entry is not None:
            entry[2].close()

    def close_all(self) -> None:
        for endpoint, _, _ in list(self._open.values()):
            self.close(endpoint)


_session_cache: ContextVar[SessionCache | None] = ContextVar("session_cache", default=None)


def current_cache() -> SessionCache | None:
    """The cache of this context; None where sessions are not cached."""
    return _session_cache.get()


@contextmanager
def cached_sessions() -> Iterator[None]:
    """Inside, sessions that are opened through `current_cache` stay open until the end."""
    session_cache = SessionCache()
    token = _session_cache.set(session_cache)
    try:
        yield
    finally:
        _session_cache.reset(token)
        session_cache.close_all()
