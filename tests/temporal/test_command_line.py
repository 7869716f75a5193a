"""`ingest-ray run` by the launcher of the installation: the same output as in the command's own process."""

import json
import signal
import subprocess
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState
from tests.temporal.conftest import PlantMaker
from tests.temporal.servers import BIN, until
from tests.temporal.worker_workspace import HELD, WorkerWorkspace

pytestmark = [pytest.mark.services, pytest.mark.cluster]
UNIT = "numbers-1x1000"


def command(workspace: WorkerWorkspace, *arguments: str) -> "subprocess.Popen[str]":
    whole = [str(BIN / "ingest-ray"), "run", "shop", *arguments, "--config", str(workspace.file)]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> tuple[int, Any, str]:
    out, err = process.communicate(timeout=250)
    return process.returncode, json.loads(out) if out.strip() else None, err


@pytest.mark.faults
@pytest.mark.parametrize("name", ["ray-job", "temporal"])
def test_the_command_waits_for_its_runs_and_shows_the_same_wherever_they_run(scripted: PlantMaker, name: str) -> None:
    workspace = scripted(UNIT, "numbers-2x300")
    workspace.launcher = name
    workspace.apply()
    with workspace.worker():
        code, document, err = ended(command(workspace, "--json"))
    assert code == 0, err
    assert (document["state"], document["rows"]["committed"]) == ("SUCCEEDED", 1600)
    assert {unit["unit_id"]: unit["rows"]["committed"] for unit in document["units"]} == {
        UNIT: 1000,
        "numbers-2x300": 600,
    }
    code, here, err = ended(command(workspace, "--json", "--local"))
    assert code == 0, err
    assert here.keys() == document.keys()
    assert [unit.keys() for unit in here["units"]] == [unit.keys() for unit in document["units"]]


@pytest.mark.faults
def test_a_signal_stops_the_run_on_the_cluster_and_the_next_goes_on(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker():
        process = command(workspace, UNIT, "--json")
        workspace.until_committed(UNIT, 500)
        process.send_signal(signal.SIGINT)
        code, document, err = ended(process)
        assert (code, document["state"]) == (1, "PAUSED"), err
        assert document["rows"]["committed"] >= 500
        workspace.release()
        code, document, err = ended(command(workspace, UNIT, "--json"))
    assert (code, document["state"]) == (0, "SUCCEEDED"), err
    assert sorted(workspace.ids(UNIT).values()) == [1] * 1000


@pytest.mark.faults
def test_a_command_that_dies_or_does_not_wait_stops_no_run(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker():
        code, started, err = ended(command(workspace, UNIT, "--json", "--detach"))
        assert (code, started["state"]) == (0, "RUNNING"), err
        workspace.until_committed(UNIT, 500)
        waiting = command(workspace, UNIT)
        assert ended(waiting)[0] == 2  # E_RUN_ACTIVE: the unit has a live run
        workspace.release()
        until(lambda: workspace.state(UNIT) is RunState.SUCCEEDED, what="the end of the run")
    record = workspace.record(UNIT)
    assert record is not None
    assert record.run_id == started["units"][0]["run_id"]
