"""`run --detach` starts runs that go on without the command; what is refused has no record."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest_ray.catalog import run_records
from ingest_ray.service.runs.run_liveness import owner_of
from tests.cli.in_process import InProcessCli
from tests.service.workspace import Workspace

UNITS = ["numbers-1x1000", "numbers-2x300"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace(tmp_path)
    workspace.document["serve"] = {"parallel": 1}
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    return workspace


@pytest.fixture
def cli(workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> InProcessCli:
    there = InProcessCli(workspace.folder, capfd)
    workspace.write()
    there.json("apply")
    there.json("collect", "shop")
    return there


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def states(cli: InProcessCli) -> list[str]:
    return [run["state"] for run in cli.json("history", "shop")["runs"]]


def test_detached_runs_go_on_one_after_the_other(cli: InProcessCli, workspace: Workspace) -> None:
    started = cli.json("run", "shop", "--detach")
    assert (started["state"], [unit["state"] for unit in started["units"]]) == ("RUNNING", ["RUNNING", "RUNNING"])
    again = cli.json("run", "shop", "--detach", code=2)  # both have a live run
    assert again["error"]["code"] == "E_RUN_ACTIVE"
    until(lambda: states(cli) == ["SUCCEEDED", "SUCCEEDED"])
    assert [workspace.rows(unit) for unit in UNITS] == [1000, 600]
    runs = {unit["run_id"] for unit in started["units"]}
    assert {run["run_id"] for run in cli.json("history", "shop")["runs"]} == runs
    with workspace.installation.catalog.read() as connection:
        owners = [owner_of(found) for run in runs if (found := run_records.find(connection, run)) is not None]
    assert all(owner.pid != os.getpid() for owner in owners)


@pytest.mark.faults
def test_a_detached_run_can_be_paused_and_so_can_one_that_waits(cli: InProcessCli, workspace: Workspace) -> None:
    workspace.source |= {"slice_rows": 100, "faults": {"0:500": ["unavailable:600"]}}
    workspace.write()
    cli.json("apply")
    code, out, _ = cli.run("run", "shop", "-d")
    assert (code, out.count("started: run ")) == (0, 2)
    until(lambda: workspace.journal.exists() and "read load 0 [500" in workspace.journal.read_text())
    cli.run("pause", "shop", UNITS[1])
    cli.run("pause", "shop", UNITS[0])
    until(lambda: "RUNNING" not in states(cli))
    assert states(cli) == ["PAUSED", "PAUSED"]


def test_a_mistake_in_the_call_leaves_no_record(cli: InProcessCli, workspace: Workspace) -> None:
    assert cli.json("run", "shop", "nothing", "--detach", code=2)["error"]["code"] == "E_INGESTION_UNIT_NOT_FOUND"
    assert cli.json("run", "shop", "--detach", "--local", code=2)["error"]["code"] == "E_BAD_INPUT"
    assert cli.json("run", "shop", "--detach", "--parallel", "2", code=2)["error"]["code"] == "E_BAD_INPUT"
    assert cli.json("run", "shop", "--detach", "--from", "1", code=2)["error"]["code"] == "E_BAD_INPUT"
    workspace.document |= {"launcher": "ray-job", "ray": {"jobs_url": "http://127.0.0.1:1"}}
    workspace.write()
    cli.json("apply")
    for more in ((), ("--detach",)):
        assert cli.json("run", "shop", *more, code=1)["error"]["code"] == "E_CLUSTER_UNAVAILABLE"
    assert states(cli) == []
    assert cli.json("run", "shop", UNITS[0], "--local")["state"] == "SUCCEEDED"


@pytest.mark.faults
def test_a_starter_that_is_killed_leaves_runs_that_another_start_replaces(
    cli: InProcessCli, workspace: Workspace
) -> None:
    workspace.source |= {"slice_rows": 100, "faults": {"0:500": ["hold"] * 50}}
    workspace.write()
    cli.json("apply")
    cli.json("run", "shop", "--detach")
    until(lambda: workspace.journal.exists() and "read load 0 [500" in workspace.journal.read_text())
    with workspace.installation.catalog.read() as connection:
        waiting = [
            record for record in run_records.running(connection, "shop") if owner_of(record).vouched_until is not None
        ]
    assert len(waiting) == 1
    os.kill(owner_of(waiting[0]).pid, signal.SIGKILL)
    unit = waiting[0].summary.unit_id
    until(lambda: cli.run("run", "shop", unit, "--json")[0] == 0)
    (workspace.folder / "journal.release").touch()
    until(lambda: "RUNNING" not in states(cli))
    assert sorted(states(cli)) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
