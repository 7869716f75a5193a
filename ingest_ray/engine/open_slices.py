"""Rows of slices that are being read: what readers have read and staged of slices that the ledger does not have yet."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class OpenSlice:
    """What one attempt has read of its slice so far."""

    slice_id: str
    attempt: int
    rows_read: int
    rows_staged: int


NoteRows = Callable[[int, int], None]
"""Takes the rows that were read and staged so far. A reader calls it after each batch."""


class OpenSlices:
    """Thread-safe. An attempt is in it from its first batch until it is closed."""

    def __init__(self) -> None:
        self._slices: dict[tuple[str, int], OpenSlice] = {}
        self._lock = threading.Lock()

    def note(self, part: OpenSlice) -> None:
        with self._lock:
            self._slices[part.slice_id, part.attempt] = part

    def close(self, slice_id: str, attempt: int) -> None:
        with self._lock:
            self._slices.pop((slice_id, attempt), None)

    def take(self) -> list[OpenSlice]:
        """Returns what was noted since the last call."""
        with self._lock:
            noted = list(self._slices.values())
            self._slices.clear()
        return noted

    def rows(self) -> tuple[int, int]:
        """Rows read, and rows staged, of all open slices."""
        with self._lock:
            return sum_of_rows(self._slices.values())


def sum_of_rows(slices: Iterable[OpenSlice]) -> tuple[int, int]:
    parts = list(slices)
    return sum(part.rows_read for part in parts), sum(part.rows_staged for part in parts)


def note_nothing(rows_read: int, rows_staged: int) -> None:
    """For a reader whose progress is not shown."""
