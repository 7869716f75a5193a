"""Small units on a cluster: the driver of the job does all of it, and no actor is started."""

from collections import Counter
from pathlib import Path

import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.runs.admission import RunRequest
from tests.temporal.conftest import PlantMaker
from tests.temporal.servers import until

pytestmark = [pytest.mark.services, pytest.mark.cluster]
UNIT = "numbers-1x1000"


def test_a_small_table_as_a_job_is_read_by_its_driver_without_actors(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT)
    workspace.launcher = "ray-job"
    workspace.apply()
    launcher = launcher_for(workspace.installation)
    run_id = launcher.start(workspace.installation, RunRequest(endpoint_id="shop", unit_id=UNIT))
    until(lambda: launcher.state(workspace.installation, run_id) is not RunState.RUNNING, what="the end of the run")
    summary = workspace.record(UNIT)
    assert summary is not None
    assert (summary.state, summary.executor) == (RunState.SUCCEEDED, "inline"), summary.error
    assert workspace.ids(UNIT) == Counter(range(1000))
    assert not [pid for pid in workspace.head.pids() if b"Actor" in (Path("/proc") / str(pid) / "cmdline").read_bytes()]
