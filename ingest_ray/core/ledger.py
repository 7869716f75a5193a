"""The run's state machine: events in, instructions out.

Decides about retries, budget, order of commits and completion, without Ray, clock or I/O:

    planned --Read--> staged --Map--> mapped --Prepare--> ready --RecordIntent, Commit, ApplyCommit: one group at a time--> committed
        ^                |               |                  |                         |
        +---- failed ----+---------------+------------------+-------------------------+
                                                                   a failed slice is retried, or fails alone, or ends the run

* `Map` happens in CDM mode only; otherwise a staged slice counts as mapped. A slice that was staged in files which the sink adopts
  is ready at once; these files are never dropped, because a commit makes the table of them: what is not committed is aborted, or
  left to the sink's clean-up. With `keeps_staged` the staged pages stay until
  the end of the run, so that they can be mapped again.

* One byte budget covers all slices that are being read, or are staged and not yet committed.
* At most one commit is under way; the next group is what became ready meanwhile. So groups grow when the sink is slow and
  shrink when it is fast, and commits of a unit never overtake each other.
* `is_whole`: nothing is committed before every slice is prepared; then all slices are committed at once.
* A segment whose slices keep failing is abandoned alone; the run gives up when more slices fail than succeed.
* A plan that failed is not continued, because its position is lost, and slices of a lost snapshot are not read again: the
  run ends, and is restartable.
* Rows must add up at each step, or the run fails with `E_LEDGER_MISMATCH`.
* Prepared rows whose commit was issued are never aborted, whatever the sink returned: they may be in the sink. Where the sink
  reports that some of them are lost, no commit of that group can succeed, and its slices are read again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ingest_ray.core import balance
from ingest_ray.core.failure_steps import FailureSteps
from ingest_ray.core.messages import (
    CommitApplied,
    Committed,
    Drop,
    Event,
    Failed,
    Instruction,
    IntentRecorded,
    Planned,
    SinkOpened,
    SinkSequence,
    SliceMapped,
    SlicePrepared,
    SliceReplanned,
    SliceStaged,
    Stage,
    StopRequested,
)
from ingest_ray.core.slice_table import SliceRun
from ingest_ray.sdk.types import Interval, Mapped, ModelCounts, Prepared, Receipt, RowCounts, Slice, Staged


@dataclass
class Ledger(FailureSteps):
    def start(self) -> list[Instruction]:
        return self._next()

    def handle(self, event: Event) -> list[Instruction]:
        if self.finished is not None:
            return []
        return self._react(event) + self._next()

    def _react(self, event: Event) -> list[Instruction]:
        match event:
            case Planned(slices, is_done):
                self._is_planning, self._is_planned = False, is_done
                return self._on_planned(slices)
            case SliceReplanned(_, slices):
                self._pending_replans -= 1
                return self._on_planned(slices, in_front=True)
            case SinkOpened():
                self._sink = "open"
                return self._clear_faults(Stage.OPEN)
            case SliceStaged(piece, attempt, staged):
                return self._on_staged(piece, attempt, staged)
            case SliceMapped(piece, attempt, mapped):
                return self._on_mapped(piece, attempt, mapped)
            case SlicePrepared(piece, attempt, prepared):
                return self._on_prepared(piece, attempt, prepared)
            case IntentRecorded(sequence):
                return self._on_intent_recorded(sequence)
            case Committed(receipt):
                return self._on_committed(receipt)
            case SinkSequence(sequence):
                return self._on_sink_sequence(sequence)
            case CommitApplied():
                return self._on_commit_applied()
            case Failed():
                return self._on_failed(event)
            case StopRequested():
                self._is_stopping = True
                return []

    # --- events of success

    def _on_planned(self, slices: tuple[Slice, ...], *, in_front: bool = False) -> list[Instruction]:
        abandoned = self._abandoned_segments
        slices = tuple(piece for piece in slices if piece.segment not in abandoned)
        if in_front:
            self._table.queue.extendleft(reversed(slices))
        else:
            self._table.queue.extend(slices)
        self._count(planned=len(slices))
        return []

    def _on_staged(self, piece: Slice, attempt: int, staged: Staged) -> list[Instruction]:
        slice_run = self._table.take_active(self._table.reading, piece, attempt)
        if slice_run is None:
            is_needed = staged.handle.is_adopted or self._table.is_current(piece, attempt)
            return [] if is_needed else [Drop((staged.handle,))]
        self._table.stage(slice_run, staged)
        self._must_land_rows |= staged.rows_read > 0 and piece.effect in self.limits.landing_effects
        self._add_staged(staged, +1)
        adopted = staged.prepared
        if adopted is not None:
            self._table.adopt(slice_run, adopted)
        elif not self.limits.mappers:
            self._table.map(self._table.started[self._table.staged.popleft()], None)
        fault = balance.check_staged(piece, staged)
        if adopted is not None:
            fault = fault or balance.check_prepared(piece, staged.handle, None, adopted)
        fault = fault or self._check_quarantine_limit()
        if fault is not None:
            return self._halt(fault)
        if adopted is not None and self.limits.is_whole:
            self._table.reserve(slice_run, 0)
        if staged.is_complete:
            return []
        # From here on the slice is the covered part: a repeated read does not include the rest.
        slice_run.piece = piece.model_copy(update={"interval": staged.covered})
        return [
            self._replan(piece, Interval(lower=staged.covered.upper, upper=piece.interval.upper), staged.bytes_per_row)
        ]

    def _on_mapped(self, piece: Slice, attempt: int, mapped: Mapped) -> list[Instruction]:
        slice_run = self._table.take_active(self._table.mapping, piece, attempt)
        if slice_run is None:
            return [] if self._table.is_current(piece, attempt) else [Drop(mapped.handles)]
        self._table.map(slice_run, mapped)
        self._add_mapped(mapped, +1)
        fault = balance.check_mapped(piece, slice_run.handle, mapped)
        fault = fault or self._check_quarantine_limit()
        return [] if fault is None else self._halt(fault)

    def _on_prepared(self, piece: Slice, attempt: int, prepared: Prepared) -> list[Instruction]:
        slice_run = self._table.take_active(self._table.preparing, piece, attempt)
        if slice_run is None:
            return []  # never aborted: a late second report may concern rows that are committed by now
        self._table.make_ready(slice_run, prepared)
        self._add_prepared(slice_run, prepared, +1)
        fault = balance.check_prepared(piece, slice_run.handle, slice_run.mapped, prepared)
        fault = fault or self._check_quarantine_limit()
        if fault is not None:
            return self._halt(fault)
        if self.limits.is_whole:
            self._table.reserve(slice_run, 0)
            return self._drop([slice_run])
        return []

    def _on_intent_recorded(self, sequence: int) -> list[Instruction]:
        group = self._current_group()
        self._clear_faults(Stage.INTEND)
        group.sequence = sequence
        return [self._commit(group)]

    def _on_committed(self, receipt: Receipt) -> list[Instruction]:
        group = self._current_group()
        self._clear_faults(Stage.COMMIT)
        fault = balance.check_commit(group, receipt)
        if fault is not None:
            return self._abandon_group() + self._halt(fault)
        group.receipt = receipt
        return [self._apply_commit(group)]

    def _on_sink_sequence(self, sequence: int) -> list[Instruction]:
        group = self._current_group()
        if sequence < group.sequence:
            return [self._commit(group)]
        rows = group.rows - group.rows_dropped_before
        models = {name: ModelCounts(mapped=made, committed=made) for name, made in group.models.items()}
        return self._on_committed(Receipt(epoch=0, sequence=group.sequence, rows_committed=rows, models=models))

    def _on_commit_applied(self) -> list[Instruction]:
        group = self._current_group()
        assert group.receipt is not None
        dropped = group.receipt.rows_deduplicated + group.rows_dropped_before
        self.rows = self.rows.plus(RowCounts(committed=group.receipt.rows_committed, deduplicated=dropped))
        for name, counts in group.receipt.models.items():
            self.models[name] = self.models.get(name, ModelCounts()).plus(counts)
        self._count(
            committed=len(group.slice_runs), degraded=sum(slice_run.is_degraded for slice_run in group.slice_runs)
        )
        self._table.remove(group.slice_runs)
        self._group = None
        self._clear_faults(Stage.FOLD)
        return [] if self.limits.is_whole else self._drop(group.slice_runs)

    def _drop(self, slice_runs: Iterable[SliceRun]) -> list[Instruction]:
        handles = tuple(handle for slice_run in slice_runs for handle in self._unneeded_handles(slice_run))
        return [Drop(handles)] if handles else []
