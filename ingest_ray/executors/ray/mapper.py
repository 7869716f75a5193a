"""The mapper actors of CDM mode: map the staged rows of a slice to rows of models. Stateless: Ray restarts them."""

from typing import Any

import ray

from ingest_ray.core.messages import Event, SliceMapped, Stage
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.mapper import map_slice
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.sdk.types import Handle, Slice


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)
class MapperActor:
    def __init__(self, order: RunOrder, pages: Any) -> None:
        self._order = order
        self._staging = staging_on(order, pages)

    def map(self, piece: Slice, attempt: int, handle: Handle) -> Event:
        with in_trace_of(self._order):
            return attempted(
                Stage.MAP,
                lambda: SliceMapped(piece, attempt, map_slice(self._order, piece, attempt, handle, self._staging)),
                piece,
                attempt,
            )

    def send_spans(self) -> None:
        with in_trace_of(self._order, is_sent=True):
            pass
