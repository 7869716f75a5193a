"""The run's state machine: events in, instructions out.

Decides about retries, budget, order of commits and completion, without Ray, clock or I/O:

    planned --Read--> staged --Map--> mapped --Prepare--> ready --RecordIntent, Commit, ApplyCommit: one group at a time--> committed
        ^                |               |                  |                         |
        +---- failed ----+---------------+------------------+-------------------------+
                                                                   a failed slice is retried, or fails alone, or ends the run

* `Map` happens in CDM mode only; otherwise a staged slice counts as mapped. With `keeps_staged` the staged pages stay until
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

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest_ray.core import balance
from ingest_ray.core.limits import Limits
from ingest_ray.core.messages import (
    Abort,
    ApplyCommit,
    Commit,
    CommitApplied,
    CommitClaim,
    Committed,
    Drop,
    Event,
    Failed,
    Fault,
    Finish,
    Instruction,
    IntentRecorded,
    Map,
    OpenSink,
    Plan,
    Planned,
    Prepare,
    QuerySink,
    Read,
    RecordIntent,
    ReplanSlice,
    SinkOpened,
    SinkSequence,
    SliceMapped,
    SlicePrepared,
    SliceReplanned,
    SliceStaged,
    Stage,
    StopRequested,
)
from ingest_ray.core.retry import backoff_s, pause_s
from ingest_ray.core.slice_table import CommitGroup, SliceRun, SliceTable
from ingest_ray.sdk.errors import Recovery, StateUnavailable
from ingest_ray.sdk.types import (
    Handle,
    Interval,
    Mapped,
    ModelCounts,
    Prepared,
    Receipt,
    RowCounts,
    RunState,
    Slice,
    SliceCounts,
    Staged,
)

PLANNED_AHEAD = 2  # queued slices per reader below which more are planned: planning takes about as long as reading one
MAX_REPLAN_DEPTH = 48  # each replan adds two to a rank; a slice that was cut 24 times is one row that is too large


@dataclass
class Ledger:
    limits: Limits
    rows: RowCounts = field(default_factory=RowCounts)
    slices: SliceCounts = field(default_factory=SliceCounts)
    models: dict[str, ModelCounts] = field(default_factory=dict)
    bytes_staged: int = 0
    retries: int = 0
    fault: Fault | None = None
    finished: Finish | None = None

    _table: SliceTable = field(default_factory=SliceTable)
    _group: CommitGroup | None = None
    _pending_replans: int = 0
    _sink: str = "closed"
    _is_planning: bool = False
    _is_planned: bool = False
    _is_stopping: bool = False
    _is_fatal: bool = False
    _is_restartable: bool = False
    _first_rejection: str | None = None
    _must_land_rows: bool = False
    _failures: Counter[str] = field(default_factory=Counter)
    _replan_counts: Counter[str] = field(default_factory=Counter)
    _faults: dict[Stage, int] = field(default_factory=dict)

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

    @property
    def is_succeeded(self) -> bool:
        return self.finished is not None and self.finished.state is RunState.SUCCEEDED

    @property
    def is_halted(self) -> bool:
        """True where the run itself failed, not only single slices."""
        return self._is_fatal

    @property
    def has_unread_slices(self) -> bool:
        """True while slices wait for a reader, or more may be planned."""
        return bool(self._table.queue) or not self._is_planned

    @property
    def staged_bytes(self) -> int:
        """Bytes that count against the budget now."""
        return self._table.reserved_bytes

    # --- instructions that are possible now

    def _next(self) -> list[Instruction]:
        out: list[Instruction] = []
        if not self._is_halting:
            out += (
                self._next_open() + self._next_maps() + self._next_prepares() + self._next_reads() + self._next_plan()
            )
        return self._next_commit() + out + self._next_finish()

    @property
    def _is_halting(self) -> bool:
        return self._is_stopping or self._is_fatal

    @property
    def _is_giving_up(self) -> bool:
        """True when more slices failed than succeeded: then the source is at fault, not single segments."""
        good = self.slices.committed + len(self._table.started) - len(self._table.reading)
        return self.slices.failed >= max(self.limits.failed_slices, good + 1)

    @property
    def _abandoned_segments(self) -> frozenset[str]:
        """Segments of which nothing more is planned or read; the others go on."""
        return frozenset(name for name, failed in self._failures.items() if failed >= self.limits.failed_slices)

    def _next_open(self) -> list[Instruction]:
        if self._sink != "closed" or not (self._table.queue or self._table.started):
            return []
        self._sink = "opening"
        return [OpenSink()]

    def _next_maps(self) -> list[Instruction]:
        out: list[Instruction] = []
        while self._table.staged and len(self._table.mapping) < self.limits.mappers:
            slice_run = self._table.take_staged()
            out.append(Map(slice_run.piece, slice_run.attempt, slice_run.handle))
        return out

    def _next_prepares(self) -> list[Instruction]:
        out: list[Instruction] = []
        while self._sink == "open" and self._table.mapped and len(self._table.preparing) < self.limits.preparers:
            slice_run = self._table.take_mapped()
            out.append(Prepare(slice_run.piece, slice_run.attempt, slice_run.handle, mapped=slice_run.mapped))
        return out

    def _next_reads(self) -> list[Instruction]:
        out: list[Instruction] = []
        table = self._table
        while table.queue and len(table.reading) < self.limits.readers:
            need = min(table.queue[0].estimated_bytes or self.limits.slice_bytes, self.limits.slice_bytes)
            if table.reserved_bytes and table.reserved_bytes + need > self.limits.budget_bytes:
                break
            slice_run = table.start(need)
            out.append(Read(slice_run.piece, slice_run.attempt))
        return out

    def _next_plan(self) -> list[Instruction]:
        has_enough = len(self._table.queue) > PLANNED_AHEAD * self.limits.readers
        if self._is_planned or self._is_planning or self._is_giving_up or has_enough:
            return []
        self._is_planning = True
        return [Plan(2 * self.limits.readers + 2, self._abandoned_segments)]

    def _next_commit(self) -> list[Instruction]:
        table = self._table
        if self._group is not None or not table.ready or self._is_fatal:
            return []
        if not self.limits.is_whole:
            if self._is_worth_waiting:
                return []
            self._group = table.take_group(self.limits.group_slices, self.limits.group_bytes)
        elif self._is_drained and self._is_planned and not self._is_stopping and not self.slices.failed:
            fault = balance.check_replacement(self.rows, self.limits.quarantined_fraction, self._first_rejection)
            if fault is not None:
                return self._halt(fault)
            self._group = table.take(list(table.ready.values()))
        else:
            return []
        return [self._record_intent(self._group)]

    @property
    def _is_worth_waiting(self) -> bool:
        """True while small prepared slices wait for others, because one commit costs about the same for one slice as for many.

        Merges wait from the start. Inserts wait longer the more are committed: a crash repeats at most a sixteenth, and ten
        thousand small slices become about two hundred commits.
        """
        table = self._table
        is_coming = table.is_moving or table.is_waiting or self._pending_replans or self._is_planning
        if self._is_stopping or not is_coming or table.ready_bytes >= self.limits.merge_bytes:
            return False
        most = self.limits.group_slices
        return len(table.ready) < (min(most, self.slices.committed // 16) if table.first_is_insert else most)

    def _record_intent(self, group: CommitGroup) -> RecordIntent:
        claims = () if self.limits.is_whole else tuple(map(claim_of, group.slice_runs))
        uris = tuple(uri for slice_run in group.slice_runs for uri in slice_run.quarantine_uris)
        return RecordIntent(claims, self.limits.is_whole, uris, self._backoff(Stage.INTEND))

    @property
    def _is_drained(self) -> bool:
        """True when no slice is planned, read or prepared, and none will be."""
        table = self._table
        is_idle = not (table.is_moving or table.is_waiting or table.queue or self._pending_replans or self._is_planning)
        return is_idle and (self._is_planned or self._is_giving_up)

    def _next_finish(self) -> list[Instruction]:
        is_busy = self._table.is_moving or self._pending_replans or self._is_planning or self._sink == "opening"
        if self._group is not None or is_busy or not (self._is_halting or self._is_drained):
            return []
        left = list(self._table.started.values())
        is_whole = self._is_drained and self._is_planned and not left
        if is_whole and self.fault is None and self._must_land_rows:
            self.fault = balance.check_some_rows_landed(self.rows, self._first_rejection)
        if self.fault is not None:
            state = RunState.FAILED
        else:
            state = RunState.SUCCEEDED if is_whole else RunState.PAUSED
        self.finished = Finish(state, self.fault, self._is_restartable)
        prepared = tuple(slice_run.prepared for slice_run in left if slice_run.prepared is not None)
        handles = tuple(
            handle for slice_run in left if slice_run.staged is not None for handle in self._unneeded_handles(slice_run)
        )
        self._table.remove(left)
        out: list[Instruction] = [Abort(prepared)] if prepared else []
        return [*out, *([Drop(handles)] if handles else []), self.finished]

    # --- events of success

    def _clear_faults(self, stage: Stage) -> list[Instruction]:
        self._faults.pop(stage, None)
        return []

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
            return [] if self._table.is_current(piece, attempt) else [Drop((staged.handle,))]
        self._table.stage(slice_run, staged)
        self._must_land_rows |= staged.rows_read > 0 and piece.effect in self.limits.landing_effects
        self._add_staged(staged, +1)
        if not self.limits.mappers:
            self._table.map(self._table.started[self._table.staged.popleft()], None)
        fault = balance.check_staged(piece, staged)
        fault = fault or self._check_quarantine_limit()
        if fault is not None:
            return self._halt(fault)
        if staged.is_complete:
            return []
        # From here on the slice is the covered part: a repeated read does not include the rest.
        slice_run.piece = piece.model_copy(update={"interval": staged.covered})
        return [
            self._replan(piece, Interval(lower=staged.covered.upper, upper=piece.interval.upper), staged.bytes_per_row)
        ]

    def _replan(self, piece: Slice, interval: Interval, bytes_per_row: float | None) -> ReplanSlice:
        self._pending_replans += 1
        number = self._replan_counts[piece.slice_id]
        self._replan_counts[piece.slice_id] += 1
        return ReplanSlice(piece, interval, bytes_per_row, number)

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

    def _commit(self, group: CommitGroup, delay_s: float = 0.0) -> Commit:
        group.is_issued = True
        return Commit(group.sequence, group.prepared, delay_s)

    def _on_committed(self, receipt: Receipt) -> list[Instruction]:
        group = self._current_group()
        self._clear_faults(Stage.COMMIT)
        fault = balance.check_commit(group, receipt)
        if fault is not None:
            return self._abandon_group() + self._halt(fault)
        group.receipt = receipt
        return [self._apply_commit(group)]

    def _apply_commit(self, group: CommitGroup) -> ApplyCommit:
        return ApplyCommit(group.sequence, self._backoff(Stage.FOLD))

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

    # --- events of failure

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
        if event.stage is not Stage.READ:
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
            out.append(Drop((slice_run.handle,)))
        return out

    def _halt(self, fault: Fault, *, is_restartable: bool = False) -> list[Instruction]:
        """Stops starting slices; those under way are finished."""
        if not self._is_fatal:
            self.fault, self._is_restartable = fault, is_restartable
        self._is_fatal = True
        return []

    def _abandon_group(self) -> list[Instruction]:
        """Abandons the commit under way. The intent stays: the next run queries the sink, then rolls it forward or drops it."""
        if self._group is not None and self._group.is_issued:
            self._table.remove(self._group.slice_runs)
        self._group = None
        return []

    # --- accounting

    def _current_group(self) -> CommitGroup:
        assert self._group is not None
        return self._group

    def _backoff(self, stage: Stage) -> float:
        return backoff_s(self._faults.get(stage, 0))

    def _add_staged(self, staged: Staged, sign: int) -> None:
        self.bytes_staged += sign * staged.handle.bytes
        self._first_rejection = self._first_rejection or staged.first_rejection
        counts = {"read": staged.rows_read, "staged": staged.handle.rows, "quarantined": staged.rows_quarantined}
        self.rows = self.rows.plus(RowCounts(**{name: sign * count for name, count in counts.items()}))

    def _add_mapped(self, mapped: Mapped, sign: int) -> None:
        self._first_rejection = self._first_rejection or mapped.first_rejection
        self.rows = self.rows.plus(RowCounts(quarantined=sign * mapped.rows_quarantined))

    def _check_quarantine_limit(self) -> Fault | None:
        return balance.check_quarantine_limit(
            self.rows.quarantined, self.limits.quarantined_rows, self._first_rejection
        )

    def _add_prepared(self, slice_run: SliceRun, prepared: Prepared, sign: int) -> None:
        """Rows that the sink refuses count as not staged, except in CDM mode, where staged rows are mapped or in quarantine."""
        refused = sign * prepared.rows_quarantined
        self._first_rejection = self._first_rejection or prepared.first_rejection
        self.rows = self.rows.plus(RowCounts(quarantined=refused, staged=-refused if slice_run.mapped is None else 0))

    def _unneeded_handles(self, slice_run: SliceRun) -> tuple[Handle, ...]:
        """The handles of a slice whose pages are not needed any more."""
        mapped = slice_run.mapped.handles if slice_run.mapped else ()
        return mapped if self.limits.keeps_staged else (slice_run.handle, *mapped)

    def _drop(self, slice_runs: Iterable[SliceRun]) -> list[Instruction]:
        handles = tuple(handle for slice_run in slice_runs for handle in self._unneeded_handles(slice_run))
        return [Drop(handles)] if handles else []

    def _count(self, *, planned: int = 0, committed: int = 0, failed: int = 0, degraded: int = 0) -> None:
        self.slices = self.slices.plus(
            SliceCounts(planned=planned, committed=committed, failed=failed, degraded=degraded)
        )


def claim_of(slice_run: SliceRun) -> CommitClaim:
    assert slice_run.staged is not None
    return CommitClaim(
        slice_run.piece.segment, slice_run.piece.scope_id, slice_run.piece.rank, slice_run.staged.covered
    )
