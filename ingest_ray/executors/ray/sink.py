"""The sink actors: prepare large slices in parallel, beside the control actor, which commits. Stateless: Ray restarts them."""

from typing import Any

import ray

from ingest_ray.core.messages import Event, SlicePrepared, Stage
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.sdk.types import Handle, Mapped, Slice


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)
class SinkActor:
    def __init__(self, order: RunOrder, pages: Any) -> None:
        self._order = order
        self._unit_writer = writer_for(order, staging_on(order, pages))

    def prepare(self, piece: Slice, attempt: int, handle: Handle, mapped: Mapped | None) -> Event:
        with in_trace_of(self._order):
            return attempted(
                Stage.PREPARE,
                lambda: SlicePrepared(piece, attempt, self._unit_writer.prepare(piece, handle, mapped)),
                piece,
                attempt,
            )

    def send_spans(self) -> None:
        with in_trace_of(self._order, is_sent=True):
            pass
