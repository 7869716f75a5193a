"""What a launch keeps open between its units: a hundred units of one endpoint are then looked at over one connection.

Nothing may be begun or set on what is kept: whoever needs a transaction opens a door of their own.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from ingest_ray.sdk.types import Endpoint

T = TypeVar("T")


class SessionCache:
    """One per endpoint, opened when first asked for. For one thread."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Endpoint, object, ExitStack]] = {}

    def find(self, endpoint: Endpoint) -> object | None:
        """What is open to the endpoint as it is configured now."""
        found = self._open.get(endpoint.endpoint_id)
        return found[1] if found is not None and found[0] == endpoint else None

    def open(self, endpoint: Endpoint, opening: AbstractContextManager[T]) -> T:
        """In the place of what was open to it before."""
        self.close(endpoint)
        stack = ExitStack()
        opened = stack.enter_context(opening)
        self._open[endpoint.endpoint_id] = (endpoint, opened, stack)
        return opened

    def close(self, endpoint: Endpoint) -> None:
        found = self._open.pop(endpoint.endpoint_id, None)
        if found is not None:
            found[2].close()

    def close_all(self) -> None:
        for endpoint, _, _ in list(self._open.values()):
            self.close(endpoint)


_session_cache: ContextVar[SessionCache | None] = ContextVar("session_cache", default=None)


def current() -> SessionCache | None:
    """None: nothing is kept here."""
    return _session_cache.get()


@contextmanager
def kept() -> Iterator[None]:
    """Until its end, what is opened through `current` stays open."""
    session_cache = SessionCache()
    token = _session_cache.set(session_cache)
    try:
        yield
    finally:
        _session_cache.reset(token)
        session_cache.close_all()
