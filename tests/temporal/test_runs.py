"""Runs of workflows with real parts: a Temporal server, a Ray head with its Jobs API, a PostgreSQL, a Delta lake."""

import json
import signal
from collections import Counter
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from ingest_ray.sdk.types import RunState, RunSummary
from tests.temporal.conftest import PlantMaker
from tests.temporal.servers import until
from tests.temporal.worker_workspace import HELD

pytestmark = [pytest.mark.services, pytest.mark.cluster]
ORDERS = "public.orders"
UNIT = "numbers-1x2000"


def test_a_run_lands_a_table_and_a_second_one_moves_nothing(shop: PlantMaker) -> None:
    workspace = shop(3000)
    with workspace.worker():
        first = workspace.run(ORDERS)
        name = workspace.start(ORDERS)
        second = workspace.result(name)
    assert (first.state, first.statistics.rows_committed) == (RunState.SUCCEEDED, 3000)
    assert second.statistics.rows_read == 0
    assert workspace.ids(ORDERS) == Counter(range(1, 3001))
    assert first.checkpoint.segments == 1
    assert list(first.checkpoint.watermarks.values()) != [None]
    manifest = RunSummary.model_validate(json.loads(Path(first.manifest_uri).read_text()))
    assert (manifest.run_id, manifest.rows.committed) == (first.run_id, 3000)
    history = workspace.history(name)
    print(history)
    assert history.events < 40
    assert history.bytes < 16 * 1024


def test_a_cancelled_run_finishes_its_commit_keeps_it_and_the_next_reads_the_rest(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker():
        name = workspace.start(UNIT)
        workspace.until_committed(UNIT, 100)
        workspace.cancel(name)
        with pytest.raises(WorkflowFailureError) as ended:
            workspace.result(name)
        assert isinstance(ended.value.cause, CancelledError)
        paused = workspace.record(UNIT)
        assert paused is not None
        assert paused.state is RunState.PAUSED
        kept = workspace.ids(UNIT)
        assert 0 < sum(kept.values()) == paused.rows.committed < 2000
        until(lambda: workspace.jobs(UNIT) == ["STOPPED"], what="the end of the job")
        workspace.release()
        rest = workspace.run(UNIT)
    assert rest.statistics.rows_read == 2000 - sum(kept.values())
    assert workspace.ids(UNIT) == Counter(range(2000))
    print(workspace.history(name))


def test_a_driver_that_is_killed_is_replaced_and_goes_on_from_the_checkpoint(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker():
        name = workspace.start(UNIT)
        workspace.until_committed(UNIT, 100)
        workspace.kill_driver(UNIT)
        workspace.release()
        outcome = workspace.result(name)
    assert outcome.state is RunState.SUCCEEDED
    until(lambda: workspace.jobs(UNIT) == ["FAILED", "SUCCEEDED"], what="the end of the job")
    assert outcome.statistics.rows_read < 2000
    assert workspace.ids(UNIT) == Counter(range(2000))
    print(workspace.history(name))


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.faults)])
def test_a_run_goes_on_without_its_worker_and_ends_without_temporal_and_both_find_it_again(
    scripted: PlantMaker, number: signal.Signals
) -> None:
    """The second worker attaches to the job of the first one; the server, when it is back, learns the end of the run."""
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker() as worker:
        name = workspace.start(UNIT, silence_s=5)
        workspace.until_committed(UNIT, 100)
        driver = workspace.driver(UNIT)
        worker.send_signal(number)
        worker.wait(60)
    with workspace.worker() as worker:
        until(lambda: workspace.attempt(name) > 1, what="another attempt")
        assert workspace.driver(UNIT) == driver
        workspace.server.kill()
        workspace.release()
        until(lambda: workspace.state(UNIT) is RunState.SUCCEEDED, what="the end of the run")
        workspace.server.start()
        outcome = workspace.result(name)
        assert worker.poll() is None
    assert (outcome.state, outcome.statistics.rows_committed) == (RunState.SUCCEEDED, 2000)
    until(lambda: workspace.jobs(UNIT) == ["SUCCEEDED"], what="the end of the job")
    assert workspace.ids(UNIT) == Counter(range(2000))
    print(workspace.history(name))


@pytest.mark.faults
def test_a_head_that_is_gone_is_waited_for_and_a_new_head_goes_on(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker():
        name = workspace.start(UNIT)
        workspace.until_committed(UNIT, 100)
        workspace.head.kill()
        until(lambda: "does not answer" in workspace.heartbeat(name), what="a heartbeat that says why")
        workspace.head.start()
        workspace.release()
        outcome = workspace.result(name)
    assert outcome.state is RunState.SUCCEEDED
    assert workspace.ids(UNIT) == Counter(range(2000))
    print(workspace.history(name))


def test_what_the_gate_refuses_fails_the_workflow_with_its_code_and_leaves_no_record(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT)
    with workspace.worker():
        with pytest.raises(WorkflowFailureError) as refused:
            workspace.run("nothing")
    cause = refused.value.cause
    assert isinstance(cause, ActivityError)
    assert isinstance(cause.cause, ApplicationError)
    assert cause.cause.type == "E_INGESTION_UNIT_NOT_FOUND"
    assert workspace.record("nothing") is None


@pytest.mark.faults
def test_a_run_that_fails_for_good_is_not_tried_again(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, faults={"0:0": ["denied"]})
    with workspace.worker():
        with pytest.raises(WorkflowFailureError) as failed:
            workspace.run(UNIT)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "E_SOURCE_DENIED"
    assert workspace.state(UNIT) is RunState.FAILED
    until(
        lambda: workspace.jobs(UNIT) == ["SUCCEEDED"], what="the end of the job"
    )  # the job did what it had to: the run has its end


@pytest.mark.faults
@pytest.mark.timeout(3000)
def test_ten_thousand_slices_leave_a_history_below_100_events_and_64_kib(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x10000", inline_below=0, slice_rows=1)
    with workspace.worker():
        name = workspace.start("numbers-1x10000")
        outcome = workspace.result(name, within_s=2700)
    assert outcome.statistics.slices_committed == 10_000
    assert workspace.ids("numbers-1x10000") == Counter(range(10_000))
    history = workspace.history(name)
    print(history, outcome.statistics)
    assert history.events < 100
    assert history.bytes < 64 * 1024
