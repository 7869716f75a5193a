"""Runs that are forked from a warm process are processes like any other: of their own, and nothing of one is in the next."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest_ray.catalog import run_records
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching import fork_server, warm_processes
from ingest_ray.service.launching.child_process import ChildProcessLauncher, log_path
from ingest_ray.service.launching.job_spec import JobSpec
from ingest_ray.service.launching.warm_processes import IS_POSSIBLE, WarmProcesses
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.run_liveness import owner_of
from tests.service.conftest import workspace
from tests.service.workspace import Workspace

__all__ = ["workspace"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not IS_POSSIBLE, reason="this system has no safe fork")]
UNIT, OTHER = "numbers-1x1000", "numbers-2x300"
HELD = {"slice_rows": 100, "faults": {"0:500": ["hold"] * 50}}


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()
    return workspace


@pytest.fixture
def launcher() -> Iterator[ChildProcessLauncher]:
    made = ChildProcessLauncher()
    yield made
    made.join(200)
    made.close()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def record(workspace: Workspace, run_id: str) -> RunRecord:
    with workspace.installation.catalog.read() as connection:
        found = run_records.find(connection, run_id)
    assert found is not None
    return found


def start(workspace: Workspace, launcher: ChildProcessLauncher, unit: str = UNIT) -> str:
    return launcher.start(workspace.installation, RunRequest(endpoint_id="shop", unit_id=unit))


def is_held(workspace: Workspace) -> bool:
    return workspace.journal.exists() and "read load 0 [500" in workspace.journal.read_text()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_run_that_is_killed_costs_itself_only(ready: Workspace, launcher: ChildProcessLauncher) -> None:
    ready.source |= HELD
    ready.apply()
    first = start(ready, launcher)
    until(lambda: is_held(ready))
    pid, warm = owner_of(record(ready, first)).pid, launcher.warm_pid
    assert parent_of(pid) == warm
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    launcher.join(200)
    ended = record(ready, first).summary
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert ended.error.code == "E_RUN_INTERRUPTED"
    (ready.folder / "journal.release").touch()
    second = start(ready, launcher)
    launcher.join(200)
    assert record(ready, second).summary.state is RunState.SUCCEEDED
    assert launcher.warm_pid == warm
    assert owner_of(record(ready, second)).pid != pid
    assert ready.rows(UNIT) == 1000


@pytest.mark.faults
def test_a_run_outlives_the_warm_process_and_the_next_gets_a_new_one(
    ready: Workspace, launcher: ChildProcessLauncher
) -> None:
    ready.source |= HELD
    ready.apply()
    first = start(ready, launcher)
    until(lambda: is_held(ready))
    warm = launcher.warm_pid
    assert warm is not None
    os.kill(warm, signal.SIGKILL)
    second = start(ready, launcher, OTHER)
    (ready.folder / "journal.release").touch()
    launcher.join(200)
    assert [record(ready, one).summary.state for one in (first, second)] == [RunState.SUCCEEDED] * 2
    assert launcher.warm_pid != warm


def test_nothing_of_one_run_is_in_the_next(ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs that are no runs: their errors show the environment and the folder that each has."""
    processes = WarmProcesses()
    settings = ready.installation.settings.model_copy(update={"state_url": "env:STATE_OF_TEST"})
    outs = []
    for number, url in enumerate((f"sqlite:///{tmp_path}/one.db", None, f"sqlite:///{tmp_path}/two.db")):
        if url is None:
            monkeypatch.delenv("STATE_OF_TEST")
        else:
            monkeypatch.setenv("STATE_OF_TEST", url)
        with open(tmp_path / f"out-{number}", "wb") as out:
            started = processes.start(JobSpec(run_id="nothing", settings=settings), out, ["no.such", "lake.delta"])
        assert started.wait() == 1
        outs.append((tmp_path / f"out-{number}").read_text())
    processes.close()
    assert "there is no run 'nothing'" in outs[0]
    assert "STATE_OF_TEST" in outs[1]
    assert "there is no run 'nothing'" in outs[2]
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["one.db", "two.db"]


def test_a_process_with_threads_is_not_forked(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert set(fork_server._SAFE_THREADS) == {"jemalloc_bg_thd"}

    def refuse(*_: object) -> None:
        raise warm_processes._Unfit("a library has started threads: some-pool")

    monkeypatch.setattr(warm_processes._Server, "start", refuse)
    launcher = ChildProcessLauncher()
    run_id = start(ready, launcher)
    launcher.join(200)
    launcher.close()
    assert record(ready, run_id).summary.state is RunState.SUCCEEDED
    assert "started without a warm process" in caplog.text
    assert log_path(ready.installation, run_id).exists()
