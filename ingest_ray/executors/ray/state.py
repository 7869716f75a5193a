"""The state actor: the only writer of a unit's checkpoint. If it dies, the attempt is restarted under a new epoch."""

from collections.abc import Sequence
from typing import Any

import ray

from ingest_ray.core.messages import CommitApplied, CommitClaim, Event, IntentRecorded, SinkOpened, SinkSequence, Stage
from ingest_ray.engine.open_slices import OpenSlice, OpenSlices
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.recovery import open_scopes, open_sink_for
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.executors.ray.page_store import staging_on
from ingest_ray.executors.ray.traces import in_trace_of
from ingest_ray.kv import open_state
from ingest_ray.sdk.types import Learned, Model, Scope, SegmentState
from ingest_ray.state.documents import Owner
from ingest_ray.state.writer import StateWriter


class InitialState(Model):
    segments: dict[str, SegmentState]
    learned: Learned


@ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)
class StateActor:
    def __init__(self, order: RunOrder, key: str, owner: Owner, pages: Any) -> None:
        self._order = order
        self._state = StateWriter.begin(open_state(order.settings), key, order.run_id, owner)
        self._state.task = order.task
        self._unit_writer = writer_for(order, staging_on(order, pages))
        self._open_slices = OpenSlices()

    def begin(self) -> InitialState:
        """Settles the intent of an older run; returns the checkpoint."""
        if self._state.has_intent:
            open_sink_for(self._state, self._unit_writer)
        return InitialState(segments=dict(self._state.segments), learned=self._state.learned)

    def open_scopes(self, planned: Sequence[Scope]) -> tuple[Scope, ...]:
        return open_scopes(self._order, self._state, self._unit_writer, planned)

    def epoch(self) -> int:
        return self._state.epoch

    def open_sink(self) -> tuple[Event, int]:
        """The event, and the epoch that commits must carry from now on."""
        with in_trace_of(self._order):
            event = attempted(Stage.OPEN, lambda: SinkOpened(open_sink_for(self._state, self._unit_writer)))
        return event, self._state.epoch

    def query_sink(self) -> Event:
        with in_trace_of(self._order):
            return attempted(Stage.COMMIT, lambda: SinkSequence(self._unit_writer.open(self._state.epoch)))

    def record_intent(self, claims: Sequence[CommitClaim], is_whole: bool, quarantine_uris: Sequence[str]) -> Event:
        def work() -> Event:
            return IntentRecorded(self._state.record_intent(claims, is_whole=is_whole, quarantine_uris=quarantine_uris))

        with in_trace_of(self._order):
            return attempted(Stage.INTEND, work)

    def apply_commit(self, sequence: int) -> Event:
        def work() -> Event:
            self._state.apply_commit(sequence)
            return CommitApplied(sequence)

        with in_trace_of(self._order):
            return attempted(Stage.FOLD, work)

    def note_rows(self, part: OpenSlice) -> None:
        self._open_slices.note(part)

    def noted_rows(self) -> list[OpenSlice]:
        """What readers noted since the last call."""
        return self._open_slices.take()

    def learn(self, learned: Learned) -> None:
        self._state.learn(learned)

    def end(self) -> None:
        with in_trace_of(self._order, is_sent=True):
            self._state.end()
