"""What must be true of checkpoints of a log, of the slot, and of the sink at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ingest_strategies.jdbc.postgres.changes.lsn import lsn_number
from tests.simulation.invariants import InvariantChecker
from tests.simulation.logs.log_server import LogTable
from tests.simulation.logs.log_sink import LogSinkServer, changes_of
from tests.simulation.logs.other_units import OtherUnit
from tests.simulation.scheduler import Process
from tests.simulation.source_table import Row


@dataclass
class LogChecker(InvariantChecker):
    server: LogSinkServer = None  # type: ignore[assignment]
    others: list[OtherUnit] = field(default_factory=list)
    leased: dict[str, Process] = field(default_factory=dict)
    """The processes that run other units."""
    durable: int = 0
    """The highest position that a checkpoint ever had: of a load, its horizon."""
    horizon: int = 0
    """Of the last load."""

    @property
    def log(self) -> LogTable:
        assert isinstance(self.table, LogTable)
        return self.table

    def check_source_commit(self, key: int, row: Row) -> None:
        return

    def _check_watermark(self, key: str, state: dict[str, Any]) -> None:
        loads = [scope["horizon"] for scope in state["scopes"] if scope["effect"] == "load"]
        if loads and loads[0] is not None:
            self.horizon = lsn_number(loads[0][0])
            self.durable = max(self.durable, self.horizon)
        if state["watermark"] is None:
            return
        watermark = lsn_number(state["watermark"][0])
        if watermark < self.watermarks.get(key, watermark):
            self.report_violation(f"the watermark of '{key}' moves back to {watermark:X}")
        self.watermarks[key] = watermark
        self.durable = max(self.durable, watermark)
        self._check_sink(watermark)

    def _check_sink(self, watermark: int) -> None:
        server = self.server
        slot = self.log.slots.get(self.log.main_slot) or self.log.slots.get(self.log.shared_slot)
        if slot is None or slot.is_lost:
            return  # it is wrong where the slot was lost before the load was planned; the next round ends with E_LOG_GONE
        if server.is_tainted or self.log.lost_transactions or watermark < max(server.highest, server.load_end):
            return
        if server.write == "append":
            self._check_appended(watermark)
        elif wrong := server.rows_not_since(watermark):
            self.report_violation(f"watermark {watermark:X} is beyond the rows {wrong}")

    def _check_appended(self, watermark: int) -> None:
        found = Counter(
            (row[5], row[6], row[2])  # type: ignore[misc]
            for row in self.server.shown.elements()
            if row[2] != "load"  # type: ignore[misc]
        )
        if missing := changes_of(self.log, self.horizon, watermark) - found:
            self.report_violation(f"changes below {watermark:X} are not in the sink: {list(missing)[:3]}")

    def restore_watermarks(self, documents: dict[str, dict[str, Any]]) -> None:
        self.watermarks.clear()
        for key, document in documents.items():
            if "::segment::" in key and document["state"]["watermark"] is not None:
                self.watermarks[key] = lsn_number(document["state"]["watermark"][0])

    def check_slot(self, name: str, to: int) -> None:
        slots, confirmed = self.log.slots, self.log.slots[name].confirmed
        if name == self.log.main_slot and to > self.durable:
            self.report_violation(f"the slot is moved to {to:X}, and no checkpoint is above {self.durable:X}")
        if name != self.log.shared_slot:
            return
        needed = {unit.unit_id: unit.position for unit in self.others if unit.slot not in slots}
        if self.log.main_slot not in slots:
            needed["the unit"] = max(self.watermarks.values(), default=None)
        for unit_id, position in needed.items():
            if position is not None and confirmed <= position < to:
                self.report_violation(
                    f"the shared slot is moved to {to:X}, and {unit_id} needs it from {position:X} on"
                )

    def check_final_rows(self, write: str, shown: Counter[tuple[int, int]], newest: dict[int, int]) -> None:
        end = self.log.end
        if max(self.watermarks.values(), default=0) < self.log.states[-1][0] + 1:
            self.report_violation("the watermark is below the last commit of the log at the end")
        if write == "append":
            self._check_appended(end)
            if len(shown) != shown.total():
                self.report_violation("rows are in the sink twice at the end")
            return
        expected = {key: (row.at, f"b{row.big}") for key, row in self.log.at(end).items()}  # type: ignore[attr-defined]
        if newest != expected:
            self.report_violation(f"source and sink differ at the end: {newest} is not {expected}")
