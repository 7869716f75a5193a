"""`run` writes its error even if Ray ends the process while it connects or disconnects, as Ray does when a server dies."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ingest_ray.process.exit_notice import ExitNotice, announce, guard_exit
from ingest_ray.service.endpoints.collect import collect
from tests.service.workspace import Workspace

pytestmark = pytest.mark.cluster


def run_ended(workspace: Workspace, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ingest_ray.cli", "run", "shop", "numbers-1x1000", *options]
    environment = os.environ | {"INGEST_FAILPOINT": "ray:before-connect"}
    return subprocess.run(
        command, cwd=workspace.folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace(tmp_path)
    workspace.document["ray"] = {"inline_below": 0, "num_cpus": 2, "object_store_bytes": 100 * 1024 * 1024}
    workspace.apply()
    collect(workspace.installation, "shop")
    return workspace


def test_a_run_that_is_ended_while_it_connects_to_ray_has_a_document_with_a_code(workspace: Workspace) -> None:
    done = run_ended(workspace, "--json")
    assert done.returncode == -signal.SIGKILL
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["hint"]) == ("E_CLUSTER_UNAVAILABLE", "to go on: ingest-ray run shop numbers-1x1000")


def test_for_a_person_it_is_a_line_of_text(workspace: Workspace) -> None:
    done = run_ended(workspace)
    assert (
        "while it connected to ray or left it, as when a server of ray dies meanwhile [E_CLUSTER_UNAVAILABLE]"
        in done.stderr
    )
    assert done.stdout == ""


@pytest.mark.parametrize(
    "disconnect",
    [
        "connection = Cluster.__new__(Cluster); connection._is_ours, ray.shutdown = True, lambda: os._exit(1); connection.reader_pool = SimpleNamespace(close=lambda: None)",
        "connection = RayExecutor.__new__(RayExecutor); connection._control = SimpleNamespace(close=lambda: None); connection._server_watch, connection._end_actors = WATCH, lambda: os._exit(1)",
    ],
)
def test_the_notice_of_a_process_that_is_ended_while_it_disconnects_is_printed(disconnect: str) -> None:
    """Without a Ray, whose servers would have to die in the last milliseconds of a run."""
    code = f"""
import os, sys, ray
from types import SimpleNamespace
from ingest_ray.executors.ray import cluster
from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.executors.ray.executor import RayExecutor
from ingest_ray.process.exit_notice import ExitNotice, announce
WATCH = SimpleNamespace(is_lost=lambda at_once: False)
cluster.end_throttles = lambda: None
{disconnect}
connection.server_watch = WATCH
with announce(ExitNotice("ended", sys.stdout)):
    connection.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout) == (1, "ended"), done.stderr


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_block_that_ends_by_itself_dismisses_the_notice(tmp_path: Path, error: type[BaseException] | None) -> None:
    with (tmp_path / "out").open("w") as out, announce(ExitNotice("gone", out)):
        with suppress(ValueError, KeyboardInterrupt), guard_exit():
            if error is not None:
                raise error
    assert (tmp_path / "out").read_text() == ""
