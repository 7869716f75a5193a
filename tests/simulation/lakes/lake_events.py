"""What people do to a table of a lake beside its runs: another layout in the configuration, a compaction. And what the hint of a refusal says."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Layout
from ingest_ray.state.writer import StateWriter
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.lakes.parquet_sink_server import LAYOUTS, ParquetSinkServer
from tests.simulation.operators import PERSON
from tests.simulation.run_order import UNIT
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_kv import SimulatedKv
from tests.simulation.simulated_run import CooperativeLock


@dataclass
class LakeEvents:
    """Draws the first layout."""

    random: Random
    faults: FaultInjector
    scheduler: Scheduler
    server: ParquetSinkServer
    kv: SimulatedKv
    others: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._change_layout()

    def inject(self, end_processes: Callable[[], None]) -> None:
        if self.random.random() < 0.4:
            self._change_layout()
        else:
            self._start(self._compact)

    def _change_layout(self) -> None:
        """For the runs that begin from now on."""
        entries = self.random.choice(LAYOUTS)
        compact_after = self.random.choice([0, 1, 3])
        self.server.layout = Layout(partition_by=entries, compact_after=compact_after)

    def _start(self, work: Callable[[], None]) -> None:
        self.others.append(Process("operator"))
        self.scheduler.spawn(self.others[-1], work)

    def _compact(self) -> None:
        view = self.server.view(f"compaction {len(self.others)}")
        try:
            report = view.sink.compact(view.target)
        except IngestError as error:
            self.faults.note(f"compaction failed: {error.code}")
        else:
            self.faults.fault_counts["sink: compacted"] += report.files_removed > 0

    def _relayout(self) -> None:
        """Rewrites the table as its unit's owner, as the command does."""
        try:
            state = StateWriter.begin(self.kv, UNIT, "relayout", PERSON, lambda: self.scheduler.now)
        except IngestError as error:
            self.faults.note(f"relayout refused: {error.code}")
            return
        state.lease._lock = CooperativeLock(self.scheduler)  # type: ignore[assignment]
        view = self.server.view(f"relayout {len(self.others)}")
        try:
            view.sink.relayout(view.target, view.schema, state.epoch)
            self.faults.note("sink: laid out anew")
        except IngestError as error:
            self.faults.note(f"relayout failed: {error.code}")
        finally:
            with suppress(IngestError):
                state.end()

    def end_others(self) -> None:
        for process in self.others:
            self.scheduler.kill(process)
        self.server.store.lose_requests()

    def follow_hint(self, fault: str) -> bool:
        """Does what the hint of a refusal says: `relayout`. False where the layout was not refused."""
        if "is partitioned by" not in fault:
            return False
        self._start(self._relayout)
        return True
