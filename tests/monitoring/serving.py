"""Waits for conditions, with a limit that only a defect reaches."""

import time
from collections.abc import Callable

LIMIT_S = 60.0


def await_true(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.05)
