"""A process of a run on Ray is killed at a named step; the run itself goes on and ends with every row once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from ingest_ray.executors.ray.cluster import Cluster
from ingest_ray.sdk.types import RunState, RunSummary
from tests.run.installation import Installation, write_order

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("who", "step"),
    [
        ("reader", "read:after-batch@2"),
        ("planner", "plan:before-next@2"),
        ("sink", "sink:after-prepare@2"),
        ("committing sink", "sink:after-commit@2"),
        ("state", "state:before-fold@2"),
    ],
)
def test_c32_a_killed_actor_or_task_costs_no_row_and_no_run(
    tmp_path: Path, cluster: Cluster, who: str, step: str
) -> None:
    """In a driver of its own, on the Ray that the tests share."""
    there = Installation(tmp_path, unit="numbers-2x4000", inline_below=0)
    order = write_order(there, tmp_path / "order.json")
    marker = tmp_path / "killed"
    environment = os.environ | {"INGEST_FAILPOINT": step, "INGEST_FAILPOINT_ONCE": str(marker)}
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "tests.cluster.run_joined", address, str(order)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert marker.exists(), f"no {who} was killed"
    summary = RunSummary.model_validate_json(done.stdout.splitlines()[-1])  # Ray writes there, too
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert summary.executor == "ray"
    assert there.ids() == there.expected_ids()
