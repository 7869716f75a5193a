"""One line in the log when a store does not answer, however many parts of the server wait for it, and one when it does again."""

import logging
import threading
import time
from dataclasses import dataclass, field

from ingest_ray import logs
from ingest_ray.sdk.errors import IngestError, StateUnavailable

log = logging.getLogger(__name__)


@dataclass
class OutageLog:
    """Of one server; its parts call it from threads of their own."""

    _waiting: dict[str, str] = field(default_factory=dict)
    """What each part of the server waits for: `store`, or the error of that part alone."""
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, part: str, error: IngestError) -> None:
        reason = "store" if isinstance(error, StateUnavailable) else f"{part}: {error.code}"
        with self._lock:
            is_known = reason in self._waiting.values()
            self._waiting[part] = reason
            if is_known:
                return
            self._since = time.monotonic()
        text = logs.scrub(f"{error.message} [{error.code}]")
        if reason == "store":
            log.warning("schedules, alerts and messages wait until the store answers: %s", text)
        else:
            log.warning("%s failed, and is tried again: %s", part, text)

    def succeeded(self, part: str) -> None:
        with self._lock:
            reason = self._waiting.pop(part, None)
            if reason is None or reason in self._waiting.values():
                return
            away_s = time.monotonic() - self._since
        if reason == "store":
            log.info("the store answers again, after %.0f s", away_s)
        else:
            log.info("%s works again", part)
