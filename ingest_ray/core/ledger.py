"""The run's state machine: events in, instructions out.

Every decision about retry, budget, order of commits and completion is made here, without Ray, clock or I/O:

    planned --Read--> staged --Map--> mapped --Prepare--> ready --Intend, Commit, Fold: one group at a time--> committed
        ^                |               |                  |                         |
        +---- failed ----+---------------+------------------+-------------------------+
                                                                   a failed slice is tried again, or fails itself, or ends the run

* `Map` happens in CDM mode only; without it what is staged counts as mapped. What is read may then be kept until the run
  is over (`keeps_staged`), so that it can be mapped again.

* One byte budget covers everything that is being read or staged and not yet committed.
* At most one commit is under way; the next group is whatever became ready meanwhile. So groups grow when the sink is
  slow and shrink when it is quick, and the commits of a unit can never overtake each other.
* `is_whole`: nothing is committed before every slice is prepared; then all of it is, at once.
* A segment that keeps failing is given up by itself; the run gives up when more fails than goes well.
* A plan that broke off is not asked for more, because it has lost its place, and slices of a snapshot that is gone are not
  read again: the run ends, and may begin again.
* Rows must add up at each step, or the run fails with `E_LEDGER_MISMATCH`.
* Prepared rows whose commit was issued are never aborted, whatever the answer: they may be in the sink. Where the sink says that
  it has lost some of them, no commit of that group can ever succeed, and its slices are read again.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest_ray.core import balance
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
from ingest_ray.sdk.errors import Recovery
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

PLANNED_AHEAD = 2  # slices that wait for each reader when the plan goes on: planning takes about as long as reading one
DEEPEST_RECUT = 48  # each recut adds two to a rank; a slice cut again 24 times is one row that is too large


@dataclass(frozen=True)
class Limits:
    """What a run may use. Bytes are those of Arrow in memory."""

    readers: int = 2
    mappers: int = 0  # 0: nothing is mapped
    preparers: int = 2
    budget_bytes: int = 512 * 1024 * 1024
    slice_bytes: int = 64 * 1024 * 1024
    group_slices: int = 64  # an intent names each slice in about 300 bytes, and must stay below 64 KiB
    group_bytes: int = 512 * 1024 * 1024
    merge_bytes: int = 16 * 1024 * 1024  # below this a merge is mostly overhead: reading the log, writing one more file
    attempts: int = 5
    state_attempts: int = 10  # with back-off about two minutes: long enough for a state store to restart
    failed_slices: int = (
        20  # each is a gap in the checkpoint; more of them mean that a segment, or the source, is not well
    )
    quarantined_rows: int = 10_000
    is_whole: bool = False
    keeps_staged: bool = False


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

    _works: SliceTable = field(default_factory=SliceTable)
    _group: CommitGroup | None = None
    _recuts: int = 0
    _sink: str = "closed"
    _is_planning: bool = False
    _is_planned: bool = False
    _is_stopping: bool = False
    _is_fatal: bool = False
    _is_restartable: bool = False
    _failures: Counter[str] = field(default_factory=Counter)
    _cut_again: Counter[str] = field(default_factory=Counter)
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
                return self._planned(slices)
            case SliceReplanned(_, slices):
                self._recuts -= 1
                return self._planned(slices, in_front=True)
            case SinkOpened():
                self._sink = "open"
                return self._worked(Stage.OPEN)
            case SliceStaged(piece, attempt, staged):
                return self._staged(piece, attempt, staged)
            case SliceMapped(piece, attempt, mapped):
                return self._mapped(piece, attempt, mapped)
            case SlicePrepared(piece, attempt, prepared):
                return self._prepared(piece, attempt, prepared)
            case IntentRecorded(sequence):
                return self._intended(sequence)
            case Committed(receipt):
                return self._committed(receipt)
            case SinkSequence(sequence):
                return self._sink_says(sequence)
            case CommitApplied():
                return self._folded()
            case Failed():
                return self._failed(event)
            case StopRequested():
                self._is_stopping = True
                return []

    @property
    def is_succeeded(self) -> bool:
        return self.finished is not None and self.finished.state is RunState.SUCCEEDED

    @property
    def staged_bytes(self) -> int:
        """What counts against the budget now."""
        return self._works.reserved_bytes

    # --- what can be started now

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
        """More has failed than went well: it is the source that is not well, and not some of its segments."""
        good = self.slices.committed + len(self._works.started) - len(self._works.reading)
        return self.slices.failed >= max(self.limits.failed_slices, good + 1)

    @property
    def _given_up(self) -> frozenset[str]:
        """Segments that fail by themselves: nothing more of them is planned or read, and the others go on."""
        return frozenset(name for name, failed in self._failures.items() if failed >= self.limits.failed_slices)

    def _next_open(self) -> list[Instruction]:
        if self._sink != "closed" or not (self._works.queue or self._works.started):
            return []
        self._sink = "opening"
        return [OpenSink()]

    def _next_maps(self) -> list[Instruction]:
        out: list[Instruction] = []
        while self._works.staged and len(self._works.mapping) < self.limits.mappers:
            work = self._works.take_staged()
            out.append(Map(work.piece, work.attempt, work.handle))
        return out

    def _next_prepares(self) -> list[Instruction]:
        out: list[Instruction] = []
        while self._sink == "open" and self._works.mapped and len(self._works.preparing) < self.limits.preparers:
            work = self._works.take_mapped()
            out.append(Prepare(work.piece, work.attempt, work.handle, mapped=work.mapped))
        return out

    def _next_reads(self) -> list[Instruction]:
        out: list[Instruction] = []
        works = self._works
        while works.queue and len(works.reading) < self.limits.readers:
            need = min(works.queue[0].estimated_bytes or self.limits.slice_bytes, self.limits.slice_bytes)
            if works.reserved_bytes and works.reserved_bytes + need > self.limits.budget_bytes:
                break
            work = works.start(need)
            out.append(Read(work.piece, work.attempt))
        return out

    def _next_plan(self) -> list[Instruction]:
        has_enough = len(self._works.queue) > PLANNED_AHEAD * self.limits.readers
        if self._is_planned or self._is_planning or self._is_giving_up or has_enough:
            return []
        self._is_planning = True
        return [Plan(2 * self.limits.readers + 2, self._given_up)]

    def _next_commit(self) -> list[Instruction]:
        works = self._works
        if self._group is not None or not works.ready or self._is_fatal:
            return []
        if not self.limits.is_whole:
            if self._is_worth_waiting:
                return []
            self._group = works.choose_group(self.limits.group_slices, self.limits.group_bytes)
        elif self._is_drained and self._is_planned and not self._is_stopping and not self.slices.failed:
            self._group = works.take(list(works.ready.values()))
        else:
            return []
        return [self._intend(self._group)]

    @property
    def _is_worth_waiting(self) -> bool:
        """A commit costs much the same for one slice as for many: while more is on its way, small ones wait for each other.

        Merges wait at once. Inserts wait the longer the more are committed: a crash reads at most a sixteenth again, and ten
        thousand small slices become some two hundred commits.
        """
        works = self._works
        is_coming = works.is_moving or works.is_waiting or self._recuts or self._is_planning
        if self._is_stopping or not is_coming or works.ready_bytes >= self.limits.merge_bytes:
            return False
        most = self.limits.group_slices
        return len(works.ready) < (min(most, self.slices.committed // 16) if works.first_is_insert else most)

    def _intend(self, group: CommitGroup) -> RecordIntent:
        claims = () if self.limits.is_whole else tuple(map(claim, group.works))
        uris = tuple(uri for work in group.works for uri in work.quarantine_uris)
        return RecordIntent(claims, self.limits.is_whole, uris, self._backoff(Stage.INTEND))

    @property
    def _is_drained(self) -> bool:
        """Nothing is planned, read or prepared any more, and nothing will be."""
        works = self._works
        is_idle = not (works.is_moving or works.is_waiting or works.queue or self._recuts or self._is_planning)
        return is_idle and (self._is_planned or self._is_giving_up)

    def _next_finish(self) -> list[Instruction]:
        is_busy = self._works.is_moving or self._recuts or self._is_planning or self._sink == "opening"
        if self._group is not None or is_busy or not (self._is_halting or self._is_drained):
            return []
        left = list(self._works.started.values())
        is_whole = self._is_drained and self._is_planned and not left
        if self.fault is not None:
            state = RunState.FAILED
        else:
            state = RunState.SUCCEEDED if is_whole else RunState.PAUSED
        self.finished = Finish(state, self.fault, self._is_restartable)
        prepared = tuple(work.prepared for work in left if work.prepared is not None)
        handles = tuple(handle for work in left if work.staged is not None for handle in self._spent(work))
        self._works.remove(left)
        out: list[Instruction] = [Abort(prepared)] if prepared else []
        return [*out, *([Drop(handles)] if handles else []), self.finished]

    # --- what worked

    def _worked(self, stage: Stage) -> list[Instruction]:
        self._faults.pop(stage, None)
        return []

    def _planned(self, slices: tuple[Slice, ...], *, in_front: bool = False) -> list[Instruction]:
        given_up = self._given_up
        slices = tuple(piece for piece in slices if piece.segment not in given_up)
        if in_front:
            self._works.queue.extendleft(reversed(slices))
        else:
            self._works.queue.extend(slices)
        self._count(planned=len(slices))
        return []

    def _staged(self, piece: Slice, attempt: int, staged: Staged) -> list[Instruction]:
        work = self._works.active(self._works.reading, piece, attempt)
        if work is None:
            return [] if self._works.is_current(piece, attempt) else [Drop((staged.handle,))]
        self._works.stage(work, staged)
        self._add_staged(staged, +1)
        if not self.limits.mappers:
            self._works.map(self._works.started[self._works.staged.popleft()], None)
        fault = balance.of_staged(piece, staged)
        fault = fault or balance.of_quarantine(self.rows.quarantined, self.limits.quarantined_rows)
        if fault is not None:
            return self._halt(fault)
        if staged.is_complete:
            return []
        # From here on the slice is what was covered: if it must be read again, the rest is no longer part of it.
        work.piece = piece.model_copy(update={"interval": staged.covered})
        return [
            self._recut(piece, Interval(lower=staged.covered.upper, upper=piece.interval.upper), staged.bytes_per_row)
        ]

    def _recut(self, piece: Slice, interval: Interval, bytes_per_row: float | None) -> ReplanSlice:
        self._recuts += 1
        number = self._cut_again[piece.slice_id]
        self._cut_again[piece.slice_id] += 1
        return ReplanSlice(piece, interval, bytes_per_row, number)

    def _mapped(self, piece: Slice, attempt: int, mapped: Mapped) -> list[Instruction]:
        work = self._works.active(self._works.mapping, piece, attempt)
        if work is None:
            return [] if self._works.is_current(piece, attempt) else [Drop(mapped.handles)]
        self._works.map(work, mapped)
        self._add_mapped(mapped, +1)
        fault = balance.of_mapped(piece, work.handle, mapped)
        fault = fault or balance.of_quarantine(self.rows.quarantined, self.limits.quarantined_rows)
        return [] if fault is None else self._halt(fault)

    def _prepared(self, piece: Slice, attempt: int, prepared: Prepared) -> list[Instruction]:
        work = self._works.active(self._works.preparing, piece, attempt)
        if work is None:
            return []  # never aborted: a late second report may be of rows that are committed by now
        self._works.make_ready(work, prepared)
        fault = balance.of_prepared(piece, work.handle, work.mapped, prepared)
        if fault is not None:
            return self._halt(fault)
        if self.limits.is_whole:
            self._works.reserve(work, 0)
            return self._drop([work])
        return []

    def _intended(self, sequence: int) -> list[Instruction]:
        group = self._current_group()
        self._worked(Stage.INTEND)
        group.sequence = sequence
        return [self._commit(group)]

    def _commit(self, group: CommitGroup, delay_s: float = 0.0) -> Commit:
        group.is_issued = True
        return Commit(group.sequence, group.prepared, delay_s)

    def _committed(self, receipt: Receipt) -> list[Instruction]:
        group = self._current_group()
        self._worked(Stage.COMMIT)
        fault = balance.of_commit(group, receipt)
        if fault is not None:
            return self._leave_group() + self._halt(fault)
        group.receipt = receipt
        return [self._fold(group)]

    def _fold(self, group: CommitGroup) -> ApplyCommit:
        return ApplyCommit(group.sequence, self._backoff(Stage.FOLD))

    def _sink_says(self, sequence: int) -> list[Instruction]:
        group = self._current_group()
        if sequence < group.sequence:
            return [self._commit(group)]
        rows = group.rows - group.rows_dropped_before
        models = {name: ModelCounts(mapped=made, committed=made) for name, made in group.models.items()}
        return self._committed(Receipt(epoch=0, sequence=group.sequence, rows_committed=rows, models=models))

    def _folded(self) -> list[Instruction]:
        group = self._current_group()
        assert group.receipt is not None
        dropped = group.receipt.rows_deduplicated + group.rows_dropped_before
        self.rows = self.rows.plus(RowCounts(committed=group.receipt.rows_committed, deduplicated=dropped))
        for name, counts in group.receipt.models.items():
            self.models[name] = self.models.get(name, ModelCounts()).plus(counts)
        self._count(committed=len(group.works), degraded=sum(work.is_degraded for work in group.works))
        self._works.remove(group.works)
        self._group = None
        self._worked(Stage.FOLD)
        return [] if self.limits.is_whole else self._drop(group.works)

    # --- what failed

    def _failed(self, event: Failed) -> list[Instruction]:
        if event.stage in (Stage.READ, Stage.MAP, Stage.PREPARE):
            return self._slice_failed(event)
        if event.stage is Stage.PLAN:
            return self._plan_failed(event)
        if event.stage is Stage.COMMIT and event.fault.recovery is Recovery.REREAD:
            return self._prepared_lost(event.fault)
        fault, failures = event.fault, self._faults.get(event.stage, 0) + 1
        self._faults[event.stage] = failures
        if event.stage is Stage.OPEN:
            self._sink = "closed"
        may_retry = fault.recovery in (Recovery.RETRY, Recovery.ASK_SINK)
        most = self.limits.state_attempts if event.stage in (Stage.INTEND, Stage.FOLD) else self.limits.attempts
        if not may_retry or failures >= most:
            is_of_group = event.stage in (Stage.INTEND, Stage.COMMIT, Stage.FOLD)
            return (self._leave_group() if is_of_group else []) + self._halt(fault)
        self.retries += 1
        return self._again(event.stage, fault)

    def _plan_failed(self, event: Failed) -> list[Instruction]:
        if event.piece is not None:
            self._recuts -= 1
        else:
            self._is_planning = False
        self._is_planned = False
        if event.fault.recovery is not Recovery.RETRY:
            return self._halt(event.fault)
        return [] if self._is_stopping else self._halt(event.fault, is_restartable=True)

    def _again(self, stage: Stage, fault: Fault) -> list[Instruction]:
        match stage:
            case Stage.OPEN if not self._is_halting:
                self._sink = "opening"
                return [OpenSink(self._backoff(stage))]
            case Stage.INTEND:
                return [self._intend(self._current_group())]
            case Stage.COMMIT if fault.recovery is Recovery.ASK_SINK:
                return [QuerySink(self._backoff(stage))]
            case Stage.COMMIT:
                return [self._commit(self._current_group(), fault.retry_after_s or self._backoff(stage))]
            case Stage.FOLD:
                return [self._fold(self._current_group())]
            case _:
                return []

    def _slice_failed(self, event: Failed) -> list[Instruction]:
        assert event.piece is not None
        works = self._works
        places = {Stage.READ: works.reading, Stage.MAP: works.mapping, Stage.PREPARE: works.preparing}
        work = works.active(places[event.stage], event.piece, event.attempt)
        if work is None:
            return []
        fault = event.fault
        if fault.recovery is Recovery.FENCED:
            return self._halt(fault)
        if self._is_halting:
            return []
        if fault.recovery is Recovery.REPLAN:
            return self._halt(fault, is_restartable=True)
        if fault.recovery is Recovery.RECUT and len(event.piece.rank) < DEEPEST_RECUT:
            self._works.remove([work])
            self._count(planned=-1)
            return [self._recut(event.piece, event.piece.interval, fault.bytes_per_row)]
        if fault.recovery in (Recovery.RETRY, Recovery.REREAD) and work.failures + 1 < self.limits.attempts:
            return self._try_slice_again(event, work)
        if event.stage is not Stage.READ:
            return self._halt(fault)
        self._works.remove([work])
        self._count(failed=1)
        self._failures[event.piece.segment] += 1
        if event.piece.segment in self._given_up:
            self._count(planned=-self._works.drop_queued(event.piece.segment))
        self.fault = self.fault or fault
        return []

    def _try_slice_again(self, event: Failed, work: SliceRun) -> list[Instruction]:
        work.failures += 1
        self.retries += 1
        fault = event.fault
        delay_s = pause_s(fault, work.failures)
        if event.stage is Stage.MAP and fault.recovery is Recovery.RETRY:
            self._works.mapping.add(work.name)
            return [Map(work.piece, work.attempt, work.handle, delay_s)]
        if event.stage is Stage.PREPARE and fault.recovery is Recovery.RETRY:
            self._works.preparing.add(work.name)
            return [Prepare(work.piece, work.attempt, work.handle, delay_s, work.mapped)]
        out = self._unread(work)
        self._works.read_again(work)
        return [*out, Read(work.piece, work.attempt, delay_s)]

    def _prepared_lost(self, fault: Fault) -> list[Instruction]:
        """Of a group whose commit did not happen, and never will: its slices are read again, and the same number is the next one's."""
        works = self._current_group().works
        self._worked(Stage.COMMIT)
        if any(work.failures + 1 >= self.limits.attempts for work in works):
            return self._leave_group() + self._halt(fault)
        out = [step for work in works for step in self._unread(work)]
        for work in works:
            work.failures += 1
        self.retries += len(works)
        self._works.give_back(works)
        self._group = None
        return out

    def _unread(self, work: SliceRun) -> list[Instruction]:
        """Takes back what was counted of a slice, and drops its pages."""
        out: list[Instruction] = []
        if work.mapped is not None:
            self._add_mapped(work.mapped, -1)
            out.append(Drop(work.mapped.handles))
        if work.staged is not None:
            self._add_staged(work.staged, -1)
            out.append(Drop((work.handle,)))
        return out

    def _halt(self, fault: Fault, *, is_restartable: bool = False) -> list[Instruction]:
        """Starts nothing new; what is under way comes to its end."""
        if not self._is_fatal:
            self.fault, self._is_restartable = fault, is_restartable
        self._is_fatal = True
        return []

    def _leave_group(self) -> list[Instruction]:
        """Gives the commit under way up. The intent stays: the next run asks the sink, and rolls it forward or drops it."""
        if self._group is not None and self._group.is_issued:
            self._works.remove(self._group.works)
        self._group = None
        return []

    # --- small things

    def _current_group(self) -> CommitGroup:
        assert self._group is not None
        return self._group

    def _backoff(self, stage: Stage) -> float:
        return backoff_s(self._faults.get(stage, 0))

    def _add_staged(self, staged: Staged, sign: int) -> None:
        self.bytes_staged += sign * staged.handle.bytes
        counts = {"read": staged.rows_read, "staged": staged.handle.rows, "quarantined": staged.rows_quarantined}
        self.rows = self.rows.plus(RowCounts(**{name: sign * count for name, count in counts.items()}))

    def _add_mapped(self, mapped: Mapped, sign: int) -> None:
        self.rows = self.rows.plus(RowCounts(quarantined=sign * mapped.rows_quarantined))

    def _spent(self, work: SliceRun) -> tuple[Handle, ...]:
        """The pages of a slice that nobody will read again."""
        mapped = work.mapped.handles if work.mapped else ()
        return mapped if self.limits.keeps_staged else (work.handle, *mapped)

    def _drop(self, works: Iterable[SliceRun]) -> list[Instruction]:
        handles = tuple(handle for work in works for handle in self._spent(work))
        return [Drop(handles)] if handles else []

    def _count(self, *, planned: int = 0, committed: int = 0, failed: int = 0, degraded: int = 0) -> None:
        self.slices = self.slices.plus(
            SliceCounts(planned=planned, committed=committed, failed=failed, degraded=degraded)
        )


def claim(work: SliceRun) -> CommitClaim:
    assert work.staged is not None
    return CommitClaim(work.piece.segment, work.piece.scope_id, work.piece.rank, work.staged.covered)
