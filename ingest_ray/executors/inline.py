"""Performs instructions one after the other in the calling process: for runs that cost less than starting a cluster."""

import logging
import time
from collections import deque
from collections.abc import Callable

from ingest_ray.core.messages import (
    Abort,
    ApplyCommit,
    Commit,
    CommitApplied,
    Committed,
    Drop,
    Event,
    Failed,
    Instruction,
    IntentRecorded,
    Map,
    OpenSink,
    Plan,
    Prepare,
    QuerySink,
    Read,
    RecordIntent,
    ReplanSlice,
    SinkOpened,
    SinkSequence,
    SliceMapped,
    SlicePrepared,
    SliceStaged,
    Stage,
)
from ingest_ray.engine.executor import TICK_S
from ingest_ray.engine.open_slices import OpenSlice, OpenSlices
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.adoption import FileAdopter
from ingest_ray.engine.steps.failures import attempted
from ingest_ray.engine.steps.mapper import map_slice
from ingest_ray.engine.steps.planner import Planner
from ingest_ray.engine.steps.reader import read_slice
from ingest_ray.engine.steps.recovery import open_sink_for
from ingest_ray.engine.steps.unit_writer import UnitWriter
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Handle
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)

# Instructions that bring rows nearer to the checkpoint come first, so that little is staged at any moment.
_PRIORITY = (ApplyCommit, Commit, QuerySink, RecordIntent, Drop, Abort, Prepare, Map, OpenSink, ReplanSlice, Read, Plan)


class InlineExecutor:
    """`is_stop_requested` and `report`: called by the reader, where the thread that would call `stop` and report is the one that reads."""

    name = "inline"

    def __init__(
        self,
        order: RunOrder,
        planner: Planner,
        unit_writer: UnitWriter,
        state: StateWriter,
        staging: Staging,
        adopter: FileAdopter | None = None,
        is_stop_requested: Callable[[], bool] = lambda: False,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        self.seconds = {"plan": 0.0, "state": 0.0}
        self._order = order
        self._planner = planner
        self._unit_writer = unit_writer
        self._state = state
        self._staging = staging
        self._adopter = adopter
        self._queue: deque[Instruction] = deque()
        self._is_stopping = False
        self._is_stop_requested = is_stop_requested
        self._report = report
        self._reported_at = time.monotonic()
        self.open_slices = OpenSlices()

    def submit(self, instruction: Instruction) -> None:
        self._queue.append(instruction)

    def stop(self) -> None:
        self._is_stopping = True

    def close(self) -> None:
        """Cleans up what the run does not commit; all else ran in the calling thread, or will not run any more."""
        left, self._queue = self._queue, deque()
        for instruction in left:
            if isinstance(instruction, Abort | Drop):
                self.perform(instruction)

    def wait(self, timeout_s: float) -> list[Event]:
        if not self._queue:
            time.sleep(timeout_s)
            return []
        instruction = min(self._queue, key=lambda waiting: _PRIORITY.index(type(waiting)))
        self._queue.remove(instruction)
        event = self.perform(instruction)
        self.close_slice(event)
        return [] if event is None else [event]

    def rows_being_read(self) -> tuple[int, int]:
        return self.open_slices.rows()

    def close_slice(self, event: Event | None) -> None:
        """The ledger counts the rows of a slice from this event on."""
        piece = getattr(event, "piece", None)
        if piece is not None and isinstance(event, SliceStaged | Failed):
            self.open_slices.close(piece.slice_id, event.attempt)

    def perform(self, instruction: Instruction) -> Event | None:
        match instruction:
            case Plan(count, without):
                return self._timed("plan", lambda: attempted(Stage.PLAN, lambda: self._planner.next(count, without)))
            case ReplanSlice(piece, interval, size, number):
                work: Callable[[], Event] = lambda: self._planner.replan(piece, interval, size, number)  # noqa: E731
                return self._timed("plan", lambda: attempted(Stage.PLAN, work, piece))
            case Read(piece, attempt):
                return attempted(Stage.READ, lambda: self._read(instruction), piece, attempt)
            case OpenSink():
                return attempted(Stage.OPEN, lambda: SinkOpened(open_sink_for(self._state, self._unit_writer)))
            case Map(piece, attempt, handle):
                return attempted(
                    Stage.MAP,
                    lambda: SliceMapped(piece, attempt, map_slice(self._order, piece, attempt, handle, self._staging)),
                    piece,
                    attempt,
                )
            case Prepare(piece, attempt, handle):
                return attempted(
                    Stage.PREPARE,
                    lambda: SlicePrepared(piece, attempt, self._unit_writer.prepare(piece, handle, instruction.mapped)),
                    piece,
                    attempt,
                )
            case RecordIntent(claims, is_whole, uris):

                def record_intent() -> Event:
                    return IntentRecorded(self._state.record_intent(claims, is_whole=is_whole, quarantine_uris=uris))

                return self._timed("state", lambda: attempted(Stage.INTEND, record_intent))
            case Commit(sequence, group):
                return attempted(
                    Stage.COMMIT, lambda: Committed(self._unit_writer.commit(self._state.epoch, sequence, group))
                )
            case QuerySink():
                return attempted(Stage.COMMIT, lambda: SinkSequence(self._unit_writer.open(self._state.epoch)))
            case ApplyCommit():
                return self._timed("state", lambda: attempted(Stage.FOLD, lambda: self._apply_commit(instruction)))
            case Drop(handles):
                self._try_clean_up(lambda: self._drop(handles))
            case Abort(group):
                self._try_clean_up(lambda: self._unit_writer.abort(group))
            case _:
                pass
        return None

    def _must_stop(self) -> bool:
        return self._is_stopping or self._is_stop_requested()

    def _read(self, instruction: Read) -> Event:
        piece, attempt = instruction.piece, instruction.attempt

        def note(rows_read: int, rows_staged: int) -> None:
            self.open_slices.note(OpenSlice(piece.slice_id, attempt, rows_read, rows_staged))
            self._report_in_time()

        staged = read_slice(self._order, piece, attempt, self._staging, self._must_stop, note, self._adopter)
        return SliceStaged(piece, attempt, staged)

    def _report_in_time(self) -> None:
        if time.monotonic() - self._reported_at >= TICK_S:
            self._reported_at = time.monotonic()
            self._report()

    def _apply_commit(self, instruction: ApplyCommit) -> Event:
        self._state.apply_commit(instruction.sequence)
        return CommitApplied(instruction.sequence)

    def _drop(self, handles: tuple[Handle, ...]) -> None:
        for handle in handles:
            self._staging.drop(handle)

    def _timed(self, phase: str, work: Callable[[], Event]) -> Event:
        started = time.monotonic()
        event = work()
        self.seconds[phase] += time.monotonic() - started
        return event

    def _try_clean_up(self, work: Callable[[], object]) -> None:
        """Runs a clean-up step; the sweeper later removes what a failed one left."""
        try:
            work()
        except (IngestError, OSError) as error:
            log.warning("could not clean up: %s", error)
