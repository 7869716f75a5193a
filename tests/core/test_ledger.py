"""Single decisions of the ledger, each after the events that lead to it."""

from ingest_ray.core import messages as m
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.limits import Limits
from ingest_ray.sdk.errors import Recovery
from ingest_ray.sdk.types import ADOPTED, Effect, Interval, Prepared, Receipt, RunState, Slice, Staged
from tests.core.in_memory_installation import KEY
from tests.core.test_limits import handle_of

PREPARED = Prepared(slice_id="-", rows=1, row_hash="1")
UNAVAILABLE = m.Fault("E_SOURCE_PAGE_FAILED", "the source is away", Recovery.RETRY)


def piece(lower: int) -> Slice:
    interval = Interval(lower=(lower,), upper=(lower + 10,))
    return Slice(segment="s", scope_id="load", rank=(lower,), axis=KEY, interval=interval, effect=Effect.LOAD)


def ledger_with_plan(limits: Limits, *slices: Slice) -> Ledger:
    """A ledger that has its whole plan and an open sink."""
    ledger = Ledger(limits)
    ledger.start()
    ledger.handle(m.Planned(slices, is_done=True))
    ledger.handle(m.SinkOpened(0))
    return ledger


def staged_half(whole: Slice) -> m.SliceStaged:
    """A slice that stopped staged_half way because it is too large."""
    assert whole.interval.lower is not None
    covered = Interval(lower=whole.interval.lower, upper=(int(whole.interval.lower[0]) + 5,))
    return m.SliceStaged(whole, 1, Staged(handle=handle_of(whole), covered=covered, is_complete=False, rows_read=1))


def test_a_plan_that_broke_off_is_not_asked_for_more_and_the_run_begins_again() -> None:
    ledger = Ledger(Limits())
    ledger.start()
    ledger.handle(m.Failed(m.Stage.PLAN, UNAVAILABLE))
    assert ledger.finished == m.Finish(RunState.FAILED, UNAVAILABLE, is_restartable=True)


def test_a_plan_that_is_refused_ends_the_run() -> None:
    denied = m.Fault("E_SOURCE_DENIED", "no", Recovery.FAIL)
    ledger = Ledger(Limits())
    ledger.start()
    ledger.handle(m.Failed(m.Stage.PLAN, denied))
    assert ledger.finished == m.Finish(RunState.FAILED, denied)


def test_a_rest_that_cannot_be_cut_while_a_run_stops_is_not_called_done() -> None:
    one = piece(0)
    ledger = ledger_with_plan(Limits(merge_bytes=0), one)
    assert [type(step) for step in ledger.handle(staged_half(one))] == [m.ReplanSlice, m.Prepare]
    ledger.handle(m.StopRequested())
    ledger.handle(m.Failed(m.Stage.PLAN, UNAVAILABLE, one))
    ledger.handle(m.SlicePrepared(one, 1, PREPARED))
    for event in (m.IntentRecorded(1), m.Committed(Receipt(epoch=1, sequence=1, rows_committed=1)), m.CommitApplied(1)):
        ledger.handle(event)
    assert ledger.slices.committed == 1
    assert ledger.finished is not None
    assert (ledger.finished.state, ledger.finished.is_restartable) == (RunState.PAUSED, False)


def adopted(whole: Slice, rows: int = 1) -> m.SliceStaged:
    """A slice that was staged in files of the sink."""
    handle = handle_of(whole).model_copy(update={"provider": ADOPTED})
    prepared = Prepared(slice_id=whole.slice_id, rows=rows)
    return m.SliceStaged(whole, 1, Staged(handle=handle, covered=whole.interval, rows_read=1, prepared=prepared))


def test_a_slice_in_files_of_the_sink_is_committed_without_being_prepared_and_never_dropped() -> None:
    one = piece(0)
    ledger = ledger_with_plan(Limits(merge_bytes=0, adopts_files=True), one)
    (intent,) = ledger.handle(adopted(one))
    assert isinstance(intent, m.RecordIntent)
    assert ledger.handle(adopted(one)) == []  # the same report again
    (commit,) = ledger.handle(m.IntentRecorded(1))
    assert isinstance(commit, m.Commit)
    ledger.handle(m.Committed(Receipt(epoch=1, sequence=1, rows_committed=1)))
    assert not any(isinstance(step, m.Drop | m.Abort) for step in ledger.handle(m.CommitApplied(1)))
    assert ledger.handle(adopted(one)) == []
    assert ledger.finished == m.Finish(RunState.SUCCEEDED)


def test_readers_that_write_files_of_the_sink_wait_for_its_opening() -> None:
    ledger = Ledger(Limits(adopts_files=True))
    ledger.start()
    steps = ledger.handle(m.Planned((piece(0),), is_done=True))
    assert [type(step) for step in steps] == [m.OpenSink]
    assert [type(step) for step in ledger.handle(m.SinkOpened(0))] == [m.Read]


def test_files_whose_own_count_differs_from_the_rows_that_were_read_are_not_committed() -> None:
    one = piece(0)
    ledger = ledger_with_plan(Limits(adopts_files=True), one)
    steps = ledger.handle(adopted(one, rows=2))
    assert ledger.fault is not None
    assert ledger.fault.code == "E_LEDGER_MISMATCH"
    assert [type(step) for step in steps] == [m.Abort, m.Finish]


def test_files_that_will_not_be_committed_are_aborted_at_the_end() -> None:
    one, two = piece(0), piece(10)
    ledger = ledger_with_plan(Limits(adopts_files=True, is_whole=True), one, two)
    ledger.handle(adopted(one))
    ledger.handle(m.StopRequested())
    steps = ledger.handle(m.Failed(m.Stage.READ, UNAVAILABLE, two, 1))
    assert [type(step) for step in steps] == [m.Abort, m.Finish]
