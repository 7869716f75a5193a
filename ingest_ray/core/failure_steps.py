"""The steps after a failure: the stage or the slice is tried again, or the slice fails alone, or the run ends."""

from dataclasses import dataclass

from ingest_ray.core.messages import (
    Drop,
    Failed,
    Fault,
    Instruction,
    Map,
    OpenSink,
    Prepare,
    QuerySink,
    Read,
    Stage,
)
from ingest_ray.core.next_steps import NextSteps
from ingest_ray.core.retry import pause_s
from ingest_ray.core.slice_table import SliceRun
from ingest_ray.sdk.errors import Recovery, SinkError, StateUnavailable

MAX_REPLAN_DEPTH = 48  # each replan adds two to a rank; a slice that was cut 24 times is one row that is too large


@dataclass
class FailureSteps(NextSteps):
    def _on_failed(self, event: Failed) -> list[Instruction]:
        if event.stage in (Stage.READ, Stage.MAP, Stage.PREPARE):
            return self._on_slice_failed(event)
        if event.stage is Stage.PLAN:
            return self._on_plan_failed(event)
        if event.stage is Stage.COMMIT and event.fault.recovery is Recovery.REREAD:
            return self._on_prepared_lost(event.fault)
        fault, failures = event.fault, self._faults.get(event.stage, 0) + 1
        self._faults[event.stage] = failures
        if event.stage is Stage.OPEN:
            self._sink = "closed"
        may_retry = fault.recovery in (Recovery.RETRY, Recovery.ASK_SINK)
        is_of_state = event.stage in (Stage.INTEND, Stage.FOLD) or fault.code == StateUnavailable.code
        most = self.limits.state_attempts if is_of_state else self.limits.attempts
        if not may_retry or failures >= most:
            is_of_group = event.stage in (Stage.INTEND, Stage.COMMIT, Stage.FOLD)
            return (self._abandon_group() if is_of_group else []) + self._halt(fault)
        self.retries += 1
        return self._retry_stage(event.stage, fault)

    def _on_plan_failed(self, event: Failed) -> list[Instruction]:
        if event.piece is not None:
            self._pending_replans -= 1
        else:
            self._is_planning = False
        self._is_planned = False
        if event.fault.recovery is not Recovery.RETRY:
            return self._halt(event.fault)
        return [] if self._is_stopping else self._halt(event.fault, is_restartable=True)

    def _retry_stage(self, stage: Stage, fault: Fault) -> list[Instruction]:
        match stage:
            case Stage.OPEN if not self._is_halting:
                self._sink = "opening"
                return [OpenSink(self._backoff(stage))]
            case Stage.INTEND:
                return [self._record_intent(self._current_group())]
            case Stage.COMMIT if fault.recovery is Recovery.ASK_SINK:
                return [QuerySink(self._backoff(stage))]
            case Stage.COMMIT:
                return [self._commit(self._current_group(), fault.retry_after_s or self._backoff(stage))]
            case Stage.FOLD:
                return [self._apply_commit(self._current_group())]
            case _:
                return []

    def _on_slice_failed(self, event: Failed) -> list[Instruction]:
        assert event.piece is not None
        table = self._table
        active = {Stage.READ: table.reading, Stage.MAP: table.mapping, Stage.PREPARE: table.preparing}
        slice_run = table.take_active(active[event.stage], event.piece, event.attempt)
        if slice_run is None:
            return []
        fault = event.fault
        if fault.recovery is Recovery.FENCED:
            return self._halt(fault)
        if self._is_halting:
            return []
        if fault.recovery is Recovery.REPLAN:
            return self._halt(fault, is_restartable=True)
        if fault.recovery is Recovery.RECUT and len(event.piece.rank) < MAX_REPLAN_DEPTH:
            self._table.remove([slice_run])
            self._count(planned=-1)
            return [self._replan(event.piece, event.piece.interval, fault.bytes_per_row)]
        if fault.recovery in (Recovery.RETRY, Recovery.REREAD) and slice_run.failures + 1 < self.limits.attempts:
            return self._retry_slice(event, slice_run)
        if event.stage is not Stage.READ or fault.code == SinkError.code:  # of files that a reader writes into the sink
            return self._halt(fault)
        self._table.remove([slice_run])
        self._count(failed=1)
        self._failures[event.piece.segment] += 1
        if event.piece.segment in self._abandoned_segments:
            self._count(planned=-self._table.drop_queued(event.piece.segment))
        self.fault = self.fault or fault
        return []

    def _retry_slice(self, event: Failed, slice_run: SliceRun) -> list[Instruction]:
        slice_run.failures += 1
        self.retries += 1
        fault = event.fault
        delay_s = pause_s(fault, slice_run.failures)
        if event.stage is Stage.MAP and fault.recovery is Recovery.RETRY:
            self._table.mapping.add(slice_run.name)
            return [Map(slice_run.piece, slice_run.attempt, slice_run.handle, delay_s)]
        if event.stage is Stage.PREPARE and fault.recovery is Recovery.RETRY:
            self._table.preparing.add(slice_run.name)
            return [Prepare(slice_run.piece, slice_run.attempt, slice_run.handle, delay_s, slice_run.mapped)]
        out = self._discard_read(slice_run)
        self._table.read_again(slice_run)
        return [*out, Read(slice_run.piece, slice_run.attempt, delay_s)]

    def _on_prepared_lost(self, fault: Fault) -> list[Instruction]:
        """The commit of the group did not happen and cannot succeed: its slices are read again; the next group takes the number."""
        slice_runs = self._current_group().slice_runs
        self._clear_faults(Stage.COMMIT)
        if any(slice_run.failures + 1 >= self.limits.attempts for slice_run in slice_runs):
            return self._abandon_group() + self._halt(fault)
        out = [step for slice_run in slice_runs for step in self._discard_read(slice_run)]
        for slice_run in slice_runs:
            slice_run.failures += 1
        self.retries += len(slice_runs)
        self._table.requeue(slice_runs)
        self._group = None
        return out

    def _discard_read(self, slice_run: SliceRun) -> list[Instruction]:
        """Reverts the counts of a slice and drops its pages."""
        out: list[Instruction] = []
        if slice_run.prepared is not None:
            self._add_prepared(slice_run, slice_run.prepared, -1)
        if slice_run.mapped is not None:
            self._add_mapped(slice_run.mapped, -1)
            out.append(Drop(slice_run.mapped.handles))
        if slice_run.staged is not None:
            self._add_staged(slice_run.staged, -1)
            if not slice_run.handle.is_adopted:
                out.append(Drop((slice_run.handle,)))
        return out

    def _abandon_group(self) -> list[Instruction]:
        """Abandons the commit under way. The intent stays: the next run queries the sink, then rolls it forward or drops it."""
        if self._group is not None and self._group.is_issued:
            self._table.remove(self._group.slice_runs)
        self._group = None
        return []

    def _clear_faults(self, stage: Stage) -> list[Instruction]:
        self._faults.pop(stage, None)
        return []
