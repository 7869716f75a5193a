"""Changes a source continuously in a thread, also across crashes of its server."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

RETRY_S = 0.1  # after the server was lost
STOP_S = 120.0


@dataclass
class Writer:
    """`change` runs until the event is set, or raises one of `lost` when the server is lost."""

    change: Callable[[threading.Event], None]
    lost: tuple[type[Exception], ...]
    _is_ending: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._is_ending.clear()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_ending.set()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            raise AssertionError("the writer does not stop: nothing can be compared")

    def _write(self) -> None:
        while not self._is_ending.is_set():
            with contextlib.suppress(*self.lost):
                self.change(self._is_ending)
            time.sleep(RETRY_S)
