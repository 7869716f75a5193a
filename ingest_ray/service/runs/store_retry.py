"""Repeats what a run asks of catalog and state while they do not answer, so that a restart of a database costs no run.

Only for processes of runs: a person at a command, and a request to the server, get the error at once.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ingest_ray import logs
from ingest_ray.core.retry import backoff_s
from ingest_ray.sdk.errors import StateUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_S = 120.0  # as long as a commit waits for its state store (`Limits.state_attempts`)
END_PATIENCE_S = 900.0  # a run that has ended has nothing else to do, and its record has to tell how
MAX_PAUSE_S = 5.0


def retry_store(
    request: Callable[[], T],
    is_stopping: Callable[[], bool] = lambda: False,
    *,
    limit_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Returns what `request` returns. `request` may be executed twice, where its first answer was lost.

    Raises:
        StateUnavailable: the store did not answer for `limit_s`, or a stop was requested meanwhile.
    """
    deadline, failures = clock() + limit_s, 0
    while True:
        try:
            found = request()
        except StateUnavailable as error:
            if clock() >= deadline or is_stopping():
                raise
            failures += 1
            if failures == 1:
                log.warning("%s; it is asked again for %.0f s", logs.scrub(error.message), limit_s)
            sleep(min(MAX_PAUSE_S, backoff_s(failures), max(0.0, deadline - clock())))
        else:
            if failures:
                log.info("the store answers again")
            return found
