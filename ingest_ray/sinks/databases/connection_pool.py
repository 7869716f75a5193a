"""Connections of one database between two transactions: opening one to PostgreSQL costs more than a small transaction does."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

MOST = 4
IDLE_S = 30  # a firewall may forget a connection without a word; asking one that it forgot would wait for minutes


class IdleConnections:
    """Those that `owner` gave back, for its next transactions, from any thread. Closed when the owner is gone."""

    def __init__(self, owner: object, close: Callable[[Any], None]) -> None:
        self._close = close
        self._kept: list[tuple[float, Any]] = []  # the one that was used last is taken first
        self._lock = threading.Lock()
        weakref.finalize(owner, _close_all, self._kept, close)

    def take(self) -> Any | None:
        """One that may have been lost meanwhile, or None."""
        fresh = time.monotonic() - IDLE_S
        with self._lock:
            old = [connection for since, connection in self._kept if since < fresh]
            self._kept[:] = [kept for kept in self._kept if kept[0] >= fresh]
            found = self._kept.pop()[1] if self._kept else None
        for connection in old:
            self._close(connection)
        return found

    def give(self, connection: Any) -> None:
        """`connection` is in no transaction."""
        with self._lock:
            is_kept = len(self._kept) < MOST
            if is_kept:
                self._kept.append((time.monotonic(), connection))
        if not is_kept:
            self._close(connection)


def _close_all(kept: list[tuple[float, Any]], close: Callable[[Any], None]) -> None:
    for _, connection in kept:
        close(connection)
    kept.clear()
