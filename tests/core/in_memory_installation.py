"""A whole installation in memory, around the real ledger, checkpoint, planning and state writer.

A seeded scheduler completes, fails, delays and reorders pending instructions, and crashes the process anywhere. The
source is a table of integers; the sink is a list of rows that keeps sequence numbers and epochs as real sinks do.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ingest_ray.core import messages as m
from ingest_ray.core import planning
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.limits import Limits
from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import Fenced, Recovery, StateConflict
from ingest_ray.sdk.types import (
    Axis,
    Dataset,
    Effect,
    Endpoint,
    Handle,
    Interval,
    Mapped,
    MappedModel,
    ModelCounts,
    Piece,
    Position,
    Prepared,
    Receipt,
    RunState,
    Scope,
    SegmentState,
    Slice,
    Staged,
    UnitConfig,
    UnitSpec,
)
from ingest_ray.state.documents import Owner
from ingest_ray.state.writer import StateWriter

KEY = Axis(kind="key", columns=("id",))
CURSOR = Axis(kind="cursor", columns=("at",))
SPEC = UnitSpec(
    endpoint=Endpoint(endpoint_id="e", template="t"),
    dataset=Dataset(endpoint_id="e", name="u", columns=()),
    config=UnitConfig(endpoint_id="e", unit_id="u", sink_id="s"),
)


class Crash(Exception):
    pass


class MemoryKV:
    """Compare-and-set in a dict."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[dict[str, Any], int]] = {}
        self._versions = itertools.count(1)

    def get(self, key: str) -> tuple[dict[str, Any], int] | None:
        return self.documents.get(key)

    def put(self, key: str, value: Mapping[str, Any], if_version: int) -> int:
        if self.documents.get(key, ({}, 0))[1] != if_version:
            raise StateConflict(key)
        version = next(self._versions)
        self.documents[key] = (dict(value), version)
        return version

    def delete(self, key: str, if_version: int) -> None:
        if self.documents.get(key, ({}, 0))[1] != if_version:
            raise StateConflict(key)
        del self.documents[key]

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, Any], int]]:
        for key in sorted(self.documents):
            if key.startswith(prefix):
                yield key, *self.documents[key]


@dataclass
class Source:
    """Rows (id -> time of last change). Segments are `id % segments`."""

    segments: int = 1
    now: int = 10
    rows: dict[int, int] = field(default_factory=dict)

    def change(self, key: int) -> None:
        self.now += 1
        self.rows[key] = self.now

    def of(self, segment: str) -> dict[int, int]:
        return {key: at for key, at in self.rows.items() if str(key % self.segments) == segment}


@dataclass
class Sink:
    """`history` has every row version that was ever committed; an upsert sink's content is the newest of each key."""

    is_upsert: bool
    epoch: int = 0
    sequence: int = 0
    history: list[tuple[int, int]] = field(default_factory=list)

    def open(self, epoch: int) -> int:
        if epoch < self.epoch:
            raise Fenced("old epoch")
        self.epoch = epoch
        return self.sequence

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        if epoch != self.epoch:
            raise Fenced("old epoch")
        rows = [tuple(row) for prepared in group for row in prepared.payload["rows"]]  # type: ignore[union-attr,arg-type]
        if sequence > self.sequence:
            if self.is_upsert and any(prepared.is_insert_only for prepared in group):
                known = {key for key, _ in self.history}
                assert not known & {key for key, _ in rows}, "an insert of a key that is there already"
            self.history += rows  # type: ignore[arg-type]
            self.sequence = sequence
        models = Counter[str]()
        for prepared in group:
            models.update(prepared.models)
        counts = {name: ModelCounts(mapped=made, committed=made) for name, made in models.items()}
        return Receipt(epoch=epoch, sequence=sequence, rows_committed=len(rows), models=counts)

    @property
    def content(self) -> Counter[tuple[int, int]]:
        if not self.is_upsert:
            return Counter(self.history)
        newest: dict[int, int] = {}
        for key, at in self.history:
            newest[key] = max(at, newest.get(key, at))
        return Counter(newest.items())


@dataclass
class IntStrategy:
    """Full load along the key, then along the change time; with look-back."""

    source: Source
    is_upsert: bool
    width: int = 4
    lookback: int = 0
    descriptor: Any = None

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> list[Scope]:
        out = []
        for segment in map(str, range(self.source.segments)):
            out += self._of_segment(known.get(segment, SegmentState(segment=segment)), probe)
        return out

    def _of_segment(self, state: SegmentState, probe: Probe) -> list[Scope]:
        horizon = (int(probe.facts["now"]),)  # type: ignore[arg-type]
        if not state.is_loaded:
            load = Scope(
                scope_id="load",
                segment=state.segment,
                axis=KEY,
                effect=Effect.LOAD,
                horizon=horizon,
                is_insert_only=self.is_upsert,
            )
            return [scope for scope in state.scopes if scope.effect is Effect.LOAD] or [load]
        open_scopes = list(state.scopes)
        advances = [scope for scope in open_scopes if scope.effect is Effect.ADVANCE]
        end = advances[-1].target.upper if advances else state.watermark
        assert end is not None
        if end[0] < horizon[0]:  # type: ignore[operator]
            target = Interval(lower=end, upper=horizon)
            open_scopes.append(self._scope(state, f"since-{end[0]}", target, Effect.ADVANCE))
        if self.lookback and self.is_upsert:
            target = Interval(lower=(int(end[0]) - self.lookback,), upper=end)
            if f"again-{end[0]}" not in {scope.scope_id for scope in open_scopes}:
                open_scopes.append(self._scope(state, f"again-{end[0]}", target, Effect.REPEAT))
        return open_scopes

    def _scope(self, state: SegmentState, name: str, target: Interval, effect: Effect) -> Scope:
        return Scope(scope_id=name, segment=state.segment, axis=CURSOR, target=target, effect=effect)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        lower = gap.lower
        points = sorted({key if scope.axis is KEY or scope.axis == KEY else at for key, at in self._rows(scope, gap)})
        for point in points[self.width :: self.width]:
            yield Piece(interval=Interval(lower=lower, upper=(point,)), estimated_bytes=10)
            lower = (point,)
        yield Piece(interval=Interval(lower=lower, upper=gap.upper), estimated_bytes=10)

    def _rows(self, scope: Scope | Slice, interval: Interval) -> list[tuple[int, int]]:
        axis = 0 if scope.axis == KEY else 1
        return sorted(
            (row for row in self.source.of(scope.segment).items() if is_inside(row[axis], interval)),
            key=lambda row: row[axis],
        )

    def read(self, piece: Slice, horizon: Position | None) -> list[tuple[int, int]]:
        rows = self._rows(piece, piece.interval)
        if piece.effect is Effect.LOAD and not self.is_upsert and horizon is not None:
            rows = [row for row in rows if row[1] < horizon[0]]  # type: ignore[operator]
        return rows


def is_inside(value: int, interval: Interval) -> bool:
    above = interval.lower is None or value >= interval.lower[0]  # type: ignore[operator]
    return above and (interval.upper is None or value < interval.upper[0])  # type: ignore[operator]


@dataclass
class InMemoryInstallation:
    random: Random
    source: Source
    sink: Sink
    strategy: IntStrategy
    kv: MemoryKV = field(default_factory=MemoryKV)
    is_whole: bool = False
    fault_rate: float = 0.0
    crash_rate: float = 0.0
    mappers: int = 0
    """0: rows are committed as they are staged; else they are first mapped to two models, of which the second drops odd keys."""
    reads: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    watermarks: dict[str, int] = field(default_factory=dict)
    peak_bytes: int = 0
    broken: set[str] = field(default_factory=set)
    """Segments whose slices cannot be read."""
    failed: Counter[str] = field(default_factory=Counter)
    without: set[str] = field(default_factory=set)
    failed_slices: int = 20

    def run(self) -> RunState:
        """Executes one run; raises `Crash` where the process dies."""
        self.runs += 1
        owner = Owner(host="elsewhere", pid=self.runs, started=str(self.runs))
        self._expire_lease()
        state = StateWriter.begin(self.kv, "unit", f"run-{self.runs}", owner)
        try:
            if state.has_intent:
                state.recover(self.sink.open(state.epoch))
            probe = Probe(strategy="ints", facts={"now": self.source.now + 1})
            planned = self.strategy.scopes(SPEC, probe, state.segments)
            scopes = state.open_scopes(planned, is_target_empty=not self.sink.history)
            self.without, self.failed = set(), Counter()
            slices = planning.slices(self.strategy, SPEC, probe, scopes, self.without)  # type: ignore[arg-type]
            limits = Limits(
                readers=3,
                preparers=2,
                mappers=self.mappers,
                budget_bytes=100,
                slice_bytes=20,
                group_slices=3,
                merge_bytes=self.random.choice([0, 6, 1000]),
                attempts=8,
                state_attempts=30,
                failed_slices=self.failed_slices,
                is_whole=self.is_whole,
            )
            return RunProcess(
                self, state, Ledger(limits), slices, probe, {(s.segment, s.scope_id): s for s in scopes}
            ).drive()
        finally:
            state.lease._ended.set()

    def _expire_lease(self) -> None:
        found = self.kv.get("unit::lease")
        if found is not None:
            self.kv.put("unit::lease", found[0] | {"expires_at": 0.0}, found[1])


@dataclass
class RunProcess:
    installation: InMemoryInstallation
    state: StateWriter
    ledger: Ledger
    slices: Iterator[Slice]
    probe: Probe
    scopes: dict[tuple[str, str], Scope]
    pending: list[m.Instruction] = field(default_factory=list)

    def drive(self) -> RunState:
        self.pending += self.ledger.start()
        for _ in range(100_000):
            if self.ledger.finished is not None:
                return self.ledger.finished.state
            self.installation.peak_bytes = max(self.installation.peak_bytes, self.ledger.staged_bytes)
            assert self.pending, "the ledger waits for nothing"
            self._crash_sometimes()
            instruction = self.pending.pop(self.installation.random.randrange(len(self.pending)))
            for event in self._perform(instruction):
                self._crash_sometimes()
                self.pending += [i for i in self.ledger.handle(event) if not isinstance(i, m.Finish)]
            self._check_watermarks()
        raise AssertionError("the run does not end")

    def _crash_sometimes(self) -> None:
        if self.installation.random.random() < self.installation.crash_rate:
            raise Crash

    def _has_fault(self) -> bool:
        return self.installation.random.random() < self.installation.fault_rate

    def _fault(self, recovery: Recovery = Recovery.RETRY) -> m.Fault:
        return m.Fault("E_TEST", "bad luck", recovery, retry_after_s=0.0)

    def _perform(self, instruction: m.Instruction) -> list[m.Event]:
        match instruction:
            case m.Plan(count, without):
                self.installation.without |= without
                if self._has_fault():
                    return [m.Failed(m.Stage.PLAN, self._fault())]
                got = tuple(itertools.islice(self.slices, count))
                return [m.Planned(got, len(got) < count)]
            case m.ReplanSlice(piece, interval, _, number):
                return [self._recut(piece, interval, number)]
            case m.OpenSink():
                return [m.SinkOpened(self.installation.sink.open(self.state.epoch))]
            case m.Read(piece, attempt):
                return self._read(piece, attempt)
            case m.Map(piece, attempt, handle):
                return self._map(piece, attempt, handle)
            case m.Prepare(piece, attempt, handle):
                return self._prepare(piece, attempt, handle, instruction.mapped)
            case m.RecordIntent(claims, is_whole):
                if self._has_fault():
                    return [m.Failed(m.Stage.INTEND, self._fault())]
                return [m.IntentRecorded(self.state.record_intent(claims, is_whole=is_whole))]
            case m.Commit(sequence, group):
                return self._commit(sequence, group)
            case m.QuerySink():
                if self._has_fault():
                    return [m.Failed(m.Stage.COMMIT, self._fault(Recovery.ASK_SINK))]
                return [m.SinkSequence(self.installation.sink.open(self.state.epoch))]
            case m.ApplyCommit(sequence):
                if self._has_fault():
                    return [m.Failed(m.Stage.FOLD, self._fault())]
                self.state.apply_commit(sequence)
                return [m.CommitApplied(sequence)]
            case _:
                return []

    def _recut(self, piece: Slice, interval: Interval, number: int) -> m.Event:
        scope = self.scopes[piece.segment, piece.scope_id]
        got = tuple(
            planning.replan(self.installation.strategy, SPEC, self.probe, scope, piece, interval, number)  # type: ignore[arg-type]
        )
        return m.SliceReplanned(piece, got)

    def _read(self, piece: Slice, attempt: int) -> list[m.Event]:
        self.installation.reads[f"{piece.scope_id}:{piece.interval}"] += 1
        if piece.segment in self.installation.broken:
            self.installation.failed[piece.segment] += 1
            return [m.Failed(m.Stage.READ, self._fault(Recovery.FAIL), piece, attempt)]
        if self._has_fault():
            return [m.Failed(m.Stage.READ, self._fault(), piece, attempt)]
        rows = self.installation.strategy.read(piece, self.scopes[piece.segment, piece.scope_id].horizon)
        covered, is_complete = piece.interval, True
        axis = 0 if piece.axis == KEY else 1
        values = sorted({row[axis] for row in rows})
        if len(values) > 1 and self.installation.random.random() < 0.15:
            if self.installation.random.random() < 0.3:
                return [m.Failed(m.Stage.READ, self._fault(Recovery.RECUT), piece, attempt)]
            stop = values[self.installation.random.randrange(1, len(values))]
            covered, is_complete = Interval(lower=piece.interval.lower, upper=(stop,)), False
            rows = [row for row in rows if row[axis] < stop]
        handle = Handle(
            provider="memory",
            uri="-",
            run_id="r",
            slice_id=piece.slice_id,
            attempt=attempt,
            rows=len(rows),
            bytes=len(rows),
            schema_fingerprint="-",
            row_hash=str(sorted(rows)),
        )
        staged = Staged(handle=handle, covered=covered, is_complete=is_complete, rows_read=len(rows))
        events: list[m.Event] = [m.SliceStaged(piece, attempt, staged)]
        return events * 2 if self._has_fault() else events  # a message may arrive twice

    def _map(self, piece: Slice, attempt: int, handle: Handle) -> list[m.Event]:
        if self._has_fault():
            recovery = self.installation.random.choice([Recovery.RETRY, Recovery.REREAD])
            return [m.Failed(m.Stage.MAP, self._fault(recovery), piece, attempt)]
        mapped = Mapped(models=models_of(handle), rows=handle.rows, row_hash=handle.row_hash)
        events: list[m.Event] = [m.SliceMapped(piece, attempt, mapped)]
        return events * 2 if self._has_fault() else events

    def _prepare(self, piece: Slice, attempt: int, handle: Handle, mapped: Mapped | None) -> list[m.Event]:
        assert (mapped is None) == (self.installation.mappers == 0)
        assert mapped is None or mapped.models == models_of(handle), "what is prepared was mapped from other rows"
        if self._has_fault():
            recovery = self.installation.random.choice([Recovery.RETRY, Recovery.REREAD])
            return [m.Failed(m.Stage.PREPARE, self._fault(recovery), piece, attempt)]
        prepared = Prepared(
            slice_id=piece.slice_id,
            rows=handle.rows,
            row_hash=handle.row_hash,
            is_insert_only=piece.is_insert_only,
            models={model.model_id: model.rows for model in mapped.models} if mapped else {},
            payload={"rows": [list(row) for row in eval(handle.row_hash)]},  # noqa: S307
        )
        return [m.SlicePrepared(piece, attempt, prepared)]

    def _commit(self, sequence: int, group: Sequence[Prepared]) -> list[m.Event]:
        if self._has_fault():
            has_it = sequence <= self.installation.sink.sequence  # committed rows cannot be lost
            recovery = Recovery.RETRY if has_it else self.installation.random.choice([Recovery.RETRY, Recovery.REREAD])
            return [m.Failed(m.Stage.COMMIT, self._fault(recovery))]
        receipt = self.installation.sink.commit(self.state.epoch, sequence, group)
        if self._has_fault():
            return [m.Failed(m.Stage.COMMIT, self._fault(Recovery.ASK_SINK))]  # done, but the answer is lost
        return [m.Committed(receipt)]

    def _check_watermarks(self) -> None:
        for segment, state in self.state.segments.items():
            if state.watermark is None:
                continue
            watermark = int(state.watermark[0])
            assert watermark >= self.installation.watermarks.get(segment, watermark), "a watermark moved back"
            self.installation.watermarks[segment] = watermark
            shown = dict(self.installation.sink.content.keys())
            for key, at in self.installation.source.of(segment).items():
                assert at >= watermark or shown.get(key, -1) >= at, "a watermark beyond what is in the sink"


def models_of(handle: Handle) -> tuple[MappedModel, ...]:
    """Two models of a slice's rows: all of them, and those with even keys."""
    keys = [row[0] for row in eval(handle.row_hash)]  # noqa: S307
    made = {"all": len(keys), "even": sum(key % 2 == 0 for key in keys)}
    return tuple(
        MappedModel(model_id=name, handle=handle.model_copy(update={"rows": rows, "bytes": 0}), rows=rows)
        for name, rows in made.items()
    )
