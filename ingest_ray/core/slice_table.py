"""The slices of a run on their way: which are queued, read, staged, mapped, prepared, and what they weigh.

Bookkeeping only; the ledger decides. A slice is in exactly one place at a time.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingest_ray.sdk.types import Handle, Mapped, Prepared, Receipt, Slice, Staged

MOST_CLAIM_BYTES = 48 * 1024  # an intent names all slices of a group, and must stay below 64 KiB


@dataclass
class SliceRun:
    """One slice that was started. `failures` counts its retries, over all of its stages."""

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
        found = (
            self.staged.quarantine_uri if self.staged else None,
            self.mapped.quarantine_uri if self.mapped else None,
        )
        return tuple(uri for uri in found if uri)


@dataclass
class CommitGroup:
    """The commit under way. Once `is_issued`, its rows may be in the sink, whatever the answer was."""

    works: tuple[SliceRun, ...]
    sequence: int = 0
    is_issued: bool = False
    receipt: Receipt | None = None

    @property
    def prepared(self) -> tuple[Prepared, ...]:
        return tuple(work.prepared for work in self.works if work.prepared is not None)

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
    given_back: dict[str, SliceRun] = field(default_factory=dict)
    """Slices of the queue that were started before."""
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
        work = self.given_back.pop(piece.slice_id, None) or SliceRun(piece)
        self.started[work.name] = work
        self.reserve(work, reserve_bytes)
        self.reading.add(work.name)
        return work

    def reserve(self, work: SliceRun, size: int) -> None:
        self.reserved_bytes += size - work.reserved_bytes
        work.reserved_bytes = size

    def active(self, place: set[str], piece: Slice, attempt: int) -> SliceRun | None:
        """The work that an outcome belongs to; None where the outcome is of an attempt that no longer counts."""
        work = self.started.get(piece.slice_id)
        if work is None or work.attempt != attempt or work.name not in place:
            return None
        place.discard(work.name)
        return work

    def is_current(self, piece: Slice, attempt: int) -> bool:
        """The attempt is the one that counts: a second report of it must not take its pages away."""
        work = self.started.get(piece.slice_id)
        return work is not None and work.attempt == attempt

    def stage(self, work: SliceRun, staged: Staged) -> None:
        work.staged = staged
        self.reserve(work, staged.handle.bytes)
        self.staged.append(work.name)

    def take_staged(self) -> SliceRun:
        work = self.started[self.staged.popleft()]
        self.mapping.add(work.name)
        return work

    def map(self, work: SliceRun, mapped: Mapped | None) -> None:
        """Nothing is mapped where there is no mapper: what is staged is what will be prepared."""
        work.mapped = mapped
        self.reserve(work, work.bytes)
        self.mapped.append(work.name)

    def take_mapped(self) -> SliceRun:
        work = self.started[self.mapped.popleft()]
        self.preparing.add(work.name)
        return work

    def make_ready(self, work: SliceRun, prepared: Prepared) -> None:
        work.prepared = prepared
        self.ready[work.name] = work

    def read_again(self, work: SliceRun) -> None:
        work.staged, work.mapped, work.attempt = None, None, work.attempt + 1
        self.reading.add(work.name)

    def give_back(self, works: Sequence[SliceRun]) -> None:
        """To the front of the queue: what was made of them is gone, and their next attempt is another one."""
        self.remove(works)
        for work in reversed(works):
            work.staged, work.mapped, work.prepared, work.reserved_bytes = None, None, None, 0
            work.attempt += 1
            self.given_back[work.name] = work
            self.queue.appendleft(work.piece)

    def remove(self, works: Iterable[SliceRun]) -> None:
        for work in works:
            if self.started.pop(work.name, None) is not None:
                self.reserved_bytes -= work.reserved_bytes
            self.ready.pop(work.name, None)

    @property
    def is_moving(self) -> bool:
        """Something is being read, mapped or prepared."""
        return bool(self.reading or self.mapping or self.preparing)

    @property
    def is_waiting(self) -> bool:
        """Something could be mapped or prepared."""
        return bool(self.staged or self.mapped)

    @property
    def first_is_insert(self) -> bool:
        return next(iter(self.ready.values())).piece.is_insert_only

    @property
    def ready_bytes(self) -> int:
        return sum(work.bytes for work in self.ready.values())

    def drop_queued(self, segment: str) -> int:
        """Forgets the slices of a segment that nobody has begun to read; returns how many."""
        before = len(self.queue)
        self.queue = deque(piece for piece in self.queue if piece.segment != segment)
        return before - len(self.queue)

    def choose_group(self, most: int, most_bytes: int) -> CommitGroup:
        """The oldest prepared slices that are alike: inserts are committed without a merge, so kinds are not mixed."""
        is_insert = self.first_is_insert
        chosen: list[SliceRun] = []
        total = claims = 0
        for work in self.ready.values():
            if work.piece.is_insert_only != is_insert:
                continue
            size = claim_bytes(work.piece)
            is_full = len(chosen) >= most or total + work.bytes > most_bytes or claims + size > MOST_CLAIM_BYTES
            if chosen and is_full:
                break
            chosen.append(work)
            total, claims = total + work.bytes, claims + size
        return self.take(chosen)

    def take(self, works: list[SliceRun]) -> CommitGroup:
        for work in works:
            del self.ready[work.name]
        return CommitGroup(tuple(works))


def claim_bytes(piece: Slice) -> int:
    """About what one slice needs in an intent: some positions are long texts."""
    ends = [*(piece.interval.lower or ()), *(piece.interval.upper or ())]
    return 200 + len(piece.slice_id) + sum(len(str(item)) for item in ends)
