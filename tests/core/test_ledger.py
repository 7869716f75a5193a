"""Single decisions of the ledger, each after the events that lead to it."""

from ingest_ray.core import messages as m
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.limits import Limits
from ingest_ray.sdk.errors import Recovery
from ingest_ray.sdk.types import Effect, Interval, Prepared, Receipt, RunState, Slice, Staged
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
