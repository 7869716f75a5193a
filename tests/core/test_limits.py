"""The limits of plan, checkpoint and intent, and the errors beyond them. Numbers: docs/limits.md."""

from collections.abc import Iterator, Mapping
from itertools import count, islice
from random import Random
from typing import Any

import pytest

from ingest_ray.core import messages as m
from ingest_ray.core import planning
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.limits import Limits
from ingest_ray.core.messages import CommitClaim
from ingest_ray.kv.documents import encode
from ingest_ray.sdk.contracts import Probe
from ingest_ray.sdk.errors import PayloadTooLarge
from ingest_ray.sdk.types import (
    Effect,
    Handle,
    Interval,
    Piece,
    Prepared,
    Receipt,
    RunState,
    Scope,
    SegmentState,
    Slice,
    Staged,
    UnitSpec,
)
from ingest_ray.state.documents import Owner
from ingest_ray.state.writer import StateWriter
from tests.core.in_memory_installation import KEY, SPEC, MemoryKV

ELSEWHERE = Owner(host="elsewhere", pid=1, started="1")
PROBE = Probe(strategy="-")
LOAD = Scope(scope_id="load", segment="s", axis=KEY, effect=Effect.LOAD, horizon=(1,))


class BoundedKV(MemoryKV):
    """Refuses documents above 64 KiB, as the real ones do."""

    def put(self, key: str, value: Mapping[str, Any], if_version: int) -> int:
        encode(key, value)
        return super().put(key, value, if_version)


class ManyPieces:
    """A strategy that cuts a load into `pieces` pieces, whose bounds are texts of `chars` characters, or integers."""

    descriptor: Any = None

    def __init__(self, pieces: int, chars: int = 0) -> None:
        self.pieces, self.chars, self.cut_so_far = pieces, chars, 0

    def bound(self, number: int) -> tuple[int | str, ...] | None:
        if number in (0, self.pieces):
            return None
        return (f"{number:0{self.chars}}" if self.chars else number,)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        for number in range(self.pieces):
            self.cut_so_far += 1
            yield Piece(interval=Interval(lower=self.bound(number), upper=self.bound(number + 1)), estimated_bytes=1)


@pytest.mark.parametrize("pieces", [20_000, pytest.param(1_000_000, marks=pytest.mark.faults)])
def test_a_plan_of_a_million_slices_is_cut_as_it_is_read(pieces: int) -> None:
    strategy = ManyPieces(pieces)
    slices = planning.slices(strategy, SPEC, PROBE, [LOAD])  # type: ignore[arg-type]
    assert len(list(islice(slices, 100))) == 100
    assert strategy.cut_so_far == 100
    assert sum(1 for _ in slices) == pieces - 100


def drive(ledger: Ledger, state: StateWriter, slices: Iterator[Slice], random: Random) -> None:
    """Carries out every instruction of the ledger, in any order, without a fault."""
    waiting = ledger.start()
    while ledger.finished is None:
        step = waiting.pop(random.randrange(len(waiting)))
        if (event := answer(step, state, slices)) is not None:
            waiting += [more for more in ledger.handle(event) if not isinstance(more, m.Finish)]


def answer(step: m.Instruction, state: StateWriter, slices: Iterator[Slice]) -> m.Event | None:
    match step:
        case m.Plan(wanted):
            got = tuple(islice(slices, wanted))
            return m.Planned(got, len(got) < wanted)
        case m.OpenSink():
            return m.SinkOpened(0)
        case m.Read(piece, attempt):
            return m.SliceStaged(piece, attempt, Staged(handle=handle_of(piece), covered=piece.interval, rows_read=1))
        case m.Prepare(piece, attempt, _):
            return m.SlicePrepared(piece, attempt, Prepared(slice_id=piece.slice_id, rows=1, row_hash="1"))
        case m.RecordIntent(claims, is_whole, _):
            return m.IntentRecorded(state.record_intent(claims, is_whole=is_whole))
        case m.Commit(sequence, group):
            return m.Committed(Receipt(epoch=1, sequence=sequence, rows_committed=len(group)))
        case m.ApplyCommit(sequence):
            state.apply_commit(sequence)
            return m.CommitApplied(sequence)
    return None


def handle_of(piece: Slice) -> Handle:
    return Handle(
        provider="-",
        uri="-",
        run_id="-",
        slice_id=piece.slice_id,
        attempt=1,
        rows=1,
        bytes=1,
        schema_fingerprint="-",
        row_hash="1",
    )


@pytest.mark.parametrize(
    ("slices", "chars"), [(2_500, 0), pytest.param(10_000, 0, marks=pytest.mark.faults), (500, 1500)]
)
def test_so_many_slices_and_such_long_keys_keep_every_document_below_64_kib(slices: int, chars: int) -> None:
    clock = count(1_000.0)
    state = StateWriter.begin(BoundedKV(), "unit", "run", ELSEWHERE, lambda: next(clock))
    scopes = state.open_scopes([LOAD], is_target_empty=True)
    ledger = Ledger(Limits(readers=16, preparers=4))
    planned = planning.slices(ManyPieces(slices, chars), SPEC, PROBE, scopes)  # type: ignore[arg-type]
    drive(ledger, state, planned, Random(1))
    assert ledger.finished == m.Finish(RunState.SUCCEEDED)
    assert ledger.slices.committed == slices
    assert state.segments["s"].is_loaded


def commit_until_refused(state: StateWriter, pieces: list[CommitClaim]) -> int:
    for first in range(0, len(pieces), 50):
        group = pieces[first : first + 50]
        try:
            number = state.record_intent(group)
        except PayloadTooLarge:
            return first
        state.apply_commit(number)
    raise AssertionError("nothing was refused")


def test_a_checkpoint_with_too_many_gaps_is_refused_before_the_commit_and_the_next_run_goes_on() -> None:
    clock = count(1_000.0)
    kv = BoundedKV()
    state = StateWriter.begin(kv, "unit", "run", ELSEWHERE, lambda: next(clock))
    state.open_scopes([LOAD], is_target_empty=True)
    pieces = [CommitClaim("s", "load", (0, n), Interval(lower=(n,), upper=(n + 1,))) for n in range(1, 4_000, 2)]
    committed = commit_until_refused(state, pieces)
    assert committed > 300
    state.end()
    after = StateWriter.begin(kv, "unit", "run", ELSEWHERE, lambda: next(clock))
    assert not after.has_intent
    known: SegmentState = after.segments["s"]
    assert len(known.scopes[0].done) == committed
    gap = CommitClaim("s", "load", (0, 2), Interval(lower=(2,), upper=(3,)))
    after.apply_commit(after.record_intent([gap]))
    assert len(after.segments["s"].scopes[0].done) == committed - 1


def test_a_fault_is_short_whatever_a_driver_says() -> None:
    fault = m.Fault.of(PayloadTooLarge("begin " + "x" * 1_000_000 + " end"))
    assert len(fault.message) < 2_100
    assert fault.message.startswith("begin ")
    assert fault.message.endswith(" end")
