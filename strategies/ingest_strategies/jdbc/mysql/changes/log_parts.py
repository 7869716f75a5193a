"""Reads the binary log once for all units of an endpoint: the parts that this process keeps, and how the next one is read.

A unit takes a part that has its position; where there is none it reads one, and units near it wait for that, for a minute. A unit that is far behind reads by
itself. The server has the log for as long as it is set to, so a part that another process has, or that is gone, is read again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.changes.kept_parts import KeptParts
from ingest_strategies.jdbc.mysql.changes.log_part import LogPart
from ingest_strategies.jdbc.mysql.changes.part_reader import LogTable, read_part
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition

STOP_CHECK_S = 0.2
WAIT_S = 60.0  # for a part that another unit reads; then a unit reads it by itself: the other one's connection may hang

_PARTS: KeptParts[str, LogPart] = KeptParts()
_READINGS: dict[str, list["_Reading"]] = {}
_LOCK = threading.Lock()


@dataclass(eq=False)
class _Reading:
    """A part that a thread reads now."""

    lower: LogPosition
    by_gtids: bool
    round_bytes: int
    has_ended: threading.Event = field(default_factory=threading.Event)

    def is_near(self, lower: LogPosition, *, by_gtids: bool) -> bool:
        """Whether the part that is read will probably have the position."""
        if self.by_gtids or by_gtids:
            return self.by_gtids == by_gtids and self.lower.gtids == lower.gtids
        is_same = (self.lower.file, self.lower.writer) == (lower.file, lower.writer)
        return is_same and 0 <= lower.offset - self.lower.offset < self.round_bytes


def forget_parts() -> None:
    _PARTS.forget()


def find_or_read(
    table: LogTable,
    lower: LogPosition,
    upper: LogPosition | None = None,
    *,
    by_gtids: bool = False,
    is_stopping: Callable[[], bool] = lambda: False,
) -> LogPart:
    """A part that has every change of the table from `lower` on: up to `upper`, where that is given, or to an end below it.

    Raises:
        LogGone: the server does not have them all.
        SourceUnavailable: its log does not reach the upper position yet.
    """
    log = _log_of(table.spec.endpoint)

    def fits(part: LogPart) -> bool:
        return part.by_gtids == by_gtids and part.fits(table.target, lower, upper)

    deadline = time.monotonic() + WAIT_S
    while True:
        with _LOCK:
            found = _PARTS.find(log, fits)
            if found is not None:
                return found
            near = [one for one in _READINGS.get(log, ()) if one.is_near(lower, by_gtids=by_gtids)]
            if not near or time.monotonic() > deadline:
                mine = _Reading(lower, by_gtids, table.round_bytes)
                _READINGS.setdefault(log, []).append(mine)
                break
        near[0].has_ended.wait(STOP_CHECK_S)
        if is_stopping():
            raise SourceUnavailable(f"{table.spec.unit_id}: reading was stopped")
    with _noted(log, mine):
        part = read_part(table, lower, upper, by_gtids=by_gtids, is_stopping=is_stopping)
        _PARTS.keep(log, part)
    return part


@contextmanager
def _noted(log: str, mine: _Reading) -> Iterator[None]:
    try:
        yield
    finally:
        with _LOCK:
            _READINGS[log].remove(mine)
        mine.has_ended.set()


def _log_of(endpoint: Endpoint) -> str:
    return endpoint.model_dump_json()
