"""Parts of a log that this process has read, kept for the other units that need them.

A part is only a copy: the database has everything until every unit has it durably in its sink, or for as long as it is set to. So a part that
is gone, or that another process has, is read again.
"""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

KEPT_BYTES = 512 * 1024 * 1024  # of the files of one log's parts
MOST_PARTS = 64


class SizedPart(Protocol):
    @property
    def size_bytes(self) -> int: ...

    @property
    def end(self) -> int:
        """Orders the parts of one log by where they end."""
        ...


Key = TypeVar("Key")
Part = TypeVar("Part", bound=SizedPart)


class KeptParts(Generic[Key, Part]):
    """By the log that they are of. Where there are too many, those that end first go: a unit that lags behind reads its own."""

    def __init__(self) -> None:
        self._parts: dict[Key, list[Part]] = {}
        self._lock = threading.Lock()

    def find(self, key: Key, fits: Callable[[Part], bool]) -> Part | None:
        with self._lock:
            parts = list(self._parts.get(key, ()))
        return next((part for part in parts if fits(part)), None)

    def keep(self, key: Key, part: Part) -> None:
        with self._lock:
            kept = sorted([*self._parts.get(key, ()), part], key=lambda one: one.end)
            while len(kept) > 1 and (len(kept) > MOST_PARTS or sum(one.size_bytes for one in kept) > KEPT_BYTES):
                kept.pop(0)
            self._parts[key] = kept

    def release(self, is_needed: Callable[[Key, Part], bool]) -> None:
        """Forgets the parts that are not needed."""
        with self._lock:
            for key, parts in list(self._parts.items()):
                left = [part for part in parts if is_needed(key, part)]
                if left:
                    self._parts[key] = left
                else:
                    del self._parts[key]

    def forget(self) -> None:
        with self._lock:
            self._parts.clear()
