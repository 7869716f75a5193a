"""A run that is started in the background has its record at once, can be stopped from anywhere, and is never lost silently."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingest_ray.catalog import run_channel
from ingest_ray.catalog import run_records as records
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.sdk.errors import ConfigError, RunActive, UnitDisabled, UnitNotFound
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.launching.child_process import ChildProcessLauncher
from ingest_ray.service.launching.lifecycle import execute_run, open_run
from ingest_ray.service.runs import control
from ingest_ray.service.runs.admission import RunOptions, RunRequest
from ingest_ray.service.runs.run_liveness import owner_of
from ingest_ray.service.runs.run_observer import ProgressReport
from ingest_ray.service.units.status import read_status
from ingest_ray.state.documents import Owner
from tests.forks import run_code
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

UNIT = "numbers-1x1000"
REQUEST = RunRequest(endpoint_id="shop", unit_id=UNIT, requested_by="ada")


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()
    return workspace


@pytest.fixture
def children() -> Iterator[ChildProcessLauncher]:
    launcher = ChildProcessLauncher()
    yield launcher
    launcher.join(200)
    launcher.close()


def record_of(workspace: Workspace, run_id: str) -> RunRecord:
    with workspace.installation.catalog.read() as connection:
        found = records.find(connection, run_id)
    assert found is not None
    return found


def until(is_so: Callable[[], bool], within_s: float = 200) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def pid_of(record: RunRecord) -> int:
    return owner_of(record).pid


def test_a_start_returns_with_a_record_and_the_run_goes_on_in_a_process_of_its_own(
    ready: Workspace, children: ChildProcessLauncher
) -> None:
    run_id = children.start(ready.installation, REQUEST)
    assert record_of(ready, run_id).summary.state is RunState.RUNNING
    assert children.state(ready.installation, run_id) is RunState.RUNNING
    until(lambda: children.state(ready.installation, run_id) is not RunState.RUNNING)
    record = record_of(ready, run_id)
    assert (record.summary.state, record.summary.rows.committed) == (RunState.SUCCEEDED, 1000)
    assert record.summary.requested_by == "ada"
    assert pid_of(record) != os.getpid()
    assert ready.rows(UNIT) == 1000


def test_what_the_gate_refuses_has_no_record(ready: Workspace, children: ChildProcessLauncher) -> None:
    with pytest.raises(UnitNotFound):
        children.start(ready.installation, RunRequest(endpoint_id="shop", unit_id="nothing"))
    ready.document["units"][0]["enabled"] = False
    ready.apply()
    with pytest.raises(UnitDisabled):
        children.start(ready.installation, REQUEST)
    assert read_status(ready.installation, "shop", UNIT).units[0].history == ()
    assert ready.calls() == []


def test_a_run_is_paused_from_another_process_and_the_next_goes_on_where_it_stopped(
    ready: Workspace, children: ChildProcessLauncher
) -> None:
    ready.source |= {"slice_rows": 100, "faults": {"0:500": ["unavailable:600"]}}
    ready.apply()
    run_id = children.start(ready.installation, REQUEST)
    until(lambda: any("read load 0 [500" in line for line in _peek(ready)))
    code = (
        "import sys; from pathlib import Path; from ingest_ray.config import load_config;"
        "from ingest_ray.service.installation import Installation;"
        "from ingest_ray.service.launching import launcher_for;"
        f"place = Installation(load_config(Path({str(ready.file)!r})).settings);"
        f"launcher_for(place).pause(place, {run_id!r}, 'grace')"
    )
    assert run_code(code).returncode == 0
    until(lambda: children.state(ready.installation, run_id) is not RunState.RUNNING)
    paused = record_of(ready, run_id).summary
    assert paused.state is RunState.PAUSED
    assert 0 < paused.rows.committed < 1000
    with ready.installation.catalog.read() as connection:
        line = run_channel.find(connection, run_id)
    assert line is not None
    assert line.stop_requested_by == "grace"
    assert ProgressReport.model_validate_json(line.progress or "").moment.rows.committed == paused.rows.committed
    again = children.start(ready.installation, REQUEST)
    until(lambda: children.state(ready.installation, again) is not RunState.RUNNING)
    resumed = record_of(ready, again).summary
    assert (resumed.state, resumed.rows.committed) == (RunState.SUCCEEDED, 1000 - paused.rows.committed)
    assert ready.rows(UNIT) == 1000


def _peek(workspace: Workspace) -> list[str]:
    return workspace.journal.read_text().splitlines() if workspace.journal.exists() else []


def test_of_two_starts_at_once_one_is_refused(ready: Workspace) -> None:
    run_id = open_run(ready.installation, REQUEST)
    with pytest.raises(RunActive, match=run_id):
        open_run(ready.installation, REQUEST)
    report = execute_run(ready.installation, run_id)
    assert report is not None
    assert report.state is RunState.SUCCEEDED
    assert execute_run(ready.installation, run_id) is None
    assert len(read_status(ready.installation, "shop", UNIT).units[0].history) == 1


def test_a_run_that_a_living_process_carries_out_cannot_be_taken_over(ready: Workspace) -> None:
    run_id = open_run(ready.installation, REQUEST)
    with ready.installation.catalog.begin() as connection:
        run_channel.take_over(connection, run_id)
    with pytest.raises(RunActive):
        execute_run(ready.installation, run_id)


def test_what_the_gate_refuses_when_the_process_begins_is_the_error_of_the_run(ready: Workspace) -> None:
    run_id = open_run(ready.installation, REQUEST)
    ready.document["units"][0]["enabled"] = False
    ready.apply()
    with pytest.raises(UnitDisabled):
        execute_run(ready.installation, run_id)
    summary = record_of(ready, run_id).summary
    assert summary.error is not None
    assert (summary.state, summary.error.code) == (RunState.FAILED, "E_INGESTION_DATASET_DISABLED")


@pytest.mark.parametrize("failpoint", ["job:before-take", "job:after-take", "sink:before-commit"])
def test_a_process_that_dies_anywhere_leaves_a_failed_record_and_the_next_run_is_complete(
    ready: Workspace, children: ChildProcessLauncher, failpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_FAILPOINT", failpoint)
    run_id = children.start(ready.installation, REQUEST)
    until(lambda: record_of(ready, run_id).summary.state is not RunState.RUNNING)
    summary = record_of(ready, run_id).summary
    assert summary.error is not None
    assert (summary.state, summary.error.code) == (RunState.FAILED, "E_RUN_INTERRUPTED")
    monkeypatch.delenv("INGEST_FAILPOINT")
    report = execute_run(ready.installation, open_run(ready.installation, REQUEST))
    assert report is not None
    assert ready.rows(UNIT) == 1000


def test_a_process_that_dies_amid_upkeep_leaves_a_complete_run_and_a_failed_record_that_stops_nothing(
    ready: Workspace, children: ChildProcessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = REQUEST.model_copy(update={"options": RunOptions(upkeep=True)})
    monkeypatch.setenv("INGEST_FAILPOINT", "upkeep:compacted")
    run_id = children.start(ready.installation, request)
    until(lambda: record_of(ready, run_id).summary.state is not RunState.RUNNING)
    assert record_of(ready, run_id).summary.state is RunState.SUCCEEDED
    children.join(200)
    monkeypatch.delenv("INGEST_FAILPOINT")
    report = execute_run(ready.installation, open_run(ready.installation, request))
    assert report is not None
    assert [upkept.state for upkept in report.upkept] == [RunState.SUCCEEDED]
    killed = record_of(ready, f"{run_id}-upkeep").summary
    assert killed.error is not None
    assert (killed.state, killed.error.code) == (RunState.FAILED, "E_RUN_INTERRUPTED")
    assert ready.rows(UNIT) == 1000


def test_a_run_outlives_the_server_that_started_it(ready: Workspace) -> None:
    code = (
        "import os, sys; from pathlib import Path; from ingest_ray.config import load_config;"
        "from ingest_ray.service.installation import Installation;"
        "from ingest_ray.service.runs.admission import RunRequest;"
        "from ingest_ray.service.launching import launcher_for;"
        f"place = Installation(load_config(Path({str(ready.file)!r})).settings);"
        f"print(launcher_for(place).start(place, RunRequest(endpoint_id='shop', unit_id={UNIT!r})), flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    server = run_code(code)
    assert server.returncode == -signal.SIGKILL
    run_id = server.stdout.strip()
    until(lambda: record_of(ready, run_id).summary.state is not RunState.RUNNING)
    assert record_of(ready, run_id).summary.state is RunState.SUCCEEDED
    assert ready.rows(UNIT) == 1000


def test_a_server_that_dies_before_it_has_a_process_for_the_run_leaves_what_the_next_start_ends(
    ready: Workspace,
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run_id = open_run(ready.installation, REQUEST, Owner(host=_host(), pid=dead.pid, started="1").model_dump_json())
    assert read_status(ready.installation, "shop", UNIT).units[0].state is RunState.FAILED
    assert launcher_for(ready.installation).state(ready.installation, run_id) is RunState.FAILED
    execute_run(ready.installation, open_run(ready.installation, REQUEST))
    assert record_of(ready, run_id).summary.state is RunState.FAILED
    assert ready.rows(UNIT) == 1000


def _host() -> str:
    from ingest_ray.state.lease import this_process

    return this_process().host


def test_a_stop_of_a_run_that_nobody_knows_is_refused(ready: Workspace) -> None:
    with pytest.raises(ConfigError, match="no run 'nothing'"):
        launcher_for(ready.installation).pause(ready.installation, "nothing", None)


def test_runs_beyond_the_limit_of_a_server_wait_for_their_turn(
    ready: Workspace, children: ChildProcessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.document["serve"] = {"parallel": 1}
    ready.apply()
    monkeypatch.setattr(control, "launcher_for", lambda installation: children)
    started = control.start_units(ready.installation, "shop", requested_by="ada")
    assert [unit.unit_id for unit, _ in started] == [UNIT, "numbers-2x300"]
    first, second = [str(result.run_id) for _, result in started]
    assert len(children._waiters) == 1
    assert [children.state(ready.installation, one) for one in (first, second)] == ["RUNNING", "RUNNING"]
    until(lambda: children.state(ready.installation, second) is RunState.SUCCEEDED)
    assert record_of(ready, first).summary.finished_at <= record_of(ready, second).summary.finished_at
    assert ready.rows("numbers-2x300") == 600


def test_waiting_runs_end_with_a_pause_and_with_the_server(ready: Workspace, children: ChildProcessLauncher) -> None:
    ready.document["serve"] = {"parallel": 1}
    ready.source |= {"slice_rows": 100, "faults": {"0:500": ["unavailable:600"]}}
    ready.document["endpoints"].append(
        {**ready.document["endpoints"][0], "id": "other"} | {"config": {"units": ["numbers-1x10"]}}
    )
    ready.document["units"].append({**ready.document["units"][0], "endpoint": "other"})
    ready.apply()
    collect(ready.installation, "other")
    first = children.start(ready.installation, REQUEST)
    paused = children.start(ready.installation, RunRequest(endpoint_id="shop", unit_id="numbers-2x300"))
    ended = children.start(ready.installation, RunRequest(endpoint_id="other", unit_id="numbers-1x10"))
    children.pause(ready.installation, paused, "ada")
    assert record_of(ready, paused).summary.state is RunState.PAUSED
    children.end_waiting_runs()
    assert record_of(ready, ended).summary.state is RunState.PAUSED
    assert record_of(ready, first).summary.state is RunState.RUNNING
    until(lambda: any("read load 0 [500" in line for line in _peek(ready)))
    children.pause(ready.installation, first, "ada")
    children.join(200)
    assert record_of(ready, first).summary.state is RunState.PAUSED
    assert not (ready.folder / "lake" / "other").exists()


def test_a_process_that_cannot_be_started_ends_its_run_also_one_that_waited(
    ready: Workspace, children: ChildProcessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.document["serve"] = {"parallel": 1}
    ready.apply()
    children.start(ready.installation, REQUEST)
    waiting = children.start(ready.installation, RunRequest(endpoint_id="shop", unit_id="numbers-2x300"))

    def refuse(installation: Any, run_id: str) -> Any:
        raise OSError("no more processes")

    monkeypatch.setattr(children, "_spawn", refuse)
    until(lambda: record_of(ready, waiting).summary.state is RunState.FAILED)
    error = record_of(ready, waiting).summary.error
    assert error is not None
    assert (error.code, "no more processes" in error.message) == ("E_RUN_INTERRUPTED", True)
    children.join(60)
    with pytest.raises(ConfigError, match="no more processes"):
        children.start(ready.installation, REQUEST)
    assert children._waiters == {}


def test_a_record_shows_live_counts_and_keeps_them_when_the_process_dies(
    ready: Workspace, children: ChildProcessLauncher
) -> None:
    """A run whose driver died said 0 rows although it had committed 67,584."""
    ready.source |= {"slice_rows": 100, "faults": {"0:500": ["unavailable:600"]}}
    ready.apply()
    run_id = children.start(ready.installation, REQUEST)
    until(lambda: record_of(ready, run_id).summary.rows.committed == 500)
    live = read_status(ready.installation, "shop", UNIT).units[0].last_run
    assert live is not None
    assert (live.state, live.rows.committed, live.is_at_least) == (RunState.RUNNING, 500, True)
    os.kill(pid_of(record_of(ready, run_id)), signal.SIGKILL)
    until(lambda: record_of(ready, run_id).summary.state is RunState.FAILED)
    summary = record_of(ready, run_id).summary
    assert (summary.rows.committed, summary.is_at_least) == (500, True)
    again = execute_run(ready.installation, open_run(ready.installation, REQUEST))
    assert again is not None
    assert ready.rows(UNIT) == 1000
