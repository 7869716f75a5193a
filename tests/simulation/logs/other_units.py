"""Other units of the endpoint, which read the same log by the product's code: each must see every transaction once, in order.

Their checkpoints are what they have seen; what a sink does with it is the matter of the unit that is judged in full.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest_ray.sdk.contracts import LogReader
from ingest_ray.sdk.errors import IngestError, LogGone
from ingest_ray.sdk.types import LogHistory, SegmentState, UnitSpec
from ingest_strategies.jdbc.planning.probe import SEGMENT
from ingest_strategies.jdbc.postgres.changes import log_parts, unit_slot
from ingest_strategies.jdbc.postgres.changes.lsn import position_of
from ingest_strategies.jdbc.postgres.changes.messages import decode_changes
from ingest_strategies.jdbc.postgres.changes.slot import own_name, read_log_end, read_slot
from ingest_strategies.jdbc.postgres.changes.timeline import read_history, read_until, require_history
from tests.simulation.logs.log_server import LogTable


@dataclass(eq=False)
class OtherUnit:
    unit_id: str
    main: UnitSpec
    position: int | None = None
    is_running: bool = False
    history: LogHistory | None = None
    timeline: int = 0
    """Of the server when `position` was read."""

    @property
    def slot(self) -> str:
        return own_name(self.main.endpoint, self.unit_id, self.main.config.sink_id)

    @property
    def spec(self) -> UnitSpec:
        return self.main.model_copy(update={"config": self.main.config.model_copy(update={"unit_id": self.unit_id})})

    @property
    def known(self) -> Mapping[str, SegmentState]:
        if self.position is None:
            return {}
        watermark = position_of(self.position)
        return {SEGMENT: SegmentState(segment=SEGMENT, is_loaded=True, watermark=watermark, history=self.history)}

    @property
    def reader(self) -> LogReader:
        return LogReader(self.unit_id, self.main.config.sink_id, self.known)

    def run(
        self,
        strategy: Any,
        pause: Callable[[], None],
        readers: Callable[[], Sequence[LogReader]],
        report: Callable[[str], None],
    ) -> None:
        """One round. A log that is gone is no fault where the history lost one: then the unit is loaded again."""
        table: LogTable = strategy.table
        try:
            self._run(strategy, pause, readers, report)
        except LogGone as error:
            if not table.has_lost_logs:
                report(f"{self.unit_id}: {error.message}")
            self.position = None
        except IngestError:
            pass  # the next round goes on
        self.is_running = False

    def _run(
        self,
        strategy: Any,
        pause: Callable[[], None],
        readers: Callable[[], Sequence[LogReader]],
        report: Callable[[str], None],
    ) -> None:
        spec, log, table = self.spec, strategy.log, strategy.table
        log.open_log(spec, self.known)
        with strategy.dialect.open(spec.endpoint) as session:
            if self.position is None:
                self.timeline, self.history = table.timeline, read_history(session)
                slot = read_slot(session, self.slot)
                self.position = slot.confirmed if slot is not None else None
                return
            position, older = self.position, self.timeline
            is_lost = any(end < position for number, end in table.left_at.items() if number >= older)
            begun = read_history(session)
            require_history(session, self.unit_id, self.history, self.position, begun)
            lower, end = self.position, read_log_end(session)
            if end > lower:
                if table.random.random() < 0.3:
                    log_parts.forget_parts()  # as another process, or after many rounds
                timeline = table.timeline
                part = unit_slot.find_or_read(session, spec, lower, end, is_exact=False)
                pause()
                oid = unit_slot.read_relation_oid(session, spec)
                seen = [change.lsn for change in decode_changes(part.messages(oid)) if lower <= change.lsn < part.upper]
                unit_slot.find_unit_slot(session, spec).require(lower)
                expected = [one.lsn for one in table.log for _ in one.operations if lower <= one.lsn < part.upper]
                if seen != expected and table.timeline == timeline:  # else its history is compared below
                    report(f"{self.unit_id} has seen {seen} and not {expected}")
                read = read_until(self.history, begun, position_of(part.upper), looks_up=False)
                require_history(session, self.unit_id, read, part.upper, read_history(session))
                if is_lost:
                    report(f"{self.unit_id} goes on, and the server lost transactions that it has seen")
                pause()
                self.position, self.history = part.upper, read
                self.timeline = read.timeline if read is not None else 0
        pause()
        has_own = self.slot in table.slots
        log.advance_log(spec, self.known, readers)
        if has_own and self.slot not in table.slots and not table.has_lost_logs:
            table.note("log: unit joined the others")
