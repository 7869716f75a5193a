"""The sink: numbered, fenced, atomic commits; answers get lost, and requests arrive late or twice."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest_ray.sdk.errors import CommitUnknown, Fenced, SinkUnavailable, StagingLost
from ingest_ray.sdk.types import Handle, Mapped, ModelCounts, Prepared, Receipt, Slice
from tests.simulation.chance import Chance
from tests.simulation.judge import Judge
from tests.simulation.pages import Pages, Rows, row_hash
from tests.simulation.scheduler import Process, Scheduler

MODEL = "model"


@dataclass
class Server:
    """`shown`: every version of a row that readers see (append, replace); of an upsert the newest."""

    write: str
    judge: Judge
    is_mapped: bool = False
    """It takes rows of a model, which other units may fill, too."""
    epoch: int = 0
    sequence: int = 0
    receipt: Receipt | None = None
    prepared: dict[str, Rows] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """What was prepared when the server crashed."""
    committed: set[str] = field(default_factory=set)
    """Files of a lake: taking them away now would take rows away."""
    shown: Counter[tuple[int, int]] = field(default_factory=Counter)
    newest: dict[int, int] = field(default_factory=dict)

    def open(self, epoch: int) -> int:
        if epoch < self.epoch:
            raise Fenced(f"epoch {epoch} is older than {self.epoch}", newer_epoch=self.epoch)
        self.epoch = epoch
        return self.sequence

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        if epoch != self.epoch:
            raise Fenced(f"epoch {epoch} is not {self.epoch}")
        rows_of = [self.prepared.get(str(prepared.payload["uri"])) for prepared in group]
        rows = [row for some in rows_of if some is not None for row in some]
        if sequence <= self.sequence:
            return Receipt(epoch=epoch, sequence=sequence, rows_committed=sum(prepared.rows for prepared in group))
        if any(str(prepared.payload["uri"]) in self.lost for prepared in group):
            raise StagingLost("the server has lost what was prepared")
        if any(some is None for some in rows_of):
            self.judge.accuse("rows that were aborted are committed")
        self.judge.commits(self.sequence, sequence)
        self.sequence = sequence
        self.committed |= {str(prepared.payload["uri"]) for prepared in group}
        return self._show(epoch, rows, all(prepared.is_insert_only for prepared in group))

    def crash(self) -> None:
        self.lost |= self.prepared.keys() - self.committed
        for uri in self.lost:
            self.prepared.pop(uri, None)

    def _show(self, epoch: int, rows: Rows, is_insert: bool) -> Receipt:
        if self.write == "upsert":
            keys = {key for key, _ in rows}
            if is_insert and (keys & self.newest.keys() or len(keys) < len(rows)):
                self.judge.accuse("an insert without a merge, of a key that is there")
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
        self.judge.shows(rows, self.shown)
        return Receipt(epoch=epoch, sequence=self.sequence, rows_committed=len(rows))

    @property
    def is_empty(self) -> bool:
        return not self.is_mapped and not self.newest and not self.shown

    def has(self, key: int, at: int) -> bool:
        return self.newest.get(key, -1) >= at if self.write == "upsert" else self.shown[key, at] > 0


@dataclass
class UnitWriter:
    """What a run's processes see of the server: requests and answers that take time, or never arrive."""

    server: Server
    scheduler: Scheduler
    chance: Chance
    pages: Pages
    _machine: Process = field(default_factory=lambda: Process("sink server"))
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def open(self, epoch: int) -> int:
        self._ask()
        sequence = self.server.open(epoch)
        if self.chance.strikes("sink: answer lost"):
            raise SinkUnavailable("opened, but the answer was lost")
        self.scheduler.pause()
        return sequence

    def is_empty(self) -> bool:
        self._ask()
        return self.server.is_empty

    def prepare(self, run_id: str, piece: Slice, handle: Handle, mapped: Mapped | None) -> Prepared:
        rows = self.pages.read(mapped.models[0].handle if mapped else handle)
        self._ask()
        uri = f"{run_id}/{next(self._numbers)}"
        self.server.prepared[uri] = list(rows)
        return Prepared(
            slice_id=piece.slice_id,
            rows=len(rows),
            row_hash=row_hash(rows),
            is_insert_only=piece.is_insert_only,
            models={MODEL: len(rows)} if mapped else {},
            payload={"uri": uri},
        )

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        self._ask()
        self.scheduler.say(f"commit {sequence} of epoch {epoch}")
        if self.chance.strikes("sink: prepared lost"):
            self.server.crash()
        if self.chance.strikes("sink: commit lands late"):
            self.scheduler.spawn(self._machine, lambda: self._land(epoch, sequence, group))
            raise CommitUnknown("no answer yet")
        if self.chance.strikes("sink: done twice"):
            self.scheduler.spawn(self._machine, lambda: self._land(epoch, sequence, group))
        receipt = self.server.commit(epoch, sequence, group)
        if self.chance.strikes("sink: answer lost"):
            raise CommitUnknown("committed, but the answer was lost")
        self.scheduler.pause()
        return receipt

    def _land(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> None:
        """The same request again, or only now, long after its sender has given it up."""
        self.scheduler.sleep(self.chance.random.choice([0.1, 1.0, 20.0]))
        try:
            self.server.commit(epoch, sequence, group)
        except Fenced:
            self.chance.struck["late commit fenced"] += 1
        except StagingLost:
            self.chance.struck["late commit of what was lost"] += 1

    def abort(self, group: Sequence[Prepared]) -> None:
        for uri in (str(prepared.payload["uri"]) for prepared in group):
            if uri in self.server.committed:
                self.server.judge.accuse("rows that are committed are aborted")
            self.server.prepared.pop(uri, None)

    def _ask(self) -> None:
        self.scheduler.pause()
        if self.chance.strikes("sink: not answered"):
            raise SinkUnavailable("the sink does not answer")
