"""The coordinator's executor over simulated processes: each can be lost, and may continue to work after it was given up."""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ingest_ray.core import messages as m
from ingest_ray.core import planning
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.recovery import open_sink_for
from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import Recovery, SliceTooLarge, SourceDenied, SourceUnavailable, StagingUnavailable
from ingest_ray.sdk.types import ADOPTED, Handle, Interval, Mapped, MappedModel, Scope, Slice, Staged
from ingest_ray.state.writer import StateWriter
from tests.simulation.fault_injection import ZOMBIE, FaultInjector
from tests.simulation.integer_strategy import IntegerStrategy, axis_value
from tests.simulation.invariants import InvariantChecker
from tests.simulation.run_order import SPEC
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_sink import SimulatedUnitWriter
from tests.simulation.simulated_staging import MODEL, SimulatedStaging

SINKS = 2
TWICE = (
    m.SliceStaged,
    m.SliceMapped,
    m.SlicePrepared,
)  # reports of retried calls; all others are asked for one at a time


@dataclass(eq=False)
class Call:
    instruction: m.Instruction
    work: Callable[[], m.Event]
    actor: "Actor"


@dataclass(eq=False)
class Actor:
    """Runs one call after the other, in the order of their arrival."""

    process: Process
    queue: deque[Call] = field(default_factory=deque)
    is_busy: bool = False
    is_lost: bool = False
    """The actor was given up; later calls to it are lost, too."""


@dataclass(eq=False)
class SimulatedExecutor:
    run_id: str
    scheduler: Scheduler
    faults: FaultInjector
    checker: InvariantChecker
    staging: SimulatedStaging
    unit_writer: SimulatedUnitWriter
    writer: StateWriter
    strategy: IntegerStrategy
    probe: Probe
    slices: Iterator[Slice]
    scopes: dict[tuple[str, str], Scope]
    state: Actor
    name: str = "simulated"
    seconds: dict[str, float] = field(default_factory=dict)
    is_broken: bool = False
    calls: list[Call] = field(default_factory=list)
    mailbox: list[tuple[float, m.Event]] = field(default_factory=list)
    recuts: Counter[str] = field(default_factory=Counter)
    processes: list[Process] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.planner = self._actor("planner")
        self.sinks = [self._actor("sink") for _ in range(SINKS)]

    def _actor(self, kind: str) -> Actor:
        process = Process(f"{self.run_id} {kind} {next(self._numbers)}")
        self.processes.append(process)
        return Actor(process)

    # --- as executor

    def submit(self, instruction: m.Instruction) -> None:
        self.scheduler.trace(f"submit {type(instruction).__name__}")
        match instruction:
            case m.Plan(count):
                self._call(self.planner, instruction, m.Stage.PLAN, lambda: self._plan(count), "killed: planner")
            case m.ReplanSlice(piece, interval, _):
                self._call(self.planner, instruction, m.Stage.PLAN, lambda: self._recut(piece, interval))
            case m.Read(piece, attempt):
                reader = self._actor("reader")
                self._call(reader, instruction, m.Stage.READ, lambda: self._read(piece, attempt), "killed: reader")
            case m.Map(piece, attempt, handle):
                mapper = self._actor("mapper")
                map_rows = lambda: m.SliceMapped(piece, attempt, self._map(piece, attempt, handle))  # noqa: E731
                self._call(mapper, instruction, m.Stage.MAP, map_rows, "killed: mapper")
            case m.Prepare(piece, attempt, handle, _, mapped):
                sink = self.faults.random.choice(self.sinks)

                def prepare() -> m.Event:
                    prepared = self.unit_writer.prepare(self.run_id, piece, handle, mapped)
                    return m.SlicePrepared(piece, attempt, prepared)

                self._call(sink, instruction, m.Stage.PREPARE, prepare, "killed: sink")
            case m.Commit(sequence, group):
                epoch = self.writer.epoch
                commit = lambda: m.Committed(self.unit_writer.commit(epoch, sequence, group))  # noqa: E731
                self._call(self.sinks[0], instruction, m.Stage.COMMIT, commit, "killed: sink")
            case m.OpenSink() | m.QuerySink() | m.RecordIntent() | m.ApplyCommit():
                self._call_state(instruction)
            case m.Drop(handles):
                for handle in handles:
                    drop = self.unit_writer.delete_files if handle.provider == ADOPTED else self.staging.drop
                    drop(handle)
            case m.Abort(group):
                self.unit_writer.abort(group)
            case _:
                pass

    def _call_state(self, instruction: m.Instruction) -> None:
        work: Callable[[], m.Event]
        match instruction:
            case m.OpenSink():
                stage, work = m.Stage.OPEN, lambda: m.SinkOpened(open_sink_for(self.writer, self.unit_writer))  # type: ignore[arg-type]
            case m.QuerySink():
                stage, work = m.Stage.COMMIT, lambda: m.SinkSequence(self.unit_writer.open(self.writer.epoch))
            case m.RecordIntent(claims, is_whole, uris):
                stage = m.Stage.INTEND
                work = partial(self._record_intent, claims, is_whole, uris)
            case m.ApplyCommit(sequence):
                stage, work = m.Stage.FOLD, lambda: self._fold(sequence)
            case _:
                raise AssertionError(instruction)
        self._call(self.state, instruction, stage, work, "killed: state")

    def wait(self, timeout_s: float) -> list[m.Event]:
        self.scheduler.wait_for(self._has_mail, timeout_s)
        due = [event for at, event in self.mailbox if at <= self.scheduler.now]
        self.mailbox = [(at, event) for at, event in self.mailbox if at > self.scheduler.now]
        self.faults.random.shuffle(due)
        return due

    def stop(self) -> None:
        pass

    def _has_mail(self) -> bool:
        return any(at <= self.scheduler.now for at, _ in self.mailbox)

    # --- calls, and how they are lost

    def _call(
        self, actor: Actor, instruction: m.Instruction, stage: m.Stage, work: Callable[[], m.Event], risk: str = ""
    ) -> None:
        piece, attempt = getattr(instruction, "piece", None), getattr(instruction, "attempt", 0)
        if actor.is_lost:
            self.mailbox.append((self.scheduler.now, self._lost(instruction)))
            return
        call = Call(instruction, lambda: attempted(stage, work, piece, attempt), actor)
        self.calls.append(call)
        actor.queue.append(call)
        if not actor.is_busy:
            actor.is_busy = True
            self.scheduler.spawn(actor.process, lambda: self._serve(actor))
        if risk and self.faults.occurs(risk):
            self.scheduler.spawn(Process("fault"), lambda: self._lose_soon(call))

    def _serve(self, actor: Actor) -> None:
        while actor.queue:
            call = actor.queue.popleft()
            self.scheduler.pause()
            self._report(call, call.work())
        actor.is_busy = False

    def _report(self, call: Call, event: m.Event) -> None:
        if isinstance(event, m.Failed) and event.fault.hint == "this is a defect; the log has the trace":
            self.checker.violations.append(event.fault.message)
        if isinstance(event, m.Failed) and event.fault.code == "E_LEDGER_MISMATCH":
            self.checker.violations.append(event.fault.message)
        if call not in self.calls:
            return  # the call was given up before
        self.calls.remove(call)
        late = self.faults.random.uniform(0.1, 5.0) if self.faults.occurs("message: late") else 0.0
        self.mailbox.append((self.scheduler.now + late, event))
        if isinstance(event, TWICE) and self.faults.occurs("message: twice"):
            self.mailbox.append((self.scheduler.now + self.faults.random.uniform(0.0, 5.0), event))

    def _lose_soon(self, call: Call) -> None:
        self.scheduler.sleep(self.faults.random.uniform(0.0, 1.0))
        if call in self.calls:
            self.lose(call.actor)

    def lose(self, actor: Actor) -> None:
        """Loses an actor: its process dies, or continues unreachably; its pending calls count as lost."""
        actor.is_lost = True
        if not self.faults.occurs(ZOMBIE):
            self.scheduler.kill(actor.process)
        for call in [call for call in self.calls if call.actor is actor]:
            self.calls.remove(call)
            self.mailbox.append((self.scheduler.now, self._lost(call.instruction)))
        self.sinks = [self._actor("sink") if sink is actor else sink for sink in self.sinks]
        if actor in (self.state, self.planner):
            self.is_broken = True

    def _lost(self, instruction: m.Instruction) -> m.Event:
        """The event that the Ray executor reports for a lost call."""
        piece, attempt = getattr(instruction, "piece", None), getattr(instruction, "attempt", 0)
        match instruction:
            case m.Read():
                return m.Failed(m.Stage.READ, self._fault(Recovery.RETRY), piece, attempt)
            case m.Map():
                return m.Failed(m.Stage.MAP, self._fault(Recovery.RETRY), piece, attempt)
            case m.Prepare():
                return m.Failed(m.Stage.PREPARE, self._fault(Recovery.RETRY), piece, attempt)
            case m.Commit():
                return m.Failed(m.Stage.COMMIT, self._fault(Recovery.ASK_SINK))
        self.is_broken = True
        stages = {
            m.OpenSink: m.Stage.OPEN,
            m.RecordIntent: m.Stage.INTEND,
            m.ApplyCommit: m.Stage.FOLD,
            m.QuerySink: m.Stage.COMMIT,
        }
        return m.Failed(stages.get(type(instruction), m.Stage.PLAN), self._fault(Recovery.FAIL), piece, attempt)

    def _fault(self, recovery: Recovery) -> m.Fault:
        return m.Fault("E_SOURCE_PAGE_FAILED", "the process was lost", recovery)

    # --- the work

    def _plan(self, count: int) -> m.Event:
        if self.faults.occurs("source: not answered"):
            self.slices = iter(())  # a generator that has raised is over
            raise SourceUnavailable("the source does not answer")
        if self.faults.occurs("source: denied"):
            raise SourceDenied("the grant was taken away")
        got = tuple(itertools.islice(self.slices, count))
        return m.Planned(got, len(got) < count)

    def _recut(self, piece: Slice, interval: Interval) -> m.Event:
        scope = self.scopes[piece.segment, piece.scope_id]
        count = self.recuts[piece.slice_id]
        self.recuts[piece.slice_id] += 1
        return m.SliceReplanned(
            piece, tuple(planning.replan(self.strategy, SPEC, self.probe, scope, piece, interval, count))
        )

    def _read(self, piece: Slice, attempt: int) -> m.Event:
        if self.faults.occurs("source: not answered"):
            raise SourceUnavailable("the source does not answer")
        rows = self.strategy.read(piece, self.scopes[piece.segment, piece.scope_id].horizon)
        self.scheduler.pause()
        covered, is_complete = piece.interval, True
        is_log = piece.axis.kind == "log"  # read as a whole: its slices are never cut
        values = [] if is_log else sorted({axis_value(piece.axis, row) for row in rows})
        if len(values) > 1 and self.faults.occurs("slice: too large"):
            raise SliceTooLarge("too large")
        if len(values) > 1 and self.faults.occurs("slice: stopped early"):
            stop = values[self.faults.random.randrange(1, len(values))]
            covered, is_complete = (
                Interval(lower=piece.interval.lower, upper=self.strategy.position(piece.axis, stop)),
                False,
            )
            rows = [row for row in rows if axis_value(piece.axis, row) < stop]
        server = self.unit_writer.server
        rejected = self.strategy.table.bad - server.refused if not server.is_mapped else frozenset()
        adopts, prepared = self.unit_writer.adopts(piece), None
        if adopts:
            rejected |= server.refused
        good = [row for row in rows if row[0] not in rejected]
        if adopts:
            handle, prepared = self.unit_writer.stage_files(self.run_id, piece, attempt, good)
        else:
            handle = self.staging.write(self.run_id, piece, attempt, good)
        staged = Staged(
            handle=handle,
            covered=covered,
            is_complete=is_complete,
            rows_read=len(rows),
            rows_quarantined=len(rows) - len(good),
            quarantine_uri=handle.uri if len(good) < len(rows) else None,
            prepared=prepared,
        )
        return m.SliceStaged(piece, attempt, staged)

    def _map(self, piece: Slice, attempt: int, handle: Handle) -> Mapped:
        """Maps each row to one row of a model; rows that no model can represent go to quarantine here."""
        rows = self.staging.read(handle)
        if self.faults.occurs("mapper: failed"):
            raise StagingUnavailable("no space left for mapped rows")
        rejected = self.strategy.table.bad - self.unit_writer.server.refused
        good = [row for row in rows if row[0] not in rejected]
        made = self.staging.write(self.run_id, piece, attempt, good)
        return Mapped(
            models=(MappedModel(model_id=MODEL, handle=made, rows=len(good)),),
            rows=len(good),
            row_hash=handle.row_hash,
            rows_quarantined=len(rows) - len(good),
        )

    def _record_intent(self, claims: Any, is_whole: bool, uris: Any) -> m.Event:
        return m.IntentRecorded(self.writer.record_intent(claims, is_whole=is_whole, quarantine_uris=uris))

    def _fold(self, sequence: int) -> m.Event:
        self.writer.apply_commit(sequence)
        return m.CommitApplied(sequence)
