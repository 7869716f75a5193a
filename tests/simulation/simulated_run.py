"""One simulated run, from the lease to its end: does what the launcher and the Ray executor do, with simulated processes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ingest_ray.core import planning
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.limits import Limits
from ingest_ray.engine.coordinator import Coordinator
from ingest_ray.engine.steps.recovery import check_sink, open_scopes, open_sink_for
from ingest_ray.run.run import RESTARTS
from ingest_ray.run.unchanged import summarize_unchanged
from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import Fenced, IngestError, RunActive, StateError
from ingest_ray.sdk.types import RunState, Scope
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import RENEW_S
from ingest_ray.state.writer import StateWriter
from tests.simulation.fault_injection import LOST_FILE, FaultInjector
from tests.simulation.integer_strategy import IntegerStrategy
from tests.simulation.invariants import InvariantChecker
from tests.simulation.run_order import ORDER, SPEC, UNIT
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_executor import Actor, SimulatedExecutor
from tests.simulation.simulated_kv import SimulatedKv
from tests.simulation.simulated_sink import SimulatedUnitWriter
from tests.simulation.simulated_staging import SimulatedStaging


class CooperativeLock:
    """A lock among greenlets, where a real one would block them all."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_taken = False

    def __enter__(self) -> None:
        self._scheduler.wait_for(lambda: not self._is_taken)
        self._is_taken = True

    def __exit__(self, *_: object) -> None:
        self._is_taken = False


@dataclass(eq=False)
class SimulatedRun:
    run_id: str
    number: int
    clock: Callable[[], float]
    scheduler: Scheduler
    faults: FaultInjector
    checker: InvariantChecker
    kv: SimulatedKv
    staging: SimulatedStaging
    unit_writer: SimulatedUnitWriter
    strategy: IntegerStrategy
    limits: Limits
    outcome: str = "running"
    """`running`, `refused`, `killed`, or the state the run ended in."""
    fault: str = ""
    hint: str = ""
    is_restartable: bool = False
    is_stopping: bool = False
    executor: SimulatedExecutor | None = None
    processes: list[Process] = field(default_factory=list)

    def start(self) -> None:
        self.driver = Process(f"{self.run_id} driver")
        self.processes.append(self.driver)
        self.scheduler.spawn(self.driver, self._run_attempts)

    @property
    def is_running(self) -> bool:
        return self.outcome == "running"

    def kill(self) -> None:
        self.outcome = "killed"
        for process in self.all_processes:
            self.scheduler.kill(process)

    @property
    def all_processes(self) -> list[Process]:
        return self.processes + (self.executor.processes if self.executor else [])

    def _run_attempts(self) -> None:
        for restart in range(RESTARTS + 1):
            if restart:
                self.outcome = "running"
            if not self._attempt() or self.is_stopping:
                return

    def _attempt(self) -> bool:
        """Runs one attempt. True where it lost a process that the run cannot do without."""
        self.executor, self.is_restartable = None, False
        try:
            if summarize_unchanged(ORDER.model_copy(update={"run_id": self.run_id}), UNIT) is not None:
                return self._end(RunState.SUCCEEDED)
        except IngestError as error:
            return self._end(RunState.FAILED, error)
        owner = Owner(host="elsewhere", pid=self.number, started=str(self.number))
        try:
            writer = StateWriter.begin(self.kv, UNIT, self.run_id, owner, self.clock)
        except RunActive:
            self.outcome = "refused"
            return False
        except IngestError as error:
            return self._end(RunState.FAILED, error)
        writer.lease._lock = CooperativeLock(self.scheduler)  # type: ignore[assignment]
        writer.promote = self._promote
        state = Actor(Process(f"{self.run_id} state"))
        self.processes.append(state.process)
        self.scheduler.spawn(state.process, lambda: self._renew(writer))
        try:
            ended = self._drive(writer, state)
            if self._has_state_actor:
                writer.end()
        except IngestError as error:
            with suppress(StateError, Fenced):
                writer.end()
            return self._end(RunState.FAILED, error)
        self._end(ended)
        return self.is_restartable or (self.executor is not None and self.executor.is_broken)

    @property
    def _has_state_actor(self) -> bool:
        """False where the state actor was lost: a lost process cannot release the lease."""
        return self.executor is None or not self.executor.state.is_lost

    def _end(self, state: RunState, error: IngestError | None = None) -> bool:
        self.outcome = state.value
        if error is not None:
            self.fault = f"{type(error).__name__}: {error}"
            self.hint = error.hint or ""
        return False

    def _promote(self, uri: str) -> str | None:
        """The file may have been discarded since its commit."""
        self.scheduler.pause()
        return None if self.faults.occurs(LOST_FILE) else uri

    def _renew(self, writer: StateWriter) -> None:
        while True:
            self.scheduler.sleep(RENEW_S)
            if writer.lease._ended.is_set():
                return
            try:
                writer.lease.renew()
            except Fenced:
                return
            except StateError:
                continue

    def _drive(self, writer: StateWriter, state: Actor) -> RunState:
        if writer.has_intent:
            open_sink_for(writer, self.unit_writer)  # type: ignore[arg-type]
        elif writer.sequence:
            check_sink(writer, self.unit_writer)  # type: ignore[arg-type]
        self._before_probe(writer)
        with self.strategy.probe(writer.segments) as probe:
            return self._drive_plan(writer, state, probe)

    def _before_probe(self, writer: StateWriter) -> None:
        """What a run does between its lease and its plan."""

    def _note_plan(self, writer: StateWriter, probe: Probe, planned: Sequence[Scope]) -> None:
        """Called with each plan, also with an empty one."""

    def _drive_plan(self, writer: StateWriter, state: Actor, probe: Probe) -> RunState:
        self.scheduler.pause()
        planned = self.strategy.scopes(SPEC, probe, writer.segments)
        self._note_plan(writer, probe, planned)
        if not planned:
            return RunState.SUCCEEDED
        scopes = open_scopes(ORDER, writer, self.unit_writer, planned)  # type: ignore[arg-type]
        self.executor = SimulatedExecutor(
            self.run_id,
            self.scheduler,
            self.faults,
            self.checker,
            self.staging,
            self.unit_writer,
            writer,
            self.strategy,
            probe,
            planning.slices(self.strategy, SPEC, probe, scopes),
            {(scope.segment, scope.scope_id): scope for scope in scopes},
            state,
        )
        ledger = Ledger(self.limits)
        coordinator = Coordinator(ledger, self.executor, lambda: self.scheduler.now, self.faults.random)
        finish = coordinator.drive(lambda: None, lambda: self.is_stopping)
        planned_ids = {(scope.segment, scope.scope_id) for scope in scopes}
        remaining = {(scope.segment, scope.scope_id) for state in writer.segments.values() for scope in state.scopes}
        self.checker.check_run_end(
            ledger, finish.state, {f"{segment}:{name}" for segment, name in planned_ids & remaining}
        )
        self.staging.sweep(self.run_id)
        self.fault = finish.fault.message if finish.fault else ""
        self.hint = (finish.fault.hint or "") if finish.fault else ""
        self.is_restartable = finish.is_restartable
        return finish.state
