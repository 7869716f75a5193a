"""Reads an iterator ahead in a thread of its own.

An iterator that Delta's library pulls from inside its runtime must not call that library again, e.g. to read a file from an object
store: the library would panic. A read in another thread is outside of that runtime.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

DEPTH = 2  # one in use, one being read


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


class ReadAhead(Generic[T]):
    """A context manager: leaving it stops the thread at any point."""

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=DEPTH)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._items()

    def __exit__(self, *_: object) -> None:
        self._is_stopped.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(0.01)

    def _items(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._source:
                if self._is_stopped.is_set():
                    return
                self._queue.put(item)
        except BaseException as error:
            end = _End(error)
        self._queue.put(end)

    def _drain(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            return
