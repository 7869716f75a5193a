"""The Ray executor: the actors of one run, and the calls to them."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ray

from ingest_ray.core.messages import (
    Abort,
    ApplyCommit,
    Commit,
    Drop,
    Event,
    Failed,
    Fault,
    Instruction,
    Map,
    OpenSink,
    Plan,
    Prepare,
    QuerySink,
    Read,
    RecordIntent,
    ReplanSlice,
    Stage,
)
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.executors.ray.mapper import MapperActor
from ingest_ray.executors.ray.page_store import PagesActor
from ingest_ray.executors.ray.planner import PlannerActor
from ingest_ray.executors.ray.reader import read, warm_up
from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.executors.ray.reported_rows import ReportedRows
from ingest_ray.executors.ray.server_watch import CHECK_S, ServerWatch
from ingest_ray.executors.ray.sink import SinkActor
from ingest_ray.executors.ray.state import InitialState, StateActor
from ingest_ray.process.exit_notice import guard_exit
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import Recovery, StagingUnavailable
from ingest_ray.sdk.types import Learned, Scope, Slice
from ingest_ray.settings import RaySettings
from ingest_ray.state.lease import this_process

log = logging.getLogger(__name__)

INTERRUPT_INTERVAL_S = 5.0  # between two interrupts of a reader that goes on
RESTART_PAUSE_S = 5.0  # Ray starts a lost actor again in one to ten seconds
READ_HINT = "its process may have run out of memory; the slice is read again"


def actor_starter(actor: Any, labels: Mapping[str, str]) -> Any:
    """The function that starts an actor on a node with these labels; Ray's decorator hides it from type checkers.

    https://docs.ray.io/en/latest/ray-core/scheduling/labels.html
    """
    return actor.options(label_selector=dict(labels)).remote if labels else actor.remote


def reader_task(task: Any, settings: RaySettings, per_cpu: int) -> Any:
    """The task with the resources of a reader. Ray reuses a worker process only for tasks with equal options."""
    return task.options(
        num_cpus=1 / per_cpu,
        resources=dict(settings.reader_resources) or None,
        label_selector=dict(settings.reader_labels) or None,
    )


class RayExecutor:
    """The `Executor` of a run on Ray: planner, state, mapper and sink actors; readers are tasks."""

    name = "ray"

    def __init__(
        self, order: RunOrder, key: str, sinks: int, mappers: int, server_watch: ServerWatch, readers_per_cpu: int = 1
    ) -> None:
        self.seconds = {"plan": 0.0, "state": 0.0}
        self.is_broken = False
        self._order = order = order.model_copy(update={"trace": tracing.carrier()})
        self._server_watch = server_watch
        where = order.settings.ray.actor_labels
        self._read = reader_task(read, order.settings.ray, readers_per_cpu)
        self._order_ref = ray.put(order)
        uses_store = order.settings.staging.provider == "object-store"
        self._pages = actor_starter(PagesActor, where)(order.settings.staging.cap_bytes) if uses_store else None
        self._state = actor_starter(StateActor, where)(order, key, this_process(), self._pages)
        self._reported = ReportedRows(self._state)
        self._planner = actor_starter(PlannerActor, where)(order)
        self._planner.load.remote()
        self._sinks = [self._start_actor(SinkActor)]
        self._mappers = [self._start_actor(MapperActor)] if order.spec.is_cdm else []
        self._max_actors = {SinkActor: sinks, MapperActor: mappers}
        self._reads = 0
        self._warm_up = reader_task(warm_up, order.settings.ray, readers_per_cpu).remote(
            order
        )  # while the run is planned
        self._load: dict[Any, int] = {}
        self._epoch = 0
        self._pending: dict[Any, tuple[Instruction, float, Any]] = {}
        self._is_stopping = False
        self._interrupted_at = 0.0
        self.learned = Learned()

    def _start_actor(self, kind: Any) -> Any:
        return actor_starter(kind, self._order.settings.ray.actor_labels)(self._order, self._pages)

    def _add_actors(self) -> None:
        """Starts more sinks and mappers with the second slice: for a single slice, starting a process costs more than it saves."""
        for kind, actors in ((SinkActor, self._sinks), (MapperActor, self._mappers)):
            while actors and len(actors) < self._max_actors[kind]:
                actors.append(self._start_actor(kind))

    @property
    def pages(self) -> Any:
        return self._pages

    def begin(self) -> None:
        """Takes the lease and settles the intent of an older run."""
        self._beginning: InitialState = self._wait_for(self._state.begin.remote())
        self.learned = self._beginning.learned

    def plan(self) -> PlanSummary:
        """Probes the unit in the planner actor; may be called again after `SourceUnavailable`."""
        known = self._beginning
        plan_summary: PlanSummary = self._wait_for(self._planner.begin.remote(known.segments, known.learned))
        return plan_summary

    def open(self, planned: tuple[Scope, ...]) -> None:
        scopes = self._wait_for(self._state.open_scopes.remote(planned))
        self._epoch = self._wait_for(self._state.epoch.remote())
        self._wait_for(self._planner.open.remote(scopes))

    def learn(self, learned: Learned) -> None:
        self._wait_for(self._state.learn.remote(learned))

    def explained(self, fault: Fault | None) -> Fault | None:
        """See `Planner.explained`; the fault itself where the planner is lost."""
        if fault is None or fault.recovery is not Recovery.REPLAN or self.is_broken:
            return fault
        try:
            explained: Fault = ray.get(self._planner.explained.remote(fault), timeout=30)
        except (ray.exceptions.RayError, TimeoutError):
            return fault
        return explained

    def close(self) -> None:
        """Releases the lease and ends the actors; without Ray's servers there are none left to end."""
        if self._server_watch.is_lost(at_once=True):
            return
        with guard_exit():
            self._end_actors()

    def _end_actors(self) -> None:
        ray.cancel(self._warm_up, force=False, recursive=False)  # the task may still wait for a node
        writers = (*self._mappers, *self._sinks) if tracing.is_on() else ()
        for call in (self._planner.close, self._state.end, *(writer.send_spans for writer in writers)):
            try:
                ray.get(call.remote(), timeout=30)
            except (ray.exceptions.RayError, TimeoutError) as error:
                log.warning("could not end an actor: %s", unwrapped(error))
        for actor in (
            self._planner,
            self._state,
            *self._mappers,
            *self._sinks,
            *([self._pages] if self._pages else []),
        ):
            ray.kill(actor)

    # --- the executor protocol

    def submit(self, instruction: Instruction) -> None:
        match instruction:
            case Plan(count, without):
                self._track(self._planner.next.remote(count, without), instruction)
            case ReplanSlice(piece, interval, size, number):
                self._track(self._planner.replan.remote(piece, interval, size, number), instruction)
            case Read(piece, attempt):
                self._reads += 1
                if self._reads == 2:
                    self._add_actors()
                self._track(self._read.remote(self._order_ref, self._pages, self._state, piece, attempt), instruction)
            case OpenSink():
                self._track(self._state.open_sink.remote(), instruction)
            case Map(piece, attempt, handle):
                mapper = self._least_loaded(self._mappers)
                self._track(mapper.map.remote(piece, attempt, handle), instruction, mapper)
            case Prepare(piece, attempt, handle):
                sink = self._least_loaded(self._sinks)
                self._track(sink.prepare.remote(piece, attempt, handle, instruction.mapped), instruction, sink)
            case RecordIntent(claims, is_whole, uris):
                self._track(self._state.record_intent.remote(claims, is_whole, uris), instruction)
            case Commit(sequence, group):
                self._track(self._sinks[0].commit.remote(self._epoch, sequence, group), instruction)
            case QuerySink():
                self._track(self._state.query_sink.remote(), instruction)
            case ApplyCommit(sequence):
                self._track(self._state.apply_commit.remote(sequence), instruction)
            case Abort(group):
                self._sinks[-1].abort.remote(group)
            case Drop(handles):
                self._sinks[-1].drop.remote(handles)
            case _:
                pass

    def wait(self, timeout_s: float) -> list[Event]:
        if not self._pending:
            time.sleep(timeout_s)
            return []
        done, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout_s)
        self._server_watch.check()
        self._reported.refresh()
        if self._is_stopping and time.monotonic() - self._interrupted_at > INTERRUPT_INTERVAL_S:
            self._interrupt()
        if done:
            more, _ = ray.wait(list(self._pending), num_returns=len(self._pending), timeout=0)
            done = more
        return [event for ref in done for event in self._outcome(ref)]

    def rows_being_read(self) -> tuple[int, int]:
        reads = (each for each, _, _ in self._pending.values() if isinstance(each, Read))
        return self._reported.rows({(read.piece.slice_id, read.attempt) for read in reads})

    def stop(self) -> None:
        """Interrupts the readers, which then stage nothing."""
        self._is_stopping = True
        self._interrupt()

    def _interrupt(self) -> None:
        """Repeated while a reader goes on: interrupted code, such as a finalizer, may swallow the interrupt."""
        self._interrupted_at = time.monotonic()
        for ref, (instruction, _, _) in self._pending.items():
            if isinstance(instruction, Read):
                ray.cancel(ref, force=False, recursive=False)

    def _least_loaded(self, actors: list[Any]) -> Any:
        return min(actors, key=lambda actor: self._load.get(actor, 0))

    def _track(self, ref: Any, instruction: Instruction, actor: Any = None) -> None:
        """Registers a call. `actor`: one of several equal actors, whose load is counted."""
        if actor is not None:
            self._load[actor] = self._load.get(actor, 0) + 1
        self._pending[ref] = (instruction, time.monotonic(), actor)

    def _outcome(self, ref: Any) -> list[Event]:
        instruction, started, actor = self._pending.pop(ref)
        if actor is not None:
            self._load[actor] -= 1
        phase = phase_of(instruction)
        if phase is not None:
            self.seconds[phase] += time.monotonic() - started
        try:
            result = ray.get(ref)
        except ray.exceptions.RayError as error:
            return [self._failed_process(instruction, unwrapped(error))]
        if isinstance(instruction, OpenSink):
            result, self._epoch = result
        return [self._checked_for_lost_pages(result)]

    def _checked_for_lost_pages(self, event: Event) -> Event:
        """A run that lost the owner of its pages cannot go on: the event becomes one that ends the attempt."""
        if isinstance(event, Failed) and event.fault.code == StagingUnavailable.code and self._has_lost_pages():
            self.is_broken = True
            return replace(event, fault=replace(event.fault, recovery=Recovery.FENCED))
        return event

    def _has_lost_pages(self) -> bool:
        if self._pages is None:
            return False
        try:
            ray.get(self._pages.runs.remote(), timeout=30)
        except ray.exceptions.RayActorError:
            return True
        except TimeoutError:  # an actor that is too busy to answer is alive
            return False
        return False

    def _failed_process(self, instruction: Instruction, error: BaseException) -> Event:
        """The event for a process that died. Readers, mappers and sinks are retried; without planner or state the attempt ends."""
        stage = stage_of(instruction)
        piece: Slice | None = getattr(instruction, "piece", None)
        attempt = getattr(instruction, "attempt", 0)
        message = f"the process at stage {stage} was lost: {type(error).__name__}"
        if isinstance(instruction, Read | Map | Prepare):
            is_starting = isinstance(
                error, ray.exceptions.ActorUnavailableError
            )  # its successor is: no call succeeds before
            pause_s = RESTART_PAUSE_S if is_starting else None
            fault = Fault("E_SOURCE_PAGE_FAILED", message, Recovery.RETRY, READ_HINT, retry_after_s=pause_s)
        elif isinstance(instruction, Commit):
            fault = Fault("E_SINK_WRITE_FAILED", message, Recovery.ASK_SINK)
        else:
            self.is_broken = True
            fault = Fault(
                "E_SOURCE_PAGE_FAILED" if stage is Stage.PLAN else "E_STATE_UNREADABLE", message, Recovery.FAIL
            )
        return Failed(stage, fault, piece, attempt)

    def _wait_for(self, ref: Any) -> Any:
        while not ray.wait([ref], timeout=CHECK_S)[0]:
            self._server_watch.check()
        try:
            return ray.get(ref)
        except ray.exceptions.RayActorError:
            self.is_broken = True
            raise
        except ray.exceptions.RayTaskError as error:
            raise unwrapped(error) from error


def stage_of(instruction: Instruction) -> Stage:
    match instruction:
        case Plan() | ReplanSlice():
            return Stage.PLAN
        case OpenSink():
            return Stage.OPEN
        case Read():
            return Stage.READ
        case Map():
            return Stage.MAP
        case Prepare():
            return Stage.PREPARE
        case RecordIntent():
            return Stage.INTEND
        case ApplyCommit():
            return Stage.FOLD
        case _:
            return Stage.COMMIT


def phase_of(instruction: Instruction) -> str | None:
    match instruction:
        case Plan() | ReplanSlice():
            return "plan"
        case RecordIntent() | ApplyCommit():
            return "state"
        case _:
            return None
