"""Counters for Ray's metrics endpoint: rows, bytes, slices, retries, by endpoint and unit."""

from functools import cache

from ray.util.metrics import Counter

from ingest_ray.core.messages import Commit, Committed, Event, Instruction, Stage
from ingest_ray.engine.run_order import RunOrder

TAGS = ("endpoint", "unit")


class Metrics:
    def __init__(self) -> None:
        self._rows_read = Counter("ingest_rows_read", "Rows read from the source.", TAGS)
        self._bytes_staged = Counter("ingest_bytes_staged", "Arrow bytes staged.", TAGS)
        self._rows_quarantined = Counter("ingest_rows_quarantined", "Rows put into quarantine.", TAGS)
        self._rows_committed = Counter("ingest_rows_committed", "Rows committed to the sink.", TAGS)
        self._slices_committed = Counter("ingest_slices_committed", "Slices committed to the sink.", TAGS)
        self._failures = Counter("ingest_failures", "Pieces of work that failed and may be retried.", (*TAGS, "stage"))

    def read(self, order: RunOrder, rows: int, size: int, quarantined: int) -> None:
        add(self._rows_read, rows, tags(order))
        add(self._bytes_staged, size, tags(order))
        add(self._rows_quarantined, quarantined, tags(order))

    def committed(self, order: RunOrder, rows: int, slices: int) -> None:
        add(self._rows_committed, rows, tags(order))
        add(self._slices_committed, slices, tags(order))

    def failed(self, order: RunOrder, stage: Stage) -> None:
        add(self._failures, 1, tags(order) | {"stage": str(stage)})


def add(counter: Counter, value: int, labels: dict[str, str]) -> None:
    if value > 0:  # Ray refuses to add nothing
        counter.inc(value, labels)


def tags(order: RunOrder) -> dict[str, str]:
    return {"endpoint": order.spec.endpoint.endpoint_id, "unit": order.spec.unit_id}


@cache
def metrics() -> Metrics:
    """One set per process."""
    return Metrics()


def note_committed(order: RunOrder, instruction: Instruction, event: Event | None) -> None:
    """Counts the rows of a commit; other instructions have none."""
    if isinstance(instruction, Commit) and isinstance(event, Committed):
        metrics().committed(order, event.receipt.rows_committed, len(instruction.group))
