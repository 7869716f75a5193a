"""What others do to the database of a SQL sink: tables of their own, other engines, other units. And what the hint of each refusal says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from ingest_ray.sdk.errors import IngestError, SinkRejected
from tests.simulation.databases.sql_sink_server import SqlSinkServer
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.source_table import SourceTable


@dataclass
class SinkEvents:
    """Draws at the beginning: the server's default engine, a table of the unit's name, whether rows of models have versions."""

    random: Random
    faults: FaultInjector
    scheduler: Scheduler
    server: SqlSinkServer
    table: SourceTable
    others: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.random.random() < 0.3:
            self.server.database.default_engine = "Aria"
            self.faults.note("sink: default engine without transactions")
        if self.random.random() < 0.2 and self.server.make_foreign_table():
            self.faults.note("sink: table made by others")
        if self.server.is_mapped and self.random.random() < 0.4:
            self.server.is_versioned = False
            self.faults.note("sink: rows of a model without versions")

    def inject(self, end_processes: Callable[[], None]) -> None:
        draw = self.random.random()
        if draw < 0.1:
            end_processes()  # an engine is checked when a table is opened: it changes between runs
            self.server.database.end_transaction_of_the_dead()
            if self.server.change_engine("Aria"):
                self.faults.note("sink: table without transactions")
        elif draw < 0.3:
            self.server.change_engine("InnoDB")
        elif self.server.is_mapped and self.server.is_versioned:
            rows = [(key, row.at) for key, row in self.table.rows.items() if key not in self.table.bad]
            rows = self.random.sample(rows, min(len(rows), 5))
            self._start_other_unit(lambda: self._write_by_other_unit(rows))
        elif not self.server.is_mapped and not self.server.is_foreign:
            self._start_other_unit(self._open_by_other_unit)

    def _start_other_unit(self, work: Callable[[], None]) -> None:
        self.others.append(Process("other unit"))
        self.scheduler.spawn(self.others[-1], work)

    def _write_by_other_unit(self, rows: list[tuple[int, int]]) -> None:
        self.scheduler.sleep(self.random.choice([0.0, 1.0, 20.0]))
        try:
            self.server.write_by_other_unit(rows)
            self.faults.note("sink: second unit of a model")
        except IngestError as error:
            self.faults.note(f"second unit failed: {error.code}")

    def _open_by_other_unit(self) -> None:
        try:
            self.server.open_by_other_unit()
        except SinkRejected:
            self.faults.note("sink: second unit of a table refused")
        except IngestError as error:
            self.faults.note(f"second unit failed: {error.code}")

    def end_others(self) -> None:
        for process in self.others:
            self.scheduler.kill(process)
        self.server.database.end_transaction_of_the_dead()

    def follow_hint(self, fault: str) -> bool:
        """Does what the hint of a refusal says. False where it is no refusal that this history has deserved."""
        if "has no transactions" in fault:
            self.server.change_engine("InnoDB")
        elif self.server.is_foreign and "did not make it" in fault:
            self.server.remove_foreign_table()
        elif self.others and ("belongs to another unit" in fault or "did not make it" in fault):
            self.end_others()
            self.server.remove_other_unit()
        else:
            return False
        return True
