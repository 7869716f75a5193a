"""What a run that is not the owner any more can still do to the state, and what an owner survives. Found by simulation."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from ingest_ray.core import messages as m
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.limits import Limits
from ingest_ray.core.messages import CommitClaim
from ingest_ray.engine.steps.recovery import open_scopes, open_sink_for
from ingest_ray.kv.keys import intent_key, lease_key, segment_key
from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import (
    Fenced,
    Recovery,
    RunActive,
    SinkBehindState,
    StateBehindSink,
    StateUnavailable,
    StateUnreadable,
)
from ingest_ray.sdk.types import (
    Axis,
    Effect,
    Handle,
    Interval,
    Position,
    Prepared,
    Receipt,
    RunState,
    Scope,
    Slice,
    Staged,
    WriteMode,
)
from ingest_ray.state import read_states, reset_state
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import TTL_S
from ingest_ray.state.writer import StateWriter
from tests.core.in_memory_installation import MemoryKV
from tests.simulation.run_order import ORDER

KEY = Axis(kind="key", columns=("id",))


class Clock:
    """A machine's clock; several may differ."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class LossyKV(MemoryKV):
    """Does the next write, and loses its answer."""

    is_lossy = False

    def put(self, key: str, value: Mapping[str, Any], if_version: int) -> int:
        version = super().put(key, value, if_version)
        if self.is_lossy:
            self.is_lossy = False
            raise StateUnavailable("the answer was lost")
        return version


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begin(kv: MemoryKV, number: int, clock: Clock) -> StateWriter:
    owner = Owner(host="elsewhere", pid=number, started=str(number))
    return StateWriter.begin(kv, "unit", f"run-{number}", owner, clock)


def opened(kv: MemoryKV, number: int, clock: Clock) -> StateWriter:
    state = begin(kv, number, clock)
    loads = [Scope(scope_id="load", segment=name, axis=KEY, effect=Effect.LOAD, horizon=(9,)) for name in "ab"]
    state.open_scopes([*state_scopes(state)] or loads, is_target_empty=False)
    return state


def state_scopes(state: StateWriter) -> list[Scope]:
    return [scope for segment in state.segments.values() for scope in segment.scopes]


def claim(segment: str, lower: Position | None = None, upper: Position | None = None) -> CommitClaim:
    return CommitClaim(segment, "load", (0, 0), Interval(lower=lower, upper=upper))


def test_a_run_that_was_suspended_past_its_lease_cannot_promise_a_commit(clock: Clock) -> None:
    """It would be rolled forward by a later run, because the sink has that number: of the other run."""
    kv = MemoryKV()
    zombie = opened(kv, 1, clock)
    clock.now += TTL_S + 1
    newer = opened(kv, 2, clock)
    newer.apply_commit(newer.record_intent([claim("a", None, (3,))]))
    with pytest.raises(Fenced):
        zombie.record_intent([claim("b")])
    newer.apply_commit(newer.record_intent([claim("a", (3,), None)]))
    newer.end()
    last = begin(kv, 3, clock)
    assert not last.has_intent
    last.recover(2)
    assert last.segments["b"].scopes[0].done == ()
    assert last.segments["b"].watermark is None


def test_a_run_that_wakes_up_between_lease_and_state_gives_way_to_a_newer_one(clock: Clock) -> None:
    kv = MemoryKV()
    first = opened(kv, 1, clock)
    first.end()

    class Sleepy(MemoryKV):
        """Hands the first look at the intent to a run that comes in between."""

        is_awake = False

        def get(self, key: str) -> tuple[dict[str, Any], int] | None:
            if key == intent_key("unit") and not self.is_awake:
                self.is_awake = True
                clock.now += TTL_S + 1
                opened(kv, 3, clock)
            return super().get(key)

    sleepy = Sleepy()
    sleepy.documents, sleepy._versions = kv.documents, kv._versions
    with pytest.raises(Fenced):
        begin(sleepy, 2, clock)


def test_an_intent_that_was_written_at_the_last_moment_is_settled_by_the_new_owner(clock: Clock) -> None:
    kv = MemoryKV()
    zombie = opened(kv, 1, clock)
    number = zombie.record_intent([claim("a")])
    clock.now += TTL_S + 1
    newer = begin(kv, 2, clock)
    assert newer.has_intent
    with pytest.raises(Fenced):
        zombie.record_intent([claim("b")])
    assert newer.recover(number) is not None
    assert newer.segments["a"].scopes == ()
    assert not read_states(kv, "unit").has_intent


def test_a_renewal_whose_answer_was_lost_does_not_cost_the_run(clock: Clock) -> None:
    kv = LossyKV()
    state = begin(kv, 1, clock)
    kv.is_lossy = True
    clock.now += 10
    with pytest.raises(StateUnavailable):
        state.lease.renew()
    clock.now += 10
    state.lease.renew()
    assert kv.documents[lease_key("unit")][0]["expires_at"] == clock.now + TTL_S
    state.end()


def test_a_clock_that_is_ahead_takes_the_lease_early_and_costs_a_run_but_no_row(clock: Clock) -> None:
    kv = MemoryKV()
    early = Clock()
    early.now = clock.now + TTL_S + 1
    first = opened(kv, 1, clock)
    second = opened(kv, 2, early)
    with pytest.raises(Fenced):
        first.record_intent([claim("a")])
    with pytest.raises(Fenced):
        first.lease.renew()
    second.apply_commit(second.record_intent([claim("a")]))


def test_a_reset_is_refused_while_a_run_lives_and_holds_the_lease_itself(clock: Clock) -> None:
    kv = MemoryKV()
    person = Owner(host="elsewhere", pid=0, started="-")
    state = opened(kv, 1, clock)
    with pytest.raises(RunActive):
        reset_state(kv, "unit", person, clock)
    state.end()
    seen: list[bool] = []
    delete = kv.delete

    def watched(key: str, if_version: int) -> None:
        with pytest.raises(RunActive):
            begin(kv, 2, clock)
        seen.append(True)
        delete(key, if_version)

    kv.delete = watched  # type: ignore[method-assign]
    assert reset_state(kv, "unit", person, clock) == 2
    assert len(seen) == 4
    assert begin(kv, 3, clock).epoch == 3


def test_a_run_that_was_suspended_across_a_reset_writes_nothing(clock: Clock) -> None:
    kv = MemoryKV()
    zombie = opened(kv, 1, clock)
    clock.now += TTL_S + 1
    reset_state(kv, "unit", Owner(host="elsewhere", pid=0, started="-"), clock)
    with pytest.raises(Fenced):
        zombie.record_intent([claim("a")])
    assert read_states(kv, "unit").segments == {}


@pytest.mark.parametrize("garbage", [{}, {"schema_number": 7}, {"schema_number": 1, "epoch": "x"}, {"epoch": None}])
def test_a_reset_is_the_way_out_of_every_document_that_cannot_be_read(clock: Clock, garbage: dict[str, Any]) -> None:
    for key in ("unit", lease_key("unit"), intent_key("unit"), segment_key("unit", "a")):
        kv = MemoryKV()
        opened(kv, 1, clock).end()
        kv.documents[key] = (garbage, kv.documents[key][1])
        with pytest.raises(StateUnreadable, match=key):
            begin(kv, 2, clock)
        clock.now += TTL_S + 1
        reset_state(kv, "unit", Owner(host="elsewhere", pid=0, started="-"), clock)
        begin(kv, 3, clock).end()


def test_planning_that_fails_for_good_leaves_the_commit_under_way_to_its_end() -> None:
    """The answer to the commit comes after the failure, and finds its group."""
    ledger = Ledger(Limits(readers=2, merge_bytes=0))
    ledger.start()
    piece = Slice(segment="a", scope_id="load", rank=(0, 0), axis=KEY, effect=Effect.LOAD, estimated_bytes=1)
    ledger.handle(m.Planned((piece,), is_done=False))
    ledger.handle(m.SinkOpened(0))
    handle = Handle(
        provider="-",
        uri="-",
        run_id="-",
        slice_id="-",
        attempt=1,
        rows=1,
        bytes=1,
        schema_fingerprint="-",
        row_hash="1",
    )
    ledger.handle(m.SliceStaged(piece, 1, Staged(handle=handle, covered=piece.interval, rows_read=1)))
    ledger.handle(m.SlicePrepared(piece, 1, Prepared(slice_id=piece.slice_id, rows=1, row_hash="1")))
    ledger.handle(m.Failed(m.Stage.PLAN, m.Fault("E_SOURCE_DENIED", "no grant", Recovery.FAIL)))
    assert [type(step) for step in ledger.handle(m.IntentRecorded(1))] == [m.Commit]
    ledger.handle(m.Committed(Receipt(epoch=1, sequence=1, rows_committed=1)))
    ledger.handle(m.CommitApplied(1))
    assert ledger.finished is not None
    assert ledger.finished.state is RunState.FAILED
    assert ledger.slices.committed == 1


class LateDesk:
    """A sink to which a commit of epoch 1 is on its way: it lands while nobody with a newer epoch has opened it."""

    epoch = 1
    rows = 0
    write = WriteMode.UPSERT
    location = "the table"

    def read_progress(self) -> SinkProgress:
        return SinkProgress(self.epoch)

    def open(self, epoch: int) -> int:
        self.epoch = epoch
        return 0

    def is_empty(self) -> bool:
        was_empty = self.rows == 0
        self.rows = 1 if self.epoch == 1 else 0
        return was_empty


def test_whether_a_load_may_insert_is_decided_after_older_runs_are_fenced_off(clock: Clock) -> None:
    """After a reset there is no intent that speaks of their commit. Found by simulation: seed 14948."""
    kv = MemoryKV()
    opened(kv, 1, clock)
    clock.now += TTL_S + 1
    reset_state(kv, "unit", Owner(host="elsewhere", pid=0, started="-"), clock)
    unit_writer = LateDesk()
    load = Scope(scope_id="load", segment="a", axis=KEY, effect=Effect.LOAD, horizon=(9,), is_insert_only=True)
    scopes = open_scopes(ORDER, begin(kv, 2, clock), unit_writer, [load])  # type: ignore[arg-type]
    assert not scopes[0].is_insert_only or unit_writer.rows == 0


def test_a_whole_commit_completes_only_the_scopes_that_its_own_run_recorded(clock: Clock) -> None:
    """A run under another configuration may have left open scopes of segments that this run does not read."""
    kv = MemoryKV()
    opened(kv, 1, clock).end()
    state = begin(kv, 2, clock)
    state.open_scopes([scope for scope in state_scopes(state) if scope.segment == "a"], is_target_empty=False)
    state.apply_commit(state.record_intent((), is_whole=True))
    segments = read_states(kv, "unit").segments
    assert (segments["a"].watermark, segments["a"].scopes) == ((9,), ())
    assert (segments["b"].watermark, len(segments["b"].scopes)) == (None, 1)


def test_a_whole_commit_that_is_rolled_forward_completes_only_the_scopes_of_its_run(clock: Clock) -> None:
    kv = MemoryKV()
    opened(kv, 1, clock).end()
    killed = begin(kv, 2, clock)
    killed.open_scopes([scope for scope in state_scopes(killed) if scope.segment == "a"], is_target_empty=False)
    number = killed.record_intent((), is_whole=True)
    clock.now += TTL_S + 1
    state = begin(kv, 3, clock)
    state.recover(number)
    assert state.segments["a"].watermark == (9,)
    assert state.segments["b"].watermark is None


class SinkWithoutTable:
    """A sink whose ledger has a newer epoch, and whose table is gone: only opening it shows the epoch."""

    write = WriteMode.REPLACE
    location = "the table"

    def read_progress(self) -> SinkProgress:
        return SinkProgress(exists=False)

    def open(self, epoch: int) -> int:
        if epoch < 3:
            raise Fenced("it belongs to epoch 2", newer_epoch=2)
        return 0


def test_a_whole_commit_of_a_run_whose_epoch_was_raised_completes_its_scopes(clock: Clock) -> None:
    """Found by simulation: history 1025865 of the SQL sinks."""
    kv = MemoryKV()
    state = opened(kv, 1, clock)
    open_sink_for(state, SinkWithoutTable())  # type: ignore[arg-type]
    assert state.epoch == 3
    state.apply_commit(state.record_intent((), is_whole=True))
    segments = read_states(kv, "unit").segments
    assert {name: (found.watermark, found.scopes) for name, found in segments.items()} == {
        "a": ((9,), ()),
        "b": ((9,), ()),
    }


class Killed(Exception):
    pass


@pytest.mark.parametrize("deleted", range(5))
def test_a_reset_that_is_killed_is_finished_by_the_next_run(clock: Clock, deleted: int) -> None:
    """Otherwise a segment that was deleted would be loaded again beside others that go on, into a table that appends."""
    kv = MemoryKV()
    opened(kv, 1, clock).record_intent([claim("a", None, (3,)), claim("b", None, (3,))])
    clock.now += TTL_S + 1
    delete, done = kv.delete, []

    def dying(key: str, if_version: int) -> None:
        if len(done) == deleted:
            raise Killed
        done.append(key)
        delete(key, if_version)

    kv.delete = dying  # type: ignore[method-assign]
    with suppress(Killed):
        reset_state(kv, "unit", Owner(host="elsewhere", pid=0, started="-"), clock)
    kv.delete = delete  # type: ignore[method-assign]
    assert read_states(kv, "unit").segments == {}
    clock.now += TTL_S + 1
    state = begin(kv, 3, clock)
    assert (state.segments, state.sequence, state.has_intent) == ({}, 0, False)
    assert read_states(kv, "unit").segments == {}
    state.end()


def test_a_reset_deletes_an_intent_after_the_segments_that_it_names(clock: Clock) -> None:
    """As long as a segment is left, a run can still roll the commit forward into it."""
    kv = MemoryKV()
    opened(kv, 1, clock).record_intent([claim("a", None, (3,))])
    clock.now += TTL_S + 1
    deleted: list[str] = []
    delete = kv.delete

    def watched(key: str, if_version: int) -> None:
        deleted.append(key)
        delete(key, if_version)

    kv.delete = watched  # type: ignore[method-assign]
    reset_state(kv, "unit", Owner(host="elsewhere", pid=0, started="-"), clock)
    assert deleted == [segment_key("unit", "a"), segment_key("unit", "b"), intent_key("unit"), "unit"]


@dataclass
class RestoredSink:
    """A sink with commits of which the state may know nothing."""

    epoch: int
    sequence: int
    write: WriteMode = WriteMode.UPSERT
    is_table_empty: bool = False
    location: str = "the table"

    def read_progress(self) -> SinkProgress:
        return SinkProgress(self.epoch, self.sequence)

    def open(self, epoch: int) -> int:
        assert epoch > self.epoch
        self.epoch = epoch
        return self.sequence

    def is_empty(self) -> bool:
        return self.is_table_empty


def restored_before_commit(clock: Clock) -> tuple[MemoryKV, RestoredSink]:
    """The copy has an open intent of commit 1 for segment a; the sink has commit 1 of a later run, of other rows."""
    kv = MemoryKV()
    opened(kv, 1, clock).record_intent([claim("a")])
    clock.now += TTL_S + 1
    return kv, RestoredSink(epoch=2, sequence=1)


def test_an_intent_of_a_restored_state_is_not_rolled_forward_by_its_number_alone(clock: Clock) -> None:
    kv, sink = restored_before_commit(clock)
    state = begin(kv, 2, clock)
    open_sink_for(state, sink)  # type: ignore[arg-type]
    assert (state.sequence, state.has_intent, state.segments["a"].watermark) == (1, False, None)
    assert state.epoch > 2


@pytest.mark.parametrize("failures", [1, 3])
def test_runs_that_fail_before_they_open_the_sink_do_not_hide_that_the_state_was_restored(
    clock: Clock, failures: int
) -> None:
    kv, sink = restored_before_commit(clock)
    for number in range(failures):
        begin(kv, 10 + number, clock).end()
    state = begin(kv, 2, clock)
    open_sink_for(state, sink)  # type: ignore[arg-type]
    assert state.segments["a"].watermark is None


def test_an_appending_unit_refuses_a_restored_state_again_and_again(clock: Clock) -> None:
    kv = MemoryKV()
    state = opened(kv, 1, clock)
    state.apply_commit(state.record_intent([claim("a", None, (3,))]))
    state.end()
    for number in (2, 3):
        state = begin(kv, number, clock)
        with pytest.raises(StateBehindSink, match=r"commit 4 .* up to 1"):
            open_sink_for(state, RestoredSink(9, 4, WriteMode.APPEND, is_table_empty=True))  # type: ignore[arg-type]
        state.end()


def test_every_insert_only_scope_merges_after_a_loss_before_the_first_slice_is_read(clock: Clock) -> None:
    kv = MemoryKV()
    state = begin(kv, 1, clock)
    loads = [
        Scope(scope_id="load", segment=name, axis=KEY, effect=Effect.LOAD, horizon=(9,), is_insert_only=True)
        for name in "ab"
    ]
    state.open_scopes(loads, is_target_empty=True)
    state.apply_commit(state.record_intent([claim("a", None, (3,))]))
    state.end()
    state = begin(kv, 2, clock)
    scopes = open_scopes(ORDER, state, RestoredSink(epoch=9, sequence=4), loads[:1])  # type: ignore[arg-type]
    assert not any(scope.is_insert_only for scope in scopes)
    assert not any(scope.is_insert_only for scope in state_scopes(begin_again(kv, state, clock)))


def begin_again(kv: MemoryKV, state: StateWriter, clock: Clock) -> StateWriter:
    state.end()
    return begin(kv, 3, clock)


def test_a_renewal_does_not_write_an_epoch_that_was_raised_meanwhile(clock: Clock) -> None:
    """Found by simulation: seed 2754."""
    kv = MemoryKV()
    state = begin(kv, 1, clock)
    lock = state.lease._lock

    class RaisedMeanwhile:
        def __enter__(self) -> None:
            state.lease._lock = lock
            state.lease.raise_epoch(6)

        def __exit__(self, *_: object) -> None: ...

    state.lease._lock = RaisedMeanwhile()  # type: ignore[assignment]
    state.lease.renew()
    assert kv.documents[lease_key("unit")][0]["epoch"] == state.epoch == 7


def test_the_number_of_an_intent_that_was_dropped_is_not_used_again(clock: Clock) -> None:
    """Otherwise a store that loses the later intent has the earlier one, under whose number the sink has other rows."""
    kv = MemoryKV()
    state = opened(kv, 1, clock)
    dropped = state.record_intent([claim("a")])
    state.end()
    state = opened(kv, 2, clock)
    open_sink_for(state, RestoredSink(epoch=1, sequence=0))  # type: ignore[arg-type]
    number = state.record_intent([claim("b")])
    assert number > dropped
    state.apply_commit(number)
    assert [(one.sequence, one.is_left_out) for one in state.unit.commits] == [(1, True), (2, False)]


def test_the_number_of_an_intent_whose_prepared_rows_were_lost_is_not_used_again(clock: Clock) -> None:
    state = opened(MemoryKV(), 1, clock)
    lost = state.record_intent([claim("a")])
    assert state.record_intent([claim("b")]) > lost


def test_a_fold_that_died_between_its_segments_counts_for_a_sink_that_was_restored(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv = MemoryKV()
    state = opened(kv, 1, clock)
    number = state.record_intent([claim("a"), claim("b")])

    def die(step: str) -> None:
        if step == "state:between-segments":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ingest_ray.state.writer.reached", die)
        with pytest.raises(KeyboardInterrupt):
            state.apply_commit(number)
    clock.now += TTL_S + 1
    with pytest.raises(SinkBehindState):
        open_sink_for(begin(kv, 2, clock), RestoredSink(epoch=1, sequence=0))  # type: ignore[arg-type]


def test_a_sink_whose_number_went_back_is_noticed_also_by_a_state_that_claims_none_of_its_commits(clock: Clock) -> None:
    """The state was lost, and went on above the sink's commits; then the sink is restored: its rows are those of another time."""
    state = opened(MemoryKV(), 1, clock)
    state.accept_loss(8)
    assert (state.last_claimed, state.sequence) == (0, 8)
    assert not SinkProgress(1, 8).is_behind(state.claimed_against(8), state.committed_by)
    assert SinkProgress(1, 4).is_behind(state.claimed_against(4), state.committed_by)
