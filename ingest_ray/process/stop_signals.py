"""Stops a run on SIGINT or SIGTERM: the first signal lets the commit under way finish, a second one stops at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """`notice` is printed on stderr at the first signal."""

    def __init__(self, notice: str = "") -> None:
        self._notice = notice
        self._is_requested = False

    def is_requested(self) -> bool:
        return self._is_requested

    def install(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_requested:
            raise KeyboardInterrupt
        self._is_requested = True
        if self._notice:
            os.write(sys.stderr.fileno(), self._notice.encode())  # the only way to print that is safe inside a signal


@contextmanager
def stop_on_signals(notice: str) -> Iterator[StopSignals]:
    """Installs the handlers for a while, then restores those that were there."""
    stop = StopSignals(notice)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop.install()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
