"""A workflow, its activities, the Ray job and every step of its run are one trace."""

import pytest

from ingest_ray import telemetry
from ingest_ray.sdk import tracing
from ingest_ray.sdk.types import RunState
from tests.monitoring.serving import await_true
from tests.telemetry.collector import collecting
from tests.telemetry.test_traces import STEPS
from tests.temporal.conftest import PlantMaker

pytestmark = [pytest.mark.services, pytest.mark.cluster]
UNIT = "numbers-1x1000"


def test_every_step_of_a_workflow_is_in_one_trace(scripted: PlantMaker) -> None:
    with collecting() as collector:
        workspace = scripted(UNIT, more_settings={"telemetry": {"endpoint": collector.url}})
        telemetry.configure(workspace.installation.settings)
        with workspace.worker(), tracing.span("the caller"):
            assert workspace.run(UNIT).state is RunState.SUCCEEDED
        telemetry.shutdown()
        await_true(lambda: "CompleteWorkflow:ingestionRunWorkflow" in collector.names())
        assert STEPS | {"job", "RunWorkflow:ingestionRunWorkflow", "RunActivity:startIngestionRun"} <= collector.names()
        commit = collector.await_span("commit")
        assert collector.path_of(commit) == [
            "the caller",
            "StartWorkflow:ingestionRunWorkflow",
            "StartActivity:runIngestionUnit",
            "RunActivity:runIngestionUnit",
            "job",
            "run",
            "attempt",
            "commit",
        ]
        assert {span.trace_id for span in collector.spans} == {commit.trace_id}
