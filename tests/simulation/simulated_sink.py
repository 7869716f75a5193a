"""Simulated sink: numbered, fenced, atomic commits; answers get lost, and requests arrive late or twice."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import CommitError, CommitUnknown, Fenced, SinkError, SinkUnavailable, StagingLost
from ingest_ray.sdk.types import ADOPTED, Handle, Mapped, ModelCounts, Prepared, Receipt, Slice, WriteMode
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.invariants import InvariantChecker
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.simulated_history import Histories, keep_history
from tests.simulation.simulated_staging import MODEL, Rows, SimulatedStaging, row_hash


@dataclass
class SinkServer:
    """The sink's state. `shown` has every version of a row that readers see (append, replace), `newest` that of an upsert."""

    write: str
    checker: InvariantChecker
    is_mapped: bool = False
    """The sink stores rows of a model, which other units may fill, too."""
    refused: frozenset[int] = frozenset()
    """Keys whose rows the sink cannot hold: they go to quarantine when their slice is prepared."""
    adopts_files: bool = False
    """Readers write the files that a commit names."""
    epoch: int = 0
    sequence: int = 0
    receipt: Receipt | None = None
    prepared: dict[str, Rows] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """URIs that were prepared when the server crashed."""
    committed: set[str] = field(default_factory=set)
    """URIs of committed files: deleting one would delete rows."""
    shown: Counter[tuple[int, int]] = field(default_factory=Counter)
    newest: dict[int, int] = field(default_factory=dict)
    history: Histories = field(default_factory=dict)
    """What a history would have instead of `newest`."""
    copies: list["SinkCopy"] = field(default_factory=list)
    """What the sink was before each opening and each commit."""
    opened_by: set[str] = field(default_factory=set)
    """Runs, each of which has evolved the columns that its files have."""

    def read_progress(self, run_id: str) -> SinkProgress:
        return SinkProgress(self.epoch, self.sequence)

    def open(self, run_id: str, epoch: int) -> int:
        if epoch < self.epoch:
            raise Fenced(f"epoch {epoch} is older than {self.epoch}", newer_epoch=self.epoch)
        self.copies.append(SinkCopy.of(self))
        self.epoch = epoch
        self.opened_by.add(run_id)
        return self.sequence

    def prepare(self, run_id: str, piece: Slice, uri: str, rows: Rows) -> Prepared:
        self.prepared[uri] = list(rows)
        return Prepared(
            slice_id=piece.slice_id,
            rows=len(rows),
            row_hash="-",
            is_insert_only=piece.is_insert_only,
            payload={"uri": uri},
        )

    def adopts(self, piece: Slice) -> bool:
        return self.adopts_files and (self.write != "upsert" or piece.is_insert_only)

    def stage_files(self, run_id: str, piece: Slice, uri: str, rows: Rows) -> Prepared:
        if run_id not in self.opened_by:
            self.checker.report_violation("files are written for a table that the run has not opened")
        return self.prepare(run_id, piece, uri, rows)

    def sweep_files(self, run_id: str) -> int:
        """Deletes what a lost run staged, or prepared, and no commit named."""
        left = [uri for uri in self.prepared.keys() - self.committed if uri.startswith(f"{run_id}/")]
        for uri in left:
            del self.prepared[uri]
        return len(left)

    def delete_files(self, uri: str) -> None:
        """Without a look whether the table has them."""
        if uri in self.committed:
            self.checker.report_violation("files of the table are deleted")
        self.prepared.pop(uri, None)

    def abort(self, group: Sequence[Prepared]) -> None:
        for uri in (str(prepared.payload["uri"]) for prepared in group):
            if uri in self.committed:
                self.checker.report_violation("rows that are committed are aborted")
            self.prepared.pop(uri, None)

    def commit(self, run_id: str, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        if epoch != self.epoch:
            raise Fenced(f"epoch {epoch} is not {self.epoch}")
        rows_of = [self.prepared.get(str(prepared.payload["uri"])) for prepared in group]
        rows = [row for some in rows_of if some is not None for row in some]
        if sequence <= self.sequence:
            return Receipt(epoch=epoch, sequence=sequence, rows_committed=sum(prepared.rows for prepared in group))
        if any(str(prepared.payload["uri"]) in self.lost for prepared in group):
            raise StagingLost("the server has lost the prepared rows")
        if any(some is None for some in rows_of):
            self.checker.report_violation("rows that were aborted are committed")
        self.checker.check_commit(self.sequence, sequence)
        self.copies.append(SinkCopy.of(self))
        self.sequence = sequence
        self.committed |= {str(prepared.payload["uri"]) for prepared in group}
        return self._show(epoch, rows, all(prepared.is_insert_only for prepared in group))

    def copy(self) -> "SinkCopy":
        return SinkCopy.of(self)

    def restore(self, copy: "SinkCopy") -> None:
        """Becomes an earlier (or, after that, a newer) copy of itself; prepared rows are lost."""
        self.crash()
        self.epoch, self.sequence = copy.epoch, copy.sequence
        self.shown, self.newest, self.history = Counter(copy.shown), dict(copy.newest), copy.history

    def crash(self) -> None:
        self.lost |= self.prepared.keys() - self.committed
        for uri in self.lost:
            self.prepared.pop(uri, None)

    def _show(self, epoch: int, rows: Rows, is_insert: bool) -> Receipt:
        if self.write == "upsert":
            keys = {key for key, _ in rows}
            if is_insert and (keys & self.newest.keys() or len(keys) < len(rows)):
                self.checker.report_violation("an insert without a merge, of a key that is there")
            self.history = keep_history(self.history, rows, self.sequence, self.checker)
            for key, at in rows:
                self.newest[key] = max(at, self.newest.get(key, at))
            dropped = len(rows) - len(keys)
            if self.is_mapped:
                counts = {MODEL: ModelCounts(mapped=len(rows), committed=len(keys), deduplicated=dropped)}
                return Receipt(epoch=epoch, sequence=self.sequence, rows_committed=len(rows), models=counts)
            return Receipt(epoch=epoch, sequence=self.sequence, rows_committed=len(keys), rows_deduplicated=dropped)
        if self.write == "replace":
            self.shown.clear()
        self.shown.update(rows)
        self.checker.check_duplicates(rows, self.shown)
        return Receipt(epoch=epoch, sequence=self.sequence, rows_committed=len(rows))

    def truncate(self) -> None:
        """Removes all rows, as an operator may; the number stays."""
        self.shown.clear()
        self.newest.clear()
        self.history = {}

    def is_empty(self, run_id: str) -> bool:
        return not self.is_mapped and not self.newest and not self.shown

    def has_row(self, key: int, at: int) -> bool:
        return self.newest.get(key, -1) >= at if self.write == "upsert" else self.shown[key, at] > 0


@dataclass(frozen=True)
class SinkCopy:
    """A backup of the sink: epoch, number and rows."""

    epoch: int
    sequence: int
    shown: Counter[tuple[int, int]]
    newest: dict[int, int]
    history: Histories = field(default_factory=dict)

    @classmethod
    def of(cls, server: SinkServer) -> "SinkCopy":
        return cls(server.epoch, server.sequence, Counter(server.shown), dict(server.newest), server.history)


class Server(Protocol):
    """What both sinks of the simulation are: the abstract one, and the product's over a simulated database."""

    write: str
    is_mapped: bool
    refused: frozenset[int]
    shown: Counter[tuple[int, int]]
    newest: dict[int, int]
    sequence: int
    copies: list[Any]

    def read_progress(self, run_id: str) -> SinkProgress: ...
    def open(self, run_id: str, epoch: int) -> int: ...
    def is_empty(self, run_id: str) -> bool: ...
    def prepare(self, run_id: str, piece: Slice, uri: str, rows: Rows) -> Prepared: ...
    def commit(self, run_id: str, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt: ...
    def abort(self, group: Sequence[Prepared]) -> None: ...
    def has_row(self, key: int, at: int) -> bool: ...
    def crash(self) -> None: ...
    def truncate(self) -> None: ...
    def copy(self) -> Any: ...
    def restore(self, copy: Any) -> None: ...


@dataclass
class SimulatedUnitWriter:
    """A run's connection to the sink server: requests and answers take time, or never arrive."""

    server: Server
    scheduler: Scheduler
    faults: FaultInjector
    staging: SimulatedStaging
    run_id: str = ""
    _machine: Process = field(default_factory=lambda: Process("sink server"))
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def write(self) -> WriteMode:
        return WriteMode(self.server.write)

    @property
    def location(self) -> str:
        return "the table"

    def read_progress(self) -> SinkProgress:
        self._begin_request()
        return self.server.read_progress(self.run_id)

    def open(self, epoch: int) -> int:
        self._begin_request()
        sequence = self.server.open(self.run_id, epoch)
        if self.faults.occurs("sink: answer lost"):
            raise SinkUnavailable("opened, but the answer was lost")
        self.scheduler.pause()
        return sequence

    def is_empty(self) -> bool:
        self._begin_request()
        return self.server.is_empty(self.run_id)

    def adopts(self, piece: Slice) -> bool:
        return isinstance(self.server, SinkServer) and self.server.adopts(piece)

    def stage_files(self, run_id: str, piece: Slice, attempt: int, rows: Rows) -> tuple[Handle, Prepared]:
        """The rows of a slice as files of the sink: what the reader reports instead of pages."""
        assert isinstance(self.server, SinkServer)
        self._begin_request()
        uri = f"{run_id}/{next(self._numbers)}"
        handle = Handle(
            provider=ADOPTED,
            uri=uri,
            run_id=run_id,
            slice_id=piece.slice_id,
            attempt=attempt,
            rows=len(rows),
            bytes=len(rows),
            schema_fingerprint="-",
            row_hash=row_hash(rows),
        )
        prepared = self.server.stage_files(run_id, piece, uri, rows)
        self.faults.note("adopted files")
        return handle, prepared.model_copy(update={"row_hash": ""})

    def sweep_files(self, run_id: str) -> int:
        if not isinstance(self.server, SinkServer) or not self.server.adopts_files:
            return 0
        self._begin_request()
        swept = self.server.sweep_files(run_id)
        self.faults.fault_counts["adopted files swept"] += swept
        return swept

    def delete_files(self, handle: Handle) -> None:
        assert isinstance(self.server, SinkServer)
        self.server.delete_files(handle.uri)

    def prepare(self, run_id: str, piece: Slice, handle: Handle, mapped: Mapped | None) -> Prepared:
        rows = self.staging.read(mapped.models[0].handle if mapped else handle)
        self._begin_request()
        uri = f"{run_id}/{next(self._numbers)}"
        fitting = [row for row in rows if row[0] not in self.server.refused]
        prepared = self.server.prepare(run_id, piece, uri, fitting)
        return prepared.model_copy(
            update={
                "row_hash": row_hash(rows),
                "rows_quarantined": len(rows) - len(fitting),
                "quarantine_uri": uri if len(fitting) < len(rows) else None,
                "models": {MODEL: len(fitting)} if mapped else {},
            }
        )

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        self._begin_request()
        self.scheduler.trace(f"commit {sequence} of epoch {epoch}")
        if self.faults.occurs("sink: prepared lost"):
            self.server.crash()
        if self.faults.occurs("sink: commit lands late"):
            self.scheduler.spawn(self._machine, lambda: self._apply_later(epoch, sequence, group))
            raise CommitUnknown("no answer yet")
        if self.faults.occurs("sink: done twice"):
            self.scheduler.spawn(self._machine, lambda: self._apply_later(epoch, sequence, group))
        receipt = self.server.commit(self.run_id, epoch, sequence, group)
        if self.faults.occurs("sink: answer lost"):
            raise CommitUnknown("committed, but the answer was lost")
        self.scheduler.pause()
        return receipt

    def lose_requests(self) -> None:
        """Requests under way end with the server."""
        self.scheduler.kill(self._machine)
        self._machine = Process("sink server")

    def _apply_later(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> None:
        """Applies a request a second time, or late, long after its sender has given it up."""
        self.scheduler.sleep(self.faults.random.choice([0.1, 1.0, 20.0]))
        try:
            self.server.commit(self.run_id, epoch, sequence, group)
        except Fenced:
            self.faults.fault_counts["late commit fenced"] += 1
        except StagingLost:
            self.faults.fault_counts["late commit of what was lost"] += 1
        except (SinkError, CommitError):
            self.faults.fault_counts["late commit refused"] += 1

    def abort(self, group: Sequence[Prepared]) -> None:
        self.server.abort(group)

    def _begin_request(self) -> None:
        self.scheduler.pause()
        if self.faults.occurs("sink: not answered"):
            raise SinkUnavailable("the sink does not answer")
