"""The steps of a run that are possible now: what to open, plan, read, map, prepare and commit next, and when the run is over."""

from dataclasses import dataclass

from ingest_ray.core import balance
from ingest_ray.core.messages import (
    Abort,
    ApplyCommit,
    Commit,
    CommitClaim,
    Drop,
    Fault,
    Finish,
    Instruction,
    Map,
    OpenSink,
    Plan,
    Prepare,
    Read,
    RecordIntent,
    ReplanSlice,
    Stage,
)
from ingest_ray.core.run_progress import RunProgress
from ingest_ray.core.slice_table import CommitGroup, SliceRun
from ingest_ray.sdk.types import Interval, RunState, Slice

PLANNED_AHEAD = 2  # queued slices per reader below which more are planned: planning takes about as long as reading one


@dataclass
class NextSteps(RunProgress):
    def _next(self) -> list[Instruction]:
        out: list[Instruction] = []
        if not self._is_halting:
            out += (
                self._next_open() + self._next_maps() + self._next_prepares() + self._next_reads() + self._next_plan()
            )
        return self._next_commit() + out + self._next_finish()

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
        if self.limits.adopts_files and self._sink != "open":
            return out
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

    def _commit(self, group: CommitGroup, delay_s: float = 0.0) -> Commit:
        group.is_issued = True
        return Commit(group.sequence, group.prepared, delay_s)

    def _apply_commit(self, group: CommitGroup) -> ApplyCommit:
        return ApplyCommit(group.sequence, self._backoff(Stage.FOLD))

    def _replan(self, piece: Slice, interval: Interval, bytes_per_row: float | None) -> ReplanSlice:
        self._pending_replans += 1
        number = self._replan_counts[piece.slice_id]
        self._replan_counts[piece.slice_id] += 1
        return ReplanSlice(piece, interval, bytes_per_row, number)

    def _halt(self, fault: Fault, *, is_restartable: bool = False) -> list[Instruction]:
        """Stops starting slices; those under way are finished."""
        if not self._is_fatal:
            self.fault, self._is_restartable = fault, is_restartable
        self._is_fatal = True
        return []


def claim_of(slice_run: SliceRun) -> CommitClaim:
    assert slice_run.staged is not None
    return CommitClaim(
        slice_run.piece.segment, slice_run.piece.scope_id, slice_run.piece.rank, slice_run.staged.covered
    )
