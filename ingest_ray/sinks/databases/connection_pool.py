"""Idle connections of one database, for its next transactions: opening one to PostgreSQL costs more than a small transaction does."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

MAX_IDLE = 4
IDLE_S = 30  # a firewall may drop an idle connection without a notice; a statement on such a one would wait for minutes


class ConnectionPool:
    """Serves `owner` from any thread. Its connections are closed when `owner` is collected."""

    def __init__(self, owner: object, close: Callable[[Any], None]) -> None:
        self._close = close
        self._idle: list[tuple[float, Any]] = []  # the connection that was used last is taken first
        self._lock = threading.Lock()
        weakref.finalize(owner, _close_all, self._idle, close)

    def take(self) -> Any | None:
        """An idle connection, which the server may have closed meanwhile, or None."""
        oldest = time.monotonic() - IDLE_S
        with self._lock:
            expired = [connection for idle_since, connection in self._idle if idle_since < oldest]
            self._idle[:] = [entry for entry in self._idle if entry[0] >= oldest]
            connection = self._idle.pop()[1] if self._idle else None
        for old in expired:
            self._close(old)
        return connection

    def give_back(self, connection: Any) -> None:
        """`connection` is in no transaction."""
        with self._lock:
            has_room = len(self._idle) < MAX_IDLE
            if has_room:
                self._idle.append((time.monotonic(), connection))
        if not has_room:
            self._close(connection)


def _close_all(idle: list[tuple[float, Any]], close: Callable[[Any], None]) -> None:
    for _, connection in idle:
        close(connection)
    idle.clear()
