"""A KV that waits for its store: a server that is restarted costs a run some seconds, not its life."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pydantic import JsonValue
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_delay, wait_exponential

from ingest_ray.contracts import KV
from ingest_ray.errors import StateUnavailable

PATIENCE_S = 60.0  # a restart or a failover; twice as long as a lease, after which another host may take the unit over
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0

log = logging.getLogger(__name__)
T = TypeVar("T")


class PatientKV:
    """Tries again, for as long as `patience_s`, what the store did not answer.

    A write whose answer was lost may have happened: trying it again then is a `StateConflict`, which the caller tells
    from another's write by looking.
    """

    def __init__(self, kv: KV, patience_s: float = PATIENCE_S) -> None:
        self._kv = kv
        self._patience_s = patience_s

    def _patiently(self, call: Callable[[], T]) -> T:
        again = Retrying(
            retry=retry_if_exception_type(StateUnavailable),
            stop=stop_after_delay(self._patience_s),
            wait=wait_exponential(FIRST_WAIT_S, LONGEST_WAIT_S, min=FIRST_WAIT_S),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        return again(call)

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None:
        return self._patiently(lambda: self._kv.get(key))

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        return self._patiently(lambda: self._kv.put(key, value, if_version))

    def delete(self, key: str, if_version: int) -> None:
        self._patiently(lambda: self._kv.delete(key, if_version))

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """Whole or not at all: a scan that breaks off begins again."""
        yield from self._patiently(lambda: list(self._kv.scan(prefix)))
