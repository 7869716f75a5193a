"""Asks a source that is away for a moment again, while nothing of a run has begun: as often as a slice of it would be read.

What is wrong with the login, the dataset or the configuration is told at once.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ingest_ray.core.messages import Fault
from ingest_ray.core.retry import RetryBudget
from ingest_ray.engine.coordinator import TICK_S
from ingest_ray.sdk.errors import SourceUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")


class Stopped(Exception):
    """Somebody asked the run to stop before the source has answered."""


def patiently(
    look: Callable[[], T], attempts: int, stopping: Callable[[], bool], tell: Callable[[], None] = lambda: None
) -> T:
    """The answer. `tell` is called all the time while nothing happens.

    Raises:
        SourceUnavailable: the last of `attempts` failures.
        Stopped: instead of one more try.
    """
    patience = RetryBudget(attempts)
    while True:
        try:
            return look()
        except SourceUnavailable as error:
            pause_s = patience.after(Fault.of(error))
            if pause_s is None:
                raise
            log.warning(
                "the source is away, try %d of %d follows in %.1f s: %s",
                patience.failures + 1,
                attempts,
                pause_s,
                error.message,
            )
        _rest(pause_s, stopping, tell)


def _rest(pause_s: float, stopping: Callable[[], bool], tell: Callable[[], None]) -> None:
    until = time.monotonic() + pause_s
    while not stopping():
        tell()
        left_s = until - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(left_s, TICK_S))
    raise Stopped
