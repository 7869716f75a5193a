"""The planner actor: holds probe, snapshot and the lazy iterator of slices. If it dies, the attempt is restarted."""

from collections.abc import Mapping, Sequence

import ray

from ingest_ray.core.messages import Event, Fault, Stage
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.executors.ray.throttle import cluster_permits
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.http.permits import using
from ingest_ray.registry import load
from ingest_ray.sdk.types import Interval, Learned, Scope, SegmentState, Slice


@ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)
class PlannerActor:
    def __init__(self, order: RunOrder) -> None:
        self._order = order
        self._endpoint = order.spec.endpoint
        self._planner = Planner(order)

    def load(self) -> None:
        """Imports the strategy while other actors start. Its errors are raised by `begin`."""
        load(self._endpoint)

    def begin(self, known: Mapping[str, SegmentState], learned: Learned) -> PlanSummary:
        with in_trace_of(self._order), using(cluster_permits()):
            return self._planner.begin(known, learned)

    def open(self, scopes: Sequence[Scope]) -> None:
        self._planner.open(scopes)

    def next(self, count: int, without: frozenset[str]) -> Event:
        with in_trace_of(self._order), using(cluster_permits()):
            return attempted(Stage.PLAN, lambda: self._planner.next(count, without))

    def replan(self, piece: Slice, interval: Interval, bytes_per_row: float | None, number: int) -> Event:
        with in_trace_of(self._order), using(cluster_permits()):
            return attempted(Stage.PLAN, lambda: self._planner.replan(piece, interval, bytes_per_row, number), piece)

    def explained(self, fault: Fault | None) -> Fault | None:
        return self._planner.explained(fault)

    def close(self) -> None:
        with in_trace_of(self._order, is_sent=True):
            self._planner.close()
