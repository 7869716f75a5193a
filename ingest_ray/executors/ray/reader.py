"""Readers: a task reads one slice in a process of its own, an actor several at once, in threads of one process.

Ray retries neither, because the ledger numbers the attempts.
"""

import signal
from collections.abc import Callable
from typing import Any

import ray

from ingest_ray.core.messages import Event, SliceStaged, Stage
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.adoption import kept_adopter_of
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.reader import read_slice
from ingest_ray.executors.ray.metrics import metrics
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.reported_rows import RowChannel, RowReport
from ingest_ray.executors.ray.throttle import cluster_permits
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.http.permits import Watch, using, watching
from ingest_ray.registry import load
from ingest_ray.sdk.types import Slice

ACTOR_THREADS = 32  # slices that one reader actor reads at once, at most; a thread that reads nothing costs nothing
ACTOR_OPTIONS: dict[str, Any] = {
    "num_cpus": 1,
    "max_restarts": -1,
    "max_task_retries": 0,
    "max_concurrency": ACTOR_THREADS,
    "concurrency_groups": {"control": 1},
}


def accept_interrupts() -> None:
    """Installs Python's handler of SIGINT where the signal is ignored: Ray interrupts a task as Ctrl-C would.

    A process that a shell script starts in the background ignores SIGINT, and so do the processes of a local Ray under it.
    https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_11
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def read_attempt(
    order: RunOrder, pages: Any, rows: RowChannel, piece: Slice, attempt: int, is_stopping: Callable[[], bool]
) -> Event:
    report = RowReport(rows, piece.slice_id, attempt)

    def work() -> Event:
        with using(cluster_permits(order.settings)):
            staging, adopter = staging_on(order, pages), kept_adopter_of(order)
            staged = read_slice(order, piece, attempt, staging, is_stopping, report.note, adopter)
        metrics().read(order, staged.rows_read, staged.handle.bytes, staged.rows_quarantined)
        return SliceStaged(piece, attempt, staged)

    with in_trace_of(order, is_sent=True):
        event = attempted(Stage.READ, work, piece, attempt)
    if not isinstance(event, SliceStaged):
        metrics().failed(order, Stage.READ)
    return event


@ray.remote(max_retries=0, num_cpus=1)
def read(order: RunOrder, pages: Any, rows: RowChannel, piece: Slice, attempt: int) -> Event:
    accept_interrupts()
    return read_attempt(order, pages, rows, piece, attempt, lambda: False)


@ray.remote(max_retries=0, num_cpus=1)
def warm_up(order: RunOrder) -> None:
    """Imports what reading needs, so that the first slice finds a prepared worker process."""
    load(order.spec.endpoint)
    kept_adopter_of(order)


@ray.remote(**ACTOR_OPTIONS)
class ReaderActor:
    """For sources whose readers mostly wait for responses. It serves one run of a driver after another."""

    def __init__(self) -> None:
        self._stopped: set[str] = set()

    @ray.method(concurrency_group="control")
    def prepare(self, order: RunOrder) -> None:
        """Imports what reading needs; the first answer tells that the actor has a node."""
        load(order.spec.endpoint)
        kept_adopter_of(order)

    def read(self, order: RunOrder, pages: Any, rows: RowChannel, piece: Slice, attempt: int) -> Event:
        def is_stopped() -> bool:
            return order.run_id in self._stopped

        with watching(Watch(is_stopped)):
            return read_attempt(order, pages, rows, piece, attempt, is_stopped)

    @ray.method(concurrency_group="control")
    def stop(self, run_id: str) -> None:
        """Readers of the run end at their next batch or request."""
        self._stopped.add(run_id)
