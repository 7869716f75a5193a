"""The real service, `ingest-ray serve` in a process of its own, tells a real receiver what was planted, within a minute of when it began."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.monitoring.receiver import Receiver, receiving
from tests.monitoring.serving import await_true
from tests.service.workspace import Workspace

PLANTED = ("failed", "late", "drifted", "quarantined")
MINUTE = timedelta(seconds=60)


@contextmanager
def served(workspace: Workspace) -> Iterator[None]:
    command = [sys.executable, "-m", "ingest_ray.cli", "serve", "--port", "0", "--no-console", "--config"]
    with (workspace.folder / "serve.log").open("w") as out:
        server = subprocess.Popen([*command, str(workspace.file)], stdout=out, stderr=out)
    try:
        await_true(lambda: "serving http" in (workspace.folder / "serve.log").read_text())
        yield
    finally:
        server.terminate()
        server.wait(60)


def opened(receiver: Receiver) -> dict[str, Any]:
    """The first incident of each condition, with the time of the message."""
    found: dict[str, Any] = {}
    for message in receiver.messages:
        if message["type"] == "incident.opened":
            first = message["data"]["incidents"][0] | {"told_at": message["timestamp"]}
            found.setdefault(message["data"]["condition"], first)
    return found


@pytest.mark.slow
@pytest.mark.processes
def test_the_service_tells_a_failure_a_late_unit_a_drift_and_a_quarantined_row_within_a_minute(
    workspace: Workspace,
) -> None:
    with receiving() as receiver:
        workspace.source["units"] = ["numbers-1x10"]
        workspace.document["units"][0] |= {"policy": {"fresh_within": "1s"}}
        workspace.document["alerts"] = {"receivers": [{"id": "hook", "url": receiver.url}]}
        workspace.apply()
        collect(workspace.installation, "shop")
        with served(workspace):
            run(workspace.installation, "shop")  # late a second afterwards
            workspace.source |= {"column_types": {"more": "string"}, "bad": [3]}
            workspace.apply()
            planted = run(workspace.installation, "shop").units[0]
            workspace.source["faults"] = {"describe": ["denied"]}
            workspace.apply()
            failed = run(workspace.installation, "shop").units[0]
            await_true(lambda: set(PLANTED) <= set(opened(receiver)))
    assert (planted.rows.quarantined, failed.state) == (1, RunState.FAILED)
    assert all(b"payload" not in body for _, body in receiver.taken)
    began = {"failed": failed, "drifted": planted, "quarantined": planted, "late": planted}
    for condition, incident in opened(receiver).items():
        since, told = began[condition].finished_at, datetime.fromisoformat(incident["told_at"])
        assert since is not None
        assert told - since < MINUTE, condition
        assert incident["subject"] == "numbers-1x10"
