"""The actor of a run on a cluster: its planner, state and sink. If it dies, the attempt is restarted under a new epoch.

    planner     1 thread     probe and plan; holds the snapshot and the lazy iterator of slices
    state       1 thread     the only writer of the unit's checkpoint
    sink        1 thread     commits and cleans up
    preparers   2 threads    prepare slices, where no sink actor does

Ray calls such threads concurrency groups: https://docs.ray.io/en/latest/ray-core/actors/concurrency_group_api.html
"""

from collections.abc import Sequence
from typing import Any

import ray

from ingest_ray.core.messages import Event, Fault, Instruction
from ingest_ray.engine.open_slices import OpenSlice, OpenSlices
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.engine.steps.recovery import open_scopes, open_sink_for
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.executors.inline import InlineExecutor
from ingest_ray.executors.ray.metrics import note_committed
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.throttle import cluster_permits
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.http.permits import using
from ingest_ray.kv import open_state
from ingest_ray.registry import load
from ingest_ray.sdk.types import Learned, Scope
from ingest_ray.state.documents import Owner
from ingest_ray.state.writer import StateWriter

PREPARERS = 2
GROUPS = {"planner": 1, "state": 1, "sink": 1, "preparers": PREPARERS, "rows": 1}
OPTIONS: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0, "concurrency_groups": GROUPS}


@ray.remote(**OPTIONS)
class ControlActor:
    def __init__(self, order: RunOrder, key: str, owner: Owner, pages: Any) -> None:
        self._order = order
        self._key = key
        self._owner = owner
        self._staging = staging_on(order, pages)
        self._unit_writer = writer_for(order, self._staging)
        self._planner = Planner(order)
        self._state: StateWriter | None = None
        self._open_slices = OpenSlices()

    @ray.method(concurrency_group="planner")
    def load(self) -> None:
        """Imports the strategy while the state is read. Its errors are raised by `plan`."""
        load(self._order.spec.endpoint)

    @ray.method(concurrency_group="state")
    def begin(self) -> Learned:
        """Takes the lease and settles the intent of an older run; may be called again."""
        with in_trace_of(self._order):
            if self._state is None:
                kv = open_state(self._order.settings)
                self._state = StateWriter.begin(
                    kv, self._key, self._order.run_id, self._owner, settings=self._order.settings
                )
                self._state.task = self._order.task
            if self._state.has_intent:
                open_sink_for(self._state, self._unit_writer)
            self._inline = InlineExecutor(self._order, self._planner, self._unit_writer, self._state, self._staging)
            return self._state.learned

    @ray.method(concurrency_group="planner")
    def plan(self) -> PlanSummary:
        """Probes the unit; may be called again after `SourceUnavailable`."""
        assert self._state is not None
        with in_trace_of(self._order), using(cluster_permits(self._order.settings)):
            return self._planner.begin(dict(self._state.segments), self._state.learned)

    @ray.method(concurrency_group="state")
    def open(self, planned: Sequence[Scope]) -> None:
        assert self._state is not None
        with in_trace_of(self._order):
            self._planner.open(open_scopes(self._order, self._state, self._unit_writer, planned))

    @ray.method(concurrency_group="planner")
    def perform_plan(self, instruction: Instruction) -> Event | None:
        with using(cluster_permits(self._order.settings)):
            return self._perform(instruction)

    @ray.method(concurrency_group="state")
    def perform_state(self, instruction: Instruction) -> Event | None:
        return self._perform(instruction)

    @ray.method(concurrency_group="sink")
    def perform_sink(self, instruction: Instruction) -> Event | None:
        event = self._perform(instruction)
        note_committed(self._order, instruction, event)
        return event

    @ray.method(concurrency_group="preparers")
    def perform_prepare(self, instruction: Instruction) -> Event | None:
        return self._perform(instruction)

    def _perform(self, instruction: Instruction) -> Event | None:
        with in_trace_of(self._order):
            return self._inline.perform(instruction)

    @ray.method(concurrency_group="rows")
    def note_rows(self, part: OpenSlice) -> None:
        self._open_slices.note(part)

    @ray.method(concurrency_group="rows")
    def noted_rows(self) -> list[OpenSlice]:
        """What readers noted since the last call."""
        return self._open_slices.take()

    @ray.method(concurrency_group="planner")
    def explained(self, fault: Fault | None) -> Fault | None:
        return self._planner.explained(fault)

    @ray.method(concurrency_group="state")
    def learn(self, learned: Learned) -> None:
        assert self._state is not None
        self._state.learn(learned)

    @ray.method(concurrency_group="sink")
    def finish_clean_up(self) -> None:
        """Returns after the sink's last call: its thread takes one after another."""

    @ray.method(concurrency_group="planner")
    def close(self) -> None:
        with in_trace_of(self._order):
            self._planner.close()

    @ray.method(concurrency_group="state")
    def end(self) -> None:
        """Releases the lease, where it was taken."""
        with in_trace_of(self._order, is_sent=True):
            if self._state is not None:
                self._state.end()
