"""A local Ray loses its servers: while it starts, the run ends with an error that names it; later, another one is started."""

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from ingest_ray.sdk.types import RunState, RunSummary
from tests.run.installation import Installation, write_order

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
BEGINS_S = 90.0


@pytest.mark.parametrize(
    ("server", "staging"),
    [("gcs_server", "files"), pytest.param("raylet/raylet", "object-store", marks=pytest.mark.faults)],
)
def test_a_run_whose_local_ray_loses_a_server_goes_on_with_another(tmp_path: Path, server: str, staging: str) -> None:
    there = Installation(
        tmp_path, unit="numbers-2x2000", inline_below=0, staging=staging, source={"faults": {"1:500": ["hold"]}}
    )
    order = write_order(there, tmp_path / "order.json")
    command = [sys.executable, "-m", "tests.run.run_process", str(order)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as run:
        deadline = time.monotonic() + BEGINS_S
        while not any(" 1 [500, " in line for line in there.reads()) and time.monotonic() < deadline:
            time.sleep(0.1)
        found = [one for one in psutil.Process(run.pid).children(recursive=True) if server in " ".join(one.cmdline())]
        assert len(found) == 1
        found[0].kill()
        out, err = run.communicate(timeout=200)
    assert run.returncode == 0, err
    summary = RunSummary.model_validate_json(out.splitlines()[-1])  # Ray writes there, too
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert "starting another one" in err
    assert there.ids() == there.expected_ids()


def test_a_local_ray_that_does_not_start_is_a_typed_error_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def killed(**_: Any) -> None:
        raise RuntimeError("Failed to start GCS.")

    with monkeypatch.context() as patch:
        patch.setattr(ray, "init", killed)
        patch.setattr(ray, "is_initialized", lambda: False)
        there = Installation(tmp_path, inline_below=0)
        with caplog.at_level(logging.ERROR):
            summary = there.run()
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert (summary.error.code, summary.rows.read) == ("E_CLUSTER_UNAVAILABLE", 0)
    assert "Failed to start GCS" in summary.error.message
    assert not [record for record in caplog.records if record.exc_info]
