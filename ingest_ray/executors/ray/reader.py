"""The reader task: one attempt of one slice. Ray never retries it, because the ledger numbers the attempts."""

import signal
from typing import Any

import ray

from ingest_ray.core.messages import Event, SliceStaged, Stage
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.reader import read_slice
from ingest_ray.executors.ray.metrics import metrics
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.reported_rows import RowReport
from ingest_ray.executors.ray.throttle import cluster_permits
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.http.permits import using
from ingest_ray.registry import load
from ingest_ray.sdk.types import Slice


def accept_interrupts() -> None:
    """Installs Python's handler of SIGINT where the signal is ignored: Ray interrupts a task as Ctrl-C would.

    A process that a shell script starts in the background ignores SIGINT, and so do the processes of a local Ray under it.
    https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_11
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@ray.remote(max_retries=0, num_cpus=1)
def read(order: RunOrder, pages: Any, state: Any, piece: Slice, attempt: int) -> Event:
    """`state`: the state actor, to which the reader reports its rows."""
    accept_interrupts()
    report = RowReport(state, piece.slice_id, attempt)

    def work() -> Event:
        with using(cluster_permits()):
            staged = read_slice(order, piece, attempt, staging_on(order, pages), note=report.note)
        metrics().read(order, staged.rows_read, staged.handle.bytes, staged.rows_quarantined)
        return SliceStaged(piece, attempt, staged)

    with in_trace_of(order, is_sent=True):
        event = attempted(Stage.READ, work, piece, attempt)
    if not isinstance(event, SliceStaged):
        metrics().failed(order, Stage.READ)
    return event


@ray.remote(max_retries=0, num_cpus=1)
def warm_up(order: RunOrder) -> None:
    """Imports what reading needs, so that the first slice finds a prepared worker process."""
    load(order.spec.endpoint)
