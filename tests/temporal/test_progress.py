"""The query `progress` of workflows that go on and that have ended; runs whose workflow is terminated; a schedule that fires by itself."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from ingest_ray.payloads.contract import ENDPOINT, PROGRESS, RUN
from ingest_ray.payloads.converter import data_converter
from ingest_ray.payloads.documents import EndpointCommand, EndpointProgress, RunCommand, RunProgress
from ingest_ray.sdk.types import RunState
from ingest_ray.temporal.schedules import sync_schedules
from ingest_ray.temporal.workflows import ALL
from tests.temporal.conftest import PlantMaker
from tests.temporal.record_histories import ACTIVITIES
from tests.temporal.servers import TemporalServer, until
from tests.temporal.worker_workspace import HELD

pytestmark = [pytest.mark.services, pytest.mark.cluster]
QUEUE = "progress"
UNIT = "numbers-1x2000"


async def connected(server: TemporalServer) -> Client:
    for _ in range(300):  # the port is open before the server is healthy
        with suppress(RuntimeError):
            return await Client.connect(server.address, data_converter=data_converter)
        await asyncio.sleep(0.2)
    raise AssertionError("the server does not become healthy")


def test_a_workflow_says_how_far_it_is(temporal_server: TemporalServer) -> None:
    async def work() -> None:
        client = await connected(temporal_server)
        async with Worker(client, task_queue=QUEUE, workflows=ALL, activities=ACTIVITIES):
            command = RunCommand(endpoint_id="shop", unit_id="slow")
            run = await client.start_workflow(RUN, command, id="progress:slow", task_queue=QUEUE)
            seen: list[RunProgress] = []
            while not seen or seen[-1].phase != "running":
                seen.append(await run.query(PROGRESS, result_type=RunProgress))
                await asyncio.sleep(0.05)
            assert seen[-1].run_id == "run-of-slow"
            await run.cancel()
            with suppress(WorkflowFailureError):
                await run.result()
            assert (await run.query(PROGRESS, result_type=RunProgress)).phase == "ended"
            broken = RunCommand(endpoint_id="shop", unit_id="public.broken")
            run = await client.start_workflow(RUN, broken, id="progress:broken", task_queue=QUEUE)
            with suppress(WorkflowFailureError):
                await run.result()
            ended = await run.query(PROGRESS, result_type=RunProgress)
            assert (ended.phase, ended.code) == ("ended", "E_BAD_INPUT")
            whole = EndpointCommand(endpoint_id="shop")
            endpoint = await client.start_workflow(ENDPOINT, whole, id="progress:shop", task_queue=QUEUE)
            with suppress(WorkflowFailureError):
                await endpoint.result()
            found = await endpoint.query(PROGRESS, result_type=EndpointProgress)
            assert (found.units, found.running, found.tally.succeeded, found.tally.failed) == (3, (), 2, 1)

    asyncio.run(asyncio.wait_for(work(), 250))


@pytest.mark.faults
def test_a_terminated_workflow_leaves_its_job_and_the_next_run_follows_it(scripted: PlantMaker) -> None:
    workspace = scripted(UNIT, inline_below=0, slice_rows=100, faults=HELD)
    with workspace.worker():
        name = workspace.start(UNIT)
        workspace.until_committed(UNIT, 100)
        workspace.with_client(lambda client: client.get_workflow_handle(name).terminate("by a person"))
        workspace.release()
        until(lambda: workspace.state(UNIT) is RunState.SUCCEEDED, what="the end of the run")
        assert workspace.run(UNIT).state is RunState.SUCCEEDED
    assert workspace.ids(UNIT) == Counter(range(2000))


@pytest.mark.faults
def test_a_schedule_starts_a_run_by_itself(scripted: PlantMaker) -> None:
    workspace = scripted("numbers-1x400")
    workspace.rule["schedule_minutes"] = 1
    workspace.apply()
    with workspace.worker():
        workspace.with_client(lambda client: sync_schedules(client, workspace.installation))
        until(lambda: workspace.state("numbers-1x400") is RunState.SUCCEEDED, what="a run at the full minute")
        record = workspace.record("numbers-1x400")
        assert record is not None
        assert record.requested_by == "schedule"
        del workspace.rule["schedule_minutes"]
        workspace.apply()
        workspace.with_client(lambda client: sync_schedules(client, workspace.installation))
