"""The only loop of a run: passes instructions from the ledger to the executor, and events back, until the run is finished."""

import heapq
import itertools
import logging
import os
import random
import time
from collections.abc import Callable

from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import (
    ApplyCommit,
    Commit,
    Committed,
    Event,
    Failed,
    Fault,
    Finish,
    Instruction,
    Map,
    Prepare,
    Read,
    SliceMapped,
    SlicePrepared,
    SliceStaged,
    Stage,
    StopRequested,
)
from ingest_ray.engine.executor import TICK_S, Executor
from ingest_ray.sdk.errors import Recovery
from ingest_ray.sdk.types import Interval

log = logging.getLogger(__name__)

_STAGES = {Read: Stage.READ, Map: Stage.MAP, Prepare: Stage.PREPARE}
STOPPED = Fault(code="E_SOURCE_PAGE_FAILED", message="the run was stopped", recovery=Recovery.RETRY)


class Coordinator:
    """A simulation passes its own `clock` and `random_source`."""

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
        random_source: random.Random = random.Random(),  # noqa: B008
    ) -> None:
        self.ledger = ledger
        self.points = 0
        self.seconds = {"read": 0.0, "map": 0.0, "prepare": 0.0, "commit": 0.0}
        self._executor = executor
        self._clock = clock
        self._random = random_source
        self._delayed: list[tuple[float, int, Instruction]] = []
        self._order = itertools.count()
        self._is_stopping = False

    def drive(self, report: Callable[[], None], is_stopping: Callable[[], bool]) -> Finish:
        """Returns how the run finished. Calls `report` after every batch of events, at least every `TICK_S`."""
        self._perform(self.ledger.start())
        while self.ledger.finished is None:
            self._stop_if(is_stopping)
            self._submit_due()
            events = self._executor.wait(self._wait_timeout_s())
            self._stop_if(is_stopping)  # first: a reader that this stop interrupted has not failed
            for event in events:
                self._record(event)
                self._perform(self.ledger.handle(event))
            report()
        return self.ledger.finished

    def _stop_if(self, is_stopping: Callable[[], bool]) -> None:
        if not self._is_stopping and is_stopping():
            self._stop()

    def _stop(self) -> None:
        log.info("stopping: the commit under way is finished, the rest is left for the next run")
        self._is_stopping = True
        self._executor.stop()
        self._perform(self.ledger.handle(StopRequested()))

    def _perform(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            delay_s = getattr(instruction, "delay_s", 0.0)
            if delay_s > 0:
                jittered = delay_s * self._random.uniform(0.8, 1.2)  # spreads the retries of many readers
                heapq.heappush(self._delayed, (self._clock() + jittered, next(self._order), instruction))
            elif not isinstance(instruction, Finish):
                self._submit(instruction)

    def _submit_due(self) -> None:
        while self._delayed and (self._is_stopping or self._delayed[0][0] <= self._clock()):
            instruction = heapq.heappop(self._delayed)[2]
            if self._is_stopping and isinstance(instruction, Read | Map | Prepare):
                stage = _STAGES[type(instruction)]
                self._perform(self.ledger.handle(Failed(stage, STOPPED, instruction.piece, instruction.attempt)))
            else:
                self._submit(instruction)

    def _submit(self, instruction: Instruction) -> None:
        log_instruction(instruction)
        self._executor.submit(instruction)

    def _wait_timeout_s(self) -> float:
        if not self._delayed:
            return TICK_S
        return max(0.0, min(TICK_S, self._delayed[0][0] - self._clock()))

    def _record(self, event: Event) -> None:
        match event:
            case SliceStaged(_, _, staged):
                self.seconds["read"] += staged.seconds
                self.points += staged.points
            case SliceMapped(_, _, mapped):
                self.seconds["map"] += mapped.seconds
            case SlicePrepared(_, _, prepared):
                self.seconds["prepare"] += prepared.seconds
            case Committed(receipt):
                self.seconds["commit"] += receipt.seconds
            case Failed(stage, fault, piece, attempt):
                fields = {"slice": piece.slice_id, "attempt": attempt} if piece else {}
                level = logging.INFO if self._is_stopping else logging.WARNING  # what a stop interrupts has not failed
                log.log(
                    level, "%s failed: %s [%s] -> %s", stage, fault.message, fault.code, fault.recovery, extra=fields
                )
            case _:
                pass


def shown_interval(interval: Interval) -> str:
    """The bounds of a slice are values of keys or cursors, such as an e-mail address: they are logged only with `INGEST_LOG_VALUES=1`."""
    if os.environ.get("INGEST_LOG_VALUES") == "1":
        return str(interval)
    lower, upper = ("open" if bound is None else "bounded" for bound in (interval.lower, interval.upper))
    return f"a slice, {lower} below, {upper} above"


def log_instruction(instruction: Instruction) -> None:
    """Logs one line for each step of interest."""
    match instruction:
        case Read(piece, attempt):
            log.info("read %s", shown_interval(piece.interval), extra={"slice": piece.slice_id, "attempt": attempt})
        case Map(piece, attempt):
            log.debug("map", extra={"slice": piece.slice_id, "attempt": attempt})
        case Prepare(piece, attempt):
            log.debug("prepare", extra={"slice": piece.slice_id, "attempt": attempt})
        case Commit(sequence, group):
            log.info("commit %d", sequence, extra={"slices": [prepared.slice_id for prepared in group]})
        case ApplyCommit(sequence):
            log.info("fold %d", sequence)
        case _:
            pass
