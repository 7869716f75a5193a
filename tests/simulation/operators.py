"""What people do beside the runs: they reset a unit, or let its checkpoint go back to what a restored sink has."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ingest_ray.engine.steps.recovery import read_sink, return_to_sink
from ingest_ray.sdk.errors import HistoryTooShort, IngestError, StateBehindSink
from ingest_ray.state import reset_state
from ingest_ray.state.documents import Owner
from ingest_ray.state.writer import StateWriter
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.run_order import UNIT
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_kv import SimulatedKv
from tests.simulation.simulated_run import CooperativeLock
from tests.simulation.simulated_sink import SimulatedUnitWriter

PERSON = Owner(host="elsewhere", pid=0, started="-")


@dataclass
class Operators:
    """`must_load_again`: the last attempt to go back has shown that the checkpoint does not reach that far."""

    scheduler: Scheduler
    faults: FaultInjector
    kv: SimulatedKv
    unit_writer: SimulatedUnitWriter
    must_load_again: bool = False
    _processes: list[Process] = field(default_factory=list)

    def start(self, work: Callable[[], None]) -> None:
        self._processes.append(Process("operator"))
        self.scheduler.spawn(self._processes[-1], work)

    def kill(self) -> None:
        for process in self._processes:
            self.scheduler.kill(process)

    def reset(self) -> None:
        try:
            reset_state(self.kv, UNIT, PERSON, lambda: self.scheduler.now)
            self.faults.note("reset done")
        except IngestError as error:
            self.faults.note(f"reset refused: {error.code}")

    def return_to_sink(self) -> None:
        """Does what the hint of the refusal says. Where the history does not reach that far: loads again."""
        try:
            state = StateWriter.begin(self.kv, UNIT, "person", PERSON, lambda: self.scheduler.now)
        except IngestError as error:
            self.faults.note(f"return refused: {error.code}")
            return
        state.lease._lock = CooperativeLock(self.scheduler)  # type: ignore[assignment]
        try:
            return_to_sink(state, self.unit_writer, read_sink(state, self.unit_writer))  # type: ignore[arg-type]
            self.faults.note("went back to the sink")
        except (HistoryTooShort, StateBehindSink) as error:
            self.faults.note(f"return refused: {error.code}")
            self.must_load_again = True
        except IngestError as error:
            self.faults.note(f"return failed: {error.code}")
        finally:
            with suppress(IngestError):
                state.end()
