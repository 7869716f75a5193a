"""The Ray executor: passes reading and mapping to processes of the cluster, and the rest to the control of the run."""

import logging
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import Any

import ray

from ingest_ray.core.messages import (
    ApplyCommit,
    Event,
    Failed,
    Fault,
    Instruction,
    Map,
    OpenSink,
    Plan,
    Prepare,
    Read,
    RecordIntent,
    ReplanSlice,
    Stage,
)
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.executors.ray.control import Control, actor_starter, end_actor
from ingest_ray.executors.ray.mapper import MapperActor
from ingest_ray.executors.ray.readers import Readers
from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.executors.ray.reported_rows import ReportedRows
from ingest_ray.executors.ray.server_watch import ServerWatch
from ingest_ray.executors.ray.sink import SinkActor
from ingest_ray.process.exit_notice import guard_exit
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import Recovery, StagingUnavailable
from ingest_ray.sdk.types import Slice

log = logging.getLogger(__name__)

INTERRUPT_INTERVAL_S = 5.0  # between two interrupts of a reader that goes on
RESTART_PAUSE_S = 5.0  # Ray starts a lost actor again in one to ten seconds
READ_HINT = "its process may have run out of memory; the slice is read again"
POLL_S = 0.1  # while slices wait for a free reader
STOPPED = Fault("E_SOURCE_PAGE_FAILED", "the run was stopped before a reader was free", Recovery.RETRY)


@dataclass(frozen=True)
class Call:
    """An instruction under way. `ref`: Ray's reference of its event; None in this process. `worker`: the reader or actor that was chosen."""

    instruction: Instruction
    started: float
    ref: Any = None
    worker: Any = None


class RayExecutor:
    """The `Executor` of a run on Ray. A control in the driver reads the first slice, where no reader is warm yet.

    `sinks`, `mappers`: the most actors of each kind. They start with the second slice: for a single one, a process costs more than
    it saves.
    """

    name = "ray"

    def __init__(
        self,
        order: RunOrder,
        control: Control,
        readers: Readers,
        pages: Any,
        sinks: int,
        mappers: int,
        watch: ServerWatch,
    ) -> None:
        self.seconds = {"plan": 0.0, "state": 0.0}
        self.is_broken = False
        self._order = order
        self._server_watch = watch
        self._control = control
        self._readers = readers
        self._pages = pages
        self._reported = ReportedRows(control.inbox)
        self._sinks: list[Any] = []
        self._mappers: list[Any] = []
        self._max_actors: tuple[tuple[Any, list[Any], int], ...] = (
            (SinkActor, self._sinks, sinks),
            (MapperActor, self._mappers, mappers),
        )
        self._reads = 0
        self._load: dict[Any, int] = {}
        self._pending: dict[Future[Any], Call] = {}
        self._waiting: deque[Read] = deque()
        self._is_stopping = False
        self._interrupted_at = 0.0

    def _start_actor(self, kind: Any) -> Any:
        return actor_starter(kind, self._order.settings.ray.actor_labels)(self._order, self._pages)

    def _add_actors(self) -> None:
        for kind, actors, most in self._max_actors:
            while len(actors) < most:
                actors.append(self._start_actor(kind))

    def leave_out_sinks(self) -> None:
        """Nothing will be prepared. A slice that is, nevertheless, is prepared by the control."""
        self._max_actors = tuple(kind for kind in self._max_actors if kind[0] is not SinkActor)

    def close(self) -> None:
        """Ends threads and actors; without Ray's servers there are no actors left to end."""
        self._control.close()
        if self._server_watch.is_lost(at_once=True):
            return
        with guard_exit():
            self._end_actors()

    def _end_actors(self) -> None:
        self._readers.close()
        for actor in (*self._mappers, *self._sinks):
            if tracing.is_on():
                end_actor(actor.send_spans)
            ray.kill(actor)

    # --- the executor protocol

    def submit(self, instruction: Instruction) -> None:
        match instruction:
            case Read():
                self._reads += 1
                if self._reads == 2:
                    self._add_actors()
                self._waiting.append(instruction)
                self._start_waiting()
            case Map(piece, attempt, handle) if self._mappers:
                mapper = self._least_loaded(self._mappers)
                self._track(instruction, mapper.map.remote(piece, attempt, handle), mapper)
            case Prepare(piece, attempt, handle) if self._sinks:
                sink = self._least_loaded(self._sinks)
                self._track(instruction, sink.prepare.remote(piece, attempt, handle, instruction.mapped), sink)
            case _:
                self._track(instruction, self._control.start(instruction))

    def _start_waiting(self) -> None:
        """Passes slices to readers that are free."""
        while self._waiting:
            instruction = self._waiting[0]
            if self._reads == 1 and self._control.may_read and not self._readers.are_warm:
                self._track(instruction, self._control.start(instruction))
            elif (started := self._readers.start(instruction)) is not None:
                self._track(instruction, *started)
            else:
                return
            self._waiting.popleft()

    def wait(self, timeout_s: float) -> list[Event]:
        if self._waiting:
            timeout_s = min(timeout_s, POLL_S)
        done = wait(self._pending, timeout_s, FIRST_COMPLETED).done if self._pending else set()
        if not self._pending:
            time.sleep(timeout_s)
        self._server_watch.check()
        self._reported.refresh()
        if self._is_stopping and time.monotonic() - self._interrupted_at > INTERRUPT_INTERVAL_S:
            self._interrupt()
        events = [event for future in done for event in self._outcome(future)]
        if self._is_stopping:
            events += [Failed(Stage.READ, STOPPED, read.piece, read.attempt) for read in self._waiting]
            self._waiting.clear()
        self._start_waiting()
        return events

    def rows_being_read(self) -> tuple[int, int]:
        reads = (call.instruction for call in self._pending.values() if isinstance(call.instruction, Read) and call.ref)
        elsewhere = self._reported.rows({(read.piece.slice_id, read.attempt) for read in reads})
        here = self._control.rows_being_read()
        return elsewhere[0] + here[0], elsewhere[1] + here[1]

    def stop(self) -> None:
        """Interrupts the readers, which then stage nothing."""
        self._is_stopping = True
        self._control.stop()
        self._interrupt()

    def _interrupt(self) -> None:
        """Repeated while a reader goes on: interrupted code, such as a finalizer, may swallow the interrupt."""
        self._interrupted_at = time.monotonic()
        calls = self._pending.values()
        self._readers.interrupt([call.ref for call in calls if isinstance(call.instruction, Read) and call.ref])

    def _least_loaded(self, actors: list[Any]) -> Any:
        return min(actors, key=lambda actor: self._load.get(actor, 0))

    def _track(self, instruction: Instruction, call: Any, worker: Any = None) -> None:
        """Registers a call: a future of this process, or a reference. `worker`: one of several equal ones, whose load is counted."""
        if isinstance(call, Future):
            self._pending[call] = Call(instruction, time.monotonic())
            return
        if worker is not None:
            self._load[worker] = self._load.get(worker, 0) + 1
        self._pending[call.future()] = Call(instruction, time.monotonic(), call, worker)

    def _outcome(self, future: "Future[Any]") -> list[Event]:
        call = self._pending.pop(future)
        instruction = call.instruction
        if call.worker is not None:
            self._load[call.worker] -= 1
        phase = phase_of(instruction)
        if phase is not None:
            self.seconds[phase] += time.monotonic() - call.started
        if call.ref is None:
            event: Event | None = future.result()
        else:
            event = self._event_of(call)
        if call.worker is None:
            self._control.note_event(instruction, event)
        return [] if event is None else [self._checked_for_lost_pages(event)]

    def _event_of(self, call: Call) -> Event | None:
        lost: BaseException | None = None
        event: Event | None = None
        try:
            event = ray.get(call.ref)
        except ray.exceptions.RayError as error:
            lost = unwrapped(error)
            event = self._failed_process(call, lost)
        if isinstance(call.instruction, Read):
            self._readers.note_end(call.worker, is_lost=isinstance(lost, ray.exceptions.RayActorError))
        return event

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

    def _failed_process(self, call: Call, error: BaseException) -> Event:
        """The event for a process that died. Readers, mappers and sinks are retried; without its control the attempt ends."""
        instruction = call.instruction
        stage = stage_of(instruction)
        piece: Slice | None = getattr(instruction, "piece", None)
        attempt = getattr(instruction, "attempt", 0)
        message = f"the process at stage {stage} was lost: {type(error).__name__}"
        if isinstance(instruction, Read) or call.worker is not None:
            is_starting = isinstance(
                error, ray.exceptions.ActorUnavailableError
            )  # its successor is: no call succeeds before
            pause_s = RESTART_PAUSE_S if is_starting and not isinstance(instruction, Read) else None
            fault = Fault("E_SOURCE_PAGE_FAILED", message, Recovery.RETRY, READ_HINT, retry_after_s=pause_s)
        else:
            self.is_broken = True
            fault = Fault(
                "E_SOURCE_PAGE_FAILED" if stage is Stage.PLAN else "E_STATE_UNREADABLE", message, Recovery.FAIL
            )
        return Failed(stage, fault, piece, attempt)


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
