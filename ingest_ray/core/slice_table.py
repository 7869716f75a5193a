"""The table of a run's slices: which are queued, being read, staged, mapped or prepared, and their bytes.

Bookkeeping only; the ledger decides. A slice is in exactly one state at a time.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingest_ray.sdk.types import Handle, Mapped, Prepared, Receipt, Slice, Staged

MAX_CLAIM_BYTES = 48 * 1024  # an intent names all slices of a group, and must stay below 64 KiB


@dataclass
class SliceRun:
    """One started slice. `failures` counts its retries over all stages."""

    piece: Slice
    attempt: int = 1
    failures: int = 0
    reserved_bytes: int = 0
    staged: Staged | None = None
    mapped: Mapped | None = None
    prepared: Prepared | None = None

    @property
    def name(self) -> str:
        return self.piece.slice_id

    @property
    def handle(self) -> Handle:
        assert self.staged is not None
        return self.staged.handle

    @property
    def bytes(self) -> int:
        return self.handle.bytes + (self.mapped.bytes if self.mapped else 0)

    @property
    def is_degraded(self) -> bool:
        """Some of its rows are in quarantine."""
        return bool(self.quarantine_uris)

    @property
    def quarantine_uris(self) -> tuple[str, ...]:
        uris = (
            self.staged.quarantine_uri if self.staged else None,
            self.mapped.quarantine_uri if self.mapped else None,
            self.prepared.quarantine_uri if self.prepared else None,
        )
        return tuple(uri for uri in uris if uri)


@dataclass
class CommitGroup:
    """The commit under way. Once `is_issued`, its rows may be in the sink, whatever the sink returned."""

    slice_runs: tuple[SliceRun, ...]
    sequence: int = 0
    is_issued: bool = False
    receipt: Receipt | None = None

    @property
    def prepared(self) -> tuple[Prepared, ...]:
        return tuple(slice_run.prepared for slice_run in self.slice_runs if slice_run.prepared is not None)

    @property
    def rows_dropped_before(self) -> int:
        return sum(prepared.rows_deduplicated for prepared in self.prepared)

    @property
    def rows(self) -> int:
        return sum(prepared.rows for prepared in self.prepared)

    @property
    def models(self) -> dict[str, int]:
        """Rows of each CDM model."""
        total: dict[str, int] = {}
        for prepared in self.prepared:
            for name, rows in prepared.models.items():
                total[name] = total.get(name, 0) + rows
        return total


@dataclass
class SliceTable:
    queue: deque[Slice] = field(default_factory=deque)
    requeued: dict[str, SliceRun] = field(default_factory=dict)
    """Queued slices that were started before."""
    started: dict[str, SliceRun] = field(default_factory=dict)
    reading: set[str] = field(default_factory=set)
    staged: deque[str] = field(default_factory=deque)
    mapping: set[str] = field(default_factory=set)
    mapped: deque[str] = field(default_factory=deque)
    preparing: set[str] = field(default_factory=set)
    ready: dict[str, SliceRun] = field(default_factory=dict)
    reserved_bytes: int = 0

    def start(self, reserve_bytes: int) -> SliceRun:
        piece = self.queue.popleft()
        slice_run = self.requeued.pop(piece.slice_id, None) or SliceRun(piece)
        self.started[slice_run.name] = slice_run
        self.reserve(slice_run, reserve_bytes)
        self.reading.add(slice_run.name)
        return slice_run

    def reserve(self, slice_run: SliceRun, size: int) -> None:
        self.reserved_bytes += size - slice_run.reserved_bytes
        slice_run.reserved_bytes = size

    def take_active(self, active: set[str], piece: Slice, attempt: int) -> SliceRun | None:
        """Removes from `active` the slice that an event is about; None where the event is of an outdated attempt."""
        slice_run = self.started.get(piece.slice_id)
        if slice_run is None or slice_run.attempt != attempt or slice_run.name not in active:
            return None
        active.discard(slice_run.name)
        return slice_run

    def is_current(self, piece: Slice, attempt: int) -> bool:
        """True for the attempt that counts. A second report of it must not drop its pages."""
        slice_run = self.started.get(piece.slice_id)
        return slice_run is not None and slice_run.attempt == attempt

    def stage(self, slice_run: SliceRun, staged: Staged) -> None:
        slice_run.staged = staged
        self.reserve(slice_run, staged.handle.bytes)
        self.staged.append(slice_run.name)

    def adopt(self, slice_run: SliceRun, prepared: Prepared) -> None:
        """A slice that was just staged in the sink's own files is prepared with that."""
        self.staged.remove(slice_run.name)
        self.make_ready(slice_run, prepared)

    def take_staged(self) -> SliceRun:
        slice_run = self.started[self.staged.popleft()]
        self.mapping.add(slice_run.name)
        return slice_run

    def map(self, slice_run: SliceRun, mapped: Mapped | None) -> None:
        """`mapped` is None where the run has no mapper: the staged rows are prepared as they are."""
        slice_run.mapped = mapped
        self.reserve(slice_run, slice_run.bytes)
        self.mapped.append(slice_run.name)

    def take_mapped(self) -> SliceRun:
        slice_run = self.started[self.mapped.popleft()]
        self.preparing.add(slice_run.name)
        return slice_run

    def make_ready(self, slice_run: SliceRun, prepared: Prepared) -> None:
        slice_run.prepared = prepared
        self.ready[slice_run.name] = slice_run

    def read_again(self, slice_run: SliceRun) -> None:
        slice_run.staged, slice_run.mapped, slice_run.attempt = None, None, slice_run.attempt + 1
        self.reading.add(slice_run.name)

    def requeue(self, slice_runs: Sequence[SliceRun]) -> None:
        """Puts slices at the front of the queue. Their staged and prepared rows are gone; reading them is a new attempt."""
        self.remove(slice_runs)
        for slice_run in reversed(slice_runs):
            slice_run.staged, slice_run.mapped, slice_run.prepared, slice_run.reserved_bytes = None, None, None, 0
            slice_run.attempt += 1
            self.requeued[slice_run.name] = slice_run
            self.queue.appendleft(slice_run.piece)

    def remove(self, slice_runs: Iterable[SliceRun]) -> None:
        for slice_run in slice_runs:
            if self.started.pop(slice_run.name, None) is not None:
                self.reserved_bytes -= slice_run.reserved_bytes
            self.ready.pop(slice_run.name, None)

    @property
    def is_moving(self) -> bool:
        """True while a slice is being read, mapped or prepared."""
        return bool(self.reading or self.mapping or self.preparing)

    @property
    def is_waiting(self) -> bool:
        """True while a slice waits to be mapped or prepared."""
        return bool(self.staged or self.mapped)

    @property
    def first_is_insert(self) -> bool:
        return next(iter(self.ready.values())).piece.is_insert_only

    @property
    def ready_bytes(self) -> int:
        return sum(slice_run.bytes for slice_run in self.ready.values())

    def drop_queued(self, segment: str) -> int:
        """Removes the queued slices of a segment; returns how many."""
        before = len(self.queue)
        self.queue = deque(piece for piece in self.queue if piece.segment != segment)
        return before - len(self.queue)

    def take_group(self, max_slices: int, max_bytes: int) -> CommitGroup:
        """Takes the oldest prepared slices of one kind: inserts are committed without a merge, so kinds are not mixed."""
        is_insert = self.first_is_insert
        chosen: list[SliceRun] = []
        total = claims = 0
        for slice_run in self.ready.values():
            if slice_run.piece.is_insert_only != is_insert:
                continue
            size = claim_bytes(slice_run.piece)
            is_full = (
                len(chosen) >= max_slices or total + slice_run.bytes > max_bytes or claims + size > MAX_CLAIM_BYTES
            )
            if chosen and is_full:
                break
            chosen.append(slice_run)
            total, claims = total + slice_run.bytes, claims + size
        return self.take(chosen)

    def take(self, slice_runs: list[SliceRun]) -> CommitGroup:
        for slice_run in slice_runs:
            del self.ready[slice_run.name]
        return CommitGroup(tuple(slice_runs))


def claim_bytes(piece: Slice) -> int:
    """The approximate size of one slice in an intent. Some positions are long texts."""
    ends = [*(piece.interval.lower or ()), *(piece.interval.upper or ())]
    return 200 + len(piece.slice_id) + sum(len(str(item)) for item in ends)
