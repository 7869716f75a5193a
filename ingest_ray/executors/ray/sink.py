"""The sink actors: prepare slices in parallel; one of them commits. Stateless except for the open target: Ray restarts them."""

from collections.abc import Sequence
from typing import Any

import ray

from ingest_ray.core.messages import Committed, Event, SlicePrepared, Stage
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.executors.ray.metrics import metrics
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.sdk.types import Handle, Mapped, Prepared, Slice


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)
class SinkActor:
    def __init__(self, order: RunOrder, pages: Any) -> None:
        self._order = order
        self._staging = staging_on(order, pages)
        self._unit_writer = writer_for(order, self._staging)

    def prepare(self, piece: Slice, attempt: int, handle: Handle, mapped: Mapped | None) -> Event:
        with in_trace_of(self._order):
            return attempted(
                Stage.PREPARE,
                lambda: SlicePrepared(piece, attempt, self._unit_writer.prepare(piece, handle, mapped)),
                piece,
                attempt,
            )

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Event:
        with in_trace_of(self._order):
            event = attempted(Stage.COMMIT, lambda: Committed(self._unit_writer.commit(epoch, sequence, group)))
        if isinstance(event, Committed):
            metrics().committed(self._order, event.receipt.rows_committed, len(group))
        return event

    def abort(self, group: Sequence[Prepared]) -> None:
        self._unit_writer.abort(group)

    def drop(self, handles: Sequence[Handle]) -> None:
        for handle in handles:
            self._staging.drop(handle)

    def send_spans(self) -> None:
        with in_trace_of(self._order, is_sent=True):
            pass
