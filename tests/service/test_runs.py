"""A run has one record, from its start to its end, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest_ray.catalog import run_records as records
from ingest_ray.engine.run_order import Progress
from ingest_ray.sdk.errors import RunActive, StagingUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import new_id
from ingest_ray.service.runs import launch
from ingest_ray.service.runs.admission import RunOptions, admit
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.service.units.reset import reset
from ingest_ray.service.units.status import read_status
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

UNIT = "numbers-1x1000"


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()
    return workspace


def history(workspace: Workspace, unit: str = UNIT) -> list[RunSummary]:
    with workspace.installation.catalog.read() as connection:
        return [record.summary for record in records.recent(connection, UnitRef("shop", unit))]


def test_a_run_of_all_units_lands_every_row_and_leaves_one_record_each(ready: Workspace) -> None:
    moments: list[Progress] = []
    report = run(ready.installation, "shop", observe=moments.append)
    assert (report.state, report.rows.committed) == (RunState.SUCCEEDED, 1600)
    assert [summary.unit_id for summary in report.units] == [UNIT, "numbers-2x300"]
    assert {summary.run_id for summary in report.units} == {f"{report.run_id}-001", f"{report.run_id}-002"}
    assert (ready.rows(UNIT), ready.rows("numbers-2x300")) == (1000, 600)
    assert history(ready) == [report.units[0]]
    assert {moment.phase for moment in moments} >= {"planning", "done"}


def test_status_before_the_first_run_is_idle_and_afterwards_tells_watermark_and_counts(ready: Workspace) -> None:
    (before, _) = read_status(ready.installation, "shop").units
    assert (before.state, before.last_run, before.segments) == (RunState.IDLE, None, ())
    run(ready.installation, "shop", [UNIT])
    (after,) = read_status(ready.installation, "shop", UNIT).units
    assert after.state is RunState.SUCCEEDED
    assert [(segment.segment, segment.watermark) for segment in after.segments] == [("0", 1000)]
    assert after.last_run is not None
    assert after.last_run.rows.committed == 1000
    assert len(after.history) == 1


def test_a_backfill_that_is_going_on_is_seen_and_then_the_last_ordinary_run_again(ready: Workspace) -> None:
    ready.source["changed"] = {"7": 10}
    ready.apply()
    last = run(ready.installation, "shop", [UNIT]).run_id
    seen: list[RunState] = []
    options = RunOptions(task="backfill", lower="0", upper="100")
    run(ready.installation, "shop", [UNIT], options=options, observe=lambda _: seen.append(_state_of(ready)))
    assert set(seen) == {RunState.RUNNING}
    (unit,) = read_status(ready.installation, "shop", UNIT).units
    assert unit.last_run is not None
    assert (unit.state, unit.last_run.run_id) == (RunState.SUCCEEDED, last)


def _state_of(workspace: Workspace) -> RunState:
    return read_status(workspace.installation, "shop", UNIT).units[0].state


def test_a_record_is_written_before_the_first_call_to_the_source(ready: Workspace) -> None:
    seen: list[RunState] = []

    def observe(_: Progress) -> None:
        seen.append(history(ready)[0].state)

    run(ready.installation, "shop", [UNIT], observe=observe)
    assert set(seen) == {RunState.RUNNING}
    assert [summary.state for summary in history(ready)] == [RunState.SUCCEEDED]


def test_a_launch_that_breaks_leaves_a_failed_record_with_the_error(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[RunSummary]:
        raise StagingUnavailable("staging is full", hint="make room")

    monkeypatch.setattr(launch, "run_unit", broken)
    report = run(ready.installation, "shop", [UNIT])
    assert report.state is RunState.FAILED
    (summary,) = history(ready)
    assert summary.error is not None
    assert (summary.state, summary.error.code, summary.error.hint) == (
        RunState.FAILED,
        "E_STAGING_UNAVAILABLE",
        "make room",
    )


def test_a_source_that_denies_fails_the_run_and_the_next_one_goes_on(ready: Workspace) -> None:
    ready.source["faults"] = {"0:500": ["denied"]}
    ready.apply()
    report = run(ready.installation, "shop", [UNIT])
    assert report.state is RunState.FAILED
    (unit,) = read_status(ready.installation, "shop", UNIT).units
    assert unit.error is not None
    assert unit.error.code == "E_SOURCE_DENIED"
    ready.source["faults"] = {}
    ready.apply()
    assert run(ready.installation, "shop", [UNIT]).state is RunState.SUCCEEDED
    assert ready.rows(UNIT) == 1000


def test_a_stop_pauses_the_unit_and_those_that_had_not_begun(ready: Workspace) -> None:
    report = run(ready.installation, "shop", is_stopping=lambda: True)
    assert report.state is RunState.PAUSED
    assert {summary.state for summary in report.units} == {RunState.PAUSED}
    assert run(ready.installation, "shop").state is RunState.SUCCEEDED
    assert (ready.rows(UNIT), ready.rows("numbers-2x300")) == (1000, 600)


def test_d33_a_run_whose_process_was_killed_is_shown_as_interrupted_and_ended_by_the_next(ready: Workspace) -> None:
    code = f"""
import sys
from pathlib import Path
from ingest_ray.config import load_config
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import run
place = Installation(load_config(Path({str(ready.file)!r})).settings)
def observe(moment):
    if moment.phase != "planning":
        print("reading", flush=True)
        import time; time.sleep(60)
run(place, "shop", [{UNIT!r}], observe=observe)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "reading\n"
    (live,) = read_status(ready.installation, "shop", UNIT).units
    assert live.state is RunState.RUNNING
    with pytest.raises(RunActive, match="live run"):
        run(ready.installation, "shop", [UNIT])
    with pytest.raises(RunActive):
        reset(ready.installation, UnitRef("shop", UNIT))
    assert len(history(ready)) == 1
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    (dead,) = read_status(ready.installation, "shop", UNIT).units
    assert dead.state is RunState.FAILED
    assert dead.error is not None
    assert "interrupted" in dead.error.message
    assert run(ready.installation, "shop", [UNIT]).state is RunState.SUCCEEDED
    assert sorted(summary.state for summary in history(ready)) == ["FAILED", "SUCCEEDED"]
    assert ready.rows(UNIT) == 1000


def test_after_a_reset_everything_is_read_again(ready: Workspace) -> None:
    run(ready.installation, "shop", [UNIT])
    ready.calls()
    run(ready.installation, "shop", [UNIT])
    assert not [call for call in ready.calls() if call.startswith("read")]
    assert reset(ready.installation, UnitRef("shop", UNIT)).segments == 1
    assert read_status(ready.installation, "shop", UNIT).units[0].segments == ()
    assert run(ready.installation, "shop", [UNIT]).rows.read == 1000
    assert ready.rows(UNIT) == 1000


def test_run_ids_sort_by_time_and_never_repeat() -> None:
    ids = []
    for _ in range(50):
        ids += [new_id(), new_id()]
        time.sleep(0.0002)
    assert len(set(ids)) == 100
    assert ids[::2] == sorted(ids[::2])


def test_no_planted_secret_is_in_any_file_of_the_installation(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """In the catalog, the KV, the settings, the staging and the lake; nor in status, plan or log."""
    secret = "correct-horse-battery-staple"
    workspace.source |= {"password": secret, "faults": {"0:500": ["denied"]}}
    workspace.apply()
    collect(workspace.installation, "shop")
    order = admit(workspace.installation, "shop", [UNIT])[0]
    run(workspace.installation, "shop", [UNIT])
    shown = [order.model_dump_json(), repr(order), read_status(workspace.installation).model_dump_json()]
    shown.append(json.dumps(plan(workspace.installation, UnitRef("shop", UNIT)).model_dump(mode="json")))
    assert secret not in "".join([*shown, caplog.text])
    files = [
        file
        for root in (Path(workspace.installation.settings.home), workspace.folder / "lake")
        for file in root.rglob("*")
        if file.is_file()
    ]
    assert len(files) > 3
    assert not [file for file in files if secret.encode() in file.read_bytes()]
