"""Scheduled units start when they are due, once for any number of servers; the pure decisions have their tests beside the core."""

import pytest

from ingest_ray.catalog import run_records as records
from ingest_ray.catalog import schedule_slots
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service import launching
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching.lifecycle import execute_run, open_run
from ingest_ray.service.runs.control import pause, start
from ingest_ray.service.runs.schedules import ScheduleView, schedule_view, start_due_runs
from ingest_ray.service.units.configure import UnitChange, configure, find_config
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"
NOW = 1_700_000_000


class Noted:
    """A launcher that only writes the record; the test executes the run."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, installation: object, request: object) -> str:
        run_id = open_run(installation, request)  # type: ignore[arg-type]
        self.started.append(run_id)
        return run_id


launcher = Noted()


@pytest.fixture
def ready(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    workspace.document["serve"] = {"schedules": {"max_jitter_s": 0, "max_runs": 2}}
    workspace.apply()
    collect(workspace.installation, "shop")
    configure(
        workspace.installation,
        UnitRef("shop", UNIT),
        UnitChange(schedule_kind="INTERVAL", schedule_interval_minutes=60),
    )
    launcher.started.clear()
    monkeypatch.setitem(launching.MODULES, "in-process", __name__)
    return workspace


def history(workspace: Workspace) -> list[RunSummary]:
    with workspace.installation.catalog.read() as connection:
        return [record.summary for record in records.recent(connection, UnitRef("shop", UNIT))]


def test_a_unit_runs_once_in_every_slot_and_never_beside_itself(ready: Workspace) -> None:
    assert start_due_runs(ready.installation, NOW) == []
    (first,) = start_due_runs(ready.installation, NOW + 3600)
    assert start_due_runs(ready.installation, NOW + 3605) == []
    assert start_due_runs(ready.installation, NOW + 7200) == []  # the first one goes on
    execute_run(ready.installation, first)
    (second,) = start_due_runs(ready.installation, NOW + 7300)  # its slot waited
    execute_run(ready.installation, second)
    assert start_due_runs(ready.installation, NOW + 7400) == []
    assert [(run.state, run.requested_by) for run in history(ready)] == [(RunState.SUCCEEDED, "schedule")] * 2


def test_of_two_servers_one_starts_the_run(ready: Workspace) -> None:
    start_due_runs(ready.installation, NOW)
    one, other = ready.installation, ready.installation
    assert len(start_due_runs(one, NOW + 3600) + start_due_runs(other, NOW + 3600)) == 1
    assert len(history(ready)) == 1


def test_pausing_holds_the_schedule_and_starting_releases_it(ready: Workspace) -> None:
    start_due_runs(ready.installation, NOW)
    assert pause(ready.installation, UnitRef("shop", UNIT), requested_by="ada").ok
    assert start_due_runs(ready.installation, NOW + 3600) == []
    view = _schedule(ready)
    assert (view.is_held, view.held_by, view.next_due_at) == (True, "ada", None)
    run_id = start(ready.installation, UnitRef("shop", UNIT)).run_id
    assert run_id is not None
    execute_run(ready.installation, run_id)
    assert start_due_runs(ready.installation, NOW + 3700) == []  # the slot that was held is not made up
    assert len(start_due_runs(ready.installation, NOW + 7200)) == 1


def _schedule(workspace: Workspace) -> ScheduleView:
    unit = UnitRef("shop", UNIT)
    stored = find_config(workspace.installation, unit)
    assert stored is not None
    with workspace.installation.catalog.read() as connection:
        row = schedule_slots.find(connection, unit)
    return schedule_view(workspace.installation, stored.config, row, NOW + 3600)


def test_what_the_gate_refuses_is_remembered_and_tried_again_at_the_next_slot(ready: Workspace) -> None:
    start_due_runs(ready.installation, NOW)
    ready.document["sinks"] = [{"id": "other", "template": "lake.delta", "config": {"uri": "./other"}}]
    ready.document["units"] = []
    ready.apply()
    assert start_due_runs(ready.installation, NOW + 3600) == []
    error = _schedule(ready).last_error
    assert error is not None
    assert "E_INGESTION_SINK_MISSING" in error
    assert history(ready) == []
    assert start_due_runs(ready.installation, NOW + 3700) == []


def test_no_more_runs_than_allowed_are_started_and_the_others_wait(ready: Workspace) -> None:
    ready.source["units"] = [UNIT, "numbers-1x10", "numbers-1x20"]
    ready.apply()
    collect(ready.installation, "shop")
    for n in (10, 20):
        change = UnitChange(schedule_kind="INTERVAL", schedule_interval_minutes=60)
        configure(ready.installation, UnitRef("shop", f"numbers-1x{n}"), change)
    start_due_runs(ready.installation, NOW)
    first = start_due_runs(ready.installation, NOW + 3600)
    assert len(first) == 2
    assert start_due_runs(ready.installation, NOW + 3605) == []
    for run_id in first:
        execute_run(ready.installation, run_id)
    assert len(start_due_runs(ready.installation, NOW + 3610)) == 1
