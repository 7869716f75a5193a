"""The clocks that waiting is measured with; tests pass faster ones."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """`monotonic` and `wall` in seconds; `sleep` waits so many seconds of the same clock."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def fast(cls, speed: float) -> "Timing":
        """Clocks on which `speed` seconds pass in one."""
        start, wall = time.monotonic(), time.time()
        return cls(
            monotonic=lambda: start + (time.monotonic() - start) * speed,
            wall=lambda: wall + (time.monotonic() - start) * speed,
            sleep=lambda seconds: time.sleep(seconds / speed),
        )


_current: ContextVar[Timing] = ContextVar("ingest_ray_timing", default=Timing())  # noqa: B039


def current() -> Timing:
    """The clocks in force here. Threads do not inherit them: take them before starting any."""
    return _current.get()


@contextmanager
def using_timing(timing: Timing) -> Iterator[None]:
    token = _current.set(timing)
    try:
        yield
    finally:
        _current.reset(token)
