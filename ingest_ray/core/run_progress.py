"""The state of a run while it goes on: its slices, its commit group and its counts; and what follows from them."""

from collections import Counter
from dataclasses import dataclass, field

from ingest_ray.core import balance
from ingest_ray.core.limits import Limits
from ingest_ray.core.messages import Fault, Finish, Stage
from ingest_ray.core.retry import backoff_s
from ingest_ray.core.slice_table import CommitGroup, SliceRun, SliceTable
from ingest_ray.sdk.types import Handle, Mapped, ModelCounts, Prepared, RowCounts, RunState, SliceCounts, Staged


@dataclass
class RunProgress:
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

    @property
    def _is_drained(self) -> bool:
        """True when no slice is planned, read or prepared, and none will be."""
        table = self._table
        is_idle = not (table.is_moving or table.is_waiting or table.queue or self._pending_replans or self._is_planning)
        return is_idle and (self._is_planned or self._is_giving_up)

    def _current_group(self) -> CommitGroup:
        assert self._group is not None
        return self._group

    def _backoff(self, stage: Stage) -> float:
        return backoff_s(self._faults.get(stage, 0))

    # --- accounting

    def _add_staged(self, staged: Staged, sign: int) -> None:
        self.bytes_staged += sign * staged.handle.bytes
        self._first_rejection = self._first_rejection or staged.first_rejection
        counts = {"read": staged.rows_read, "staged": staged.handle.rows, "quarantined": staged.rows_quarantined}
        self.rows = self.rows.plus(RowCounts(**{name: sign * count for name, count in counts.items()}))

    def _add_mapped(self, mapped: Mapped, sign: int) -> None:
        self._first_rejection = self._first_rejection or mapped.first_rejection
        self.rows = self.rows.plus(RowCounts(quarantined=sign * mapped.rows_quarantined))

    def _add_prepared(self, slice_run: SliceRun, prepared: Prepared, sign: int) -> None:
        """Rows that the sink refuses count as not staged, except in CDM mode, where staged rows are mapped or in quarantine."""
        refused = sign * prepared.rows_quarantined
        self._first_rejection = self._first_rejection or prepared.first_rejection
        self.rows = self.rows.plus(RowCounts(quarantined=refused, staged=-refused if slice_run.mapped is None else 0))

    def _check_quarantine_limit(self) -> Fault | None:
        return balance.check_quarantine_limit(
            self.rows.quarantined, self.limits.quarantined_rows, self._first_rejection
        )

    def _count(self, *, planned: int = 0, committed: int = 0, failed: int = 0, degraded: int = 0) -> None:
        self.slices = self.slices.plus(
            SliceCounts(planned=planned, committed=committed, failed=failed, degraded=degraded)
        )

    def _unneeded_handles(self, slice_run: SliceRun) -> tuple[Handle, ...]:
        """The handles of a slice whose pages are not needed any more. Adopted files have no pages: the table may have them."""
        mapped = slice_run.mapped.handles if slice_run.mapped else ()
        is_kept = self.limits.keeps_staged or slice_run.handle.is_adopted
        return mapped if is_kept else (slice_run.handle, *mapped)
