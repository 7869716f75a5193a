"""Retries requests to a source, sink or state store that is temporarily unavailable, before any slice of the run has been read.

The number of attempts and the pauses are those of a slice. A locked table is waited for longer: a VACUUM FULL takes its time. So is
the state store, as long as by a commit.
Errors of the login, the dataset or the configuration are raised at once.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ingest_ray.core.messages import Fault
from ingest_ray.core.retry import RetryBudget, backoff_s
from ingest_ray.engine.executor import TICK_S
from ingest_ray.sdk.errors import (
    IngestError,
    SecretUnavailable,
    SinkUnavailable,
    SourceLocked,
    SourceUnavailable,
    StateUnavailable,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

LOCKED_S = 900.0  # how long a table may stay locked by another session before a run that has to plan it fails
STATE_S = 120.0
MAX_STATE_PAUSE_S = 5.0
LOCKED_PAUSE_S = 1.0  # each request has waited some seconds for the lock itself


class RunStopped(Exception):
    """A stop was requested before the source or sink answered."""


def retry_unavailable(
    request: Callable[[], T],
    attempts: int,
    is_stopping: Callable[[], bool],
    on_wait: Callable[[], None] = lambda: None,
) -> T:
    """Returns what `request` returns. Calls `on_wait` several times a second during the pauses.

    Raises:
        SourceUnavailable, SinkUnavailable, SecretUnavailable: the last of `attempts` failures.
        StateUnavailable: the state store did not answer for `STATE_S`.
        SourceLocked: what is read was locked for `LOCKED_S`.
        RunStopped: a stop was requested between two attempts.
    """
    budget = RetryBudget(attempts)
    state_failures = 0
    started = time.monotonic()
    while True:
        try:
            return request()
        except SourceLocked as error:
            if time.monotonic() - started > LOCKED_S:
                raise
            wait_s = LOCKED_PAUSE_S
            log.warning("waiting for a table that another session has locked: %s", error.message)
        except StateUnavailable as error:
            if time.monotonic() - started > STATE_S:
                raise
            state_failures += 1
            wait_s = min(MAX_STATE_PAUSE_S, backoff_s(state_failures))
            if state_failures == 1:
                log.warning("waiting for the state store: %s", error.message)
        except (SourceUnavailable, SinkUnavailable, SecretUnavailable) as error:
            pause_s = budget.after(Fault.of(error))
            if pause_s is None:
                raise
            wait_s = pause_s
            log.warning(
                "the %s is unavailable, attempt %d of %d follows in %.1f s: %s",
                _kind_of(error),
                budget.failures + 1,
                attempts,
                pause_s,
                error.message,
            )
        _wait(wait_s, is_stopping, on_wait)


def _kind_of(error: IngestError) -> str:
    if isinstance(error, SecretUnavailable):
        return "store of secrets"
    return "sink" if isinstance(error, SinkUnavailable) else "source"


def _wait(pause_s: float, is_stopping: Callable[[], bool], on_wait: Callable[[], None]) -> None:
    until = time.monotonic() + pause_s
    while not is_stopping():
        on_wait()
        left_s = until - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(left_s, TICK_S))
    raise RunStopped
