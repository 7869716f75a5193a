"""Records histories of the workflows as they are now: `python -m tests.temporal.record_histories`, before each release.

A real server and the real workflows; activities answer from here, because a history holds what was asked and answered, not the work.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

import ingest_ray
from ingest_ray.payloads.contract import CATALOG, COMPARISON, ENDPOINT, RUN
from ingest_ray.payloads.converter import data_converter
from ingest_ray.payloads.documents import (
    CatalogCommand,
    CatalogOutcome,
    Checkpoint,
    ComparisonCommand,
    ComparisonOutcome,
    EndpointCommand,
    RunCommand,
    RunEnd,
    RunFailure,
    RunOnly,
    RunRef,
    Statistics,
    UnitOutcome,
    UnitsCommand,
    UnitsPage,
)
from ingest_ray.sdk.types import RunState
from ingest_ray.temporal.workflows import ALL
from tests.temporal.servers import TemporalServer

FOLDER = Path(__file__).parent / "histories"
QUEUE = "histories"
UNITS = ("public.a", "public.broken", "public.c")


@activity.defn(name="startIngestionRun")
async def start_run(command: RunCommand) -> RunRef:
    return RunRef(run_id=f"run-of-{command.unit_id}", endpoint_id="shop", unit_id=command.unit_id, sink_id="lake")


@activity.defn(name="runIngestionUnit")
async def run_unit(command: RunOnly) -> UnitOutcome:
    if command.run_id.endswith("slow"):
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.1)
    if command.run_id.endswith("flaky") and activity.info().attempt == 1:
        raise ApplicationError("the cluster has lost the job", type="E_RUN_INTERRUPTED")
    if command.run_id.endswith("broken"):
        raise ApplicationError("no such column", "look at the policy", type="E_BAD_INPUT", non_retryable=True)
    return UnitOutcome(
        run_id=command.run_id,
        endpoint_id="shop",
        unit_id=command.run_id.removeprefix("run-of-"),
        sink_id="lake",
        state=RunState.SUCCEEDED,
        checkpoint=Checkpoint(segments=1, watermarks={"all": 7}),
        statistics=Statistics(rows_read=7, rows_committed=7),
        manifest_uri="file:///home/documents/run.json",
    )


@activity.defn(name="completeIngestionRun")
async def complete_run(command: RunOnly) -> RunEnd:
    return RunEnd(run_id=command.run_id, state=RunState.SUCCEEDED)


@activity.defn(name="failIngestionRun")
async def fail_run(command: RunFailure) -> RunEnd:
    return RunEnd(run_id=command.run_id, state=RunState.FAILED, code=command.code)


@activity.defn(name="listEnabledUnits")
async def list_units(command: UnitsCommand) -> UnitsPage:
    rest = [unit for unit in UNITS if command.after is None or unit > command.after]
    return UnitsPage(unit_ids=tuple(rest[: command.limit]), is_last=len(rest) <= command.limit)


@activity.defn(name="collectCatalogSnapshots")
async def collect_catalog(command: CatalogCommand) -> CatalogOutcome:
    ids = {"endpoint_id": command.endpoint_id, "collection_id": "c1"}
    return CatalogOutcome(**ids, found=3, added=3, changed=0, gone=0, configured=3)


@activity.defn(name="compareUnit")
async def compare_unit(command: ComparisonCommand) -> ComparisonOutcome:
    counts: dict[str, Any] = {"compared": "keys", "rows_at_source": 7}
    if command.unit_id.endswith("broken"):
        fault = {"code": "E_ROWS_DIFFER", "message": "one key differs"}
        return ComparisonOutcome(run_id="c2", state=RunState.FAILED, rows_in_sink=6, missing=1, **counts, **fault)
    return ComparisonOutcome(run_id="c1", state=RunState.SUCCEEDED, rows_in_sink=7, **counts)


ACTIVITIES = [start_run, run_unit, complete_run, fail_run, list_units, collect_catalog, compare_unit]


async def record(client: Client) -> dict[str, dict[str, Any]]:
    """The histories by name."""

    async def started(workflow: str, command: Any, name: str) -> WorkflowHandle[Any, Any]:
        return await client.start_workflow(workflow, command, id=name, task_queue=QUEUE)

    async def run(unit: str) -> WorkflowHandle[Any, Any]:
        return await started(RUN, RunCommand(endpoint_id="shop", unit_id=unit), f"ingest:shop:{unit}")

    async with Worker(client, task_queue=QUEUE, workflows=ALL, activities=ACTIVITIES):
        whole = EndpointCommand(endpoint_id="shop", max_parallel=2, units_per_history=2)
        handles = {
            "run-succeeded": await run("public.orders"),
            "run-retried": await run("flaky"),
            "run-failed": await run("public.broken"),
            "run-cancelled": await run("slow"),
            "catalog": await started(CATALOG, CatalogCommand(endpoint_id="shop"), "collect:shop"),
        }
        for name, unit in (("comparison", "public.orders"), ("comparison-failed", "public.broken")):
            command = ComparisonCommand(endpoint_id="shop", unit_id=unit)
            handles[name] = await started(COMPARISON, command, f"compare:shop:{unit}")
        await _until_running(handles["run-cancelled"])
        await handles["run-cancelled"].cancel()
        for handle in handles.values():
            with suppress(WorkflowFailureError):
                await handle.result()
        endpoint = await started(ENDPOINT, whole, "endpoint:shop")
        first = client.get_workflow_handle("endpoint:shop", run_id=endpoint.first_execution_run_id)
        with suppress(WorkflowFailureError):
            await endpoint.result()
        handles |= {"endpoint-continued": first, "endpoint-failed": client.get_workflow_handle("endpoint:shop")}
        return {
            name: scrubbed(json.loads((await handle.fetch_history()).to_json())) for name, handle in handles.items()
        }


def scrubbed(value: Any) -> Any:
    """Without what names this machine: a replay does not look at it."""
    if isinstance(value, dict):
        return {
            name: "" if name == "stackTrace" else "recorder" if name == "identity" else scrubbed(part)
            for name, part in value.items()
        }
    if isinstance(value, str):
        return re.sub(r"^\d+@[\w.]+(-[0-9a-f]{32})?", "recorder", value)  # a queue of one worker
    return [scrubbed(part) for part in value] if isinstance(value, list) else value


async def _until_running(handle: WorkflowHandle[Any, Any]) -> None:
    while not any(pending.attempt for pending in (await handle.describe()).raw_description.pending_activities):
        await asyncio.sleep(0.05)
    while b"runIngestionUnit" not in (await handle.fetch_history()).to_json().encode():
        await asyncio.sleep(0.05)


async def _healthy_client(address: str) -> Client:
    """The port is open before the server is healthy."""
    for _ in range(300):
        with suppress(RuntimeError):
            return await Client.connect(address, data_converter=data_converter)
        await asyncio.sleep(0.2)
    raise AssertionError("the server does not become healthy")


def with_server(work: Callable[[Client], Awaitable[Any]]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        server = TemporalServer(Path(folder))

        async def connected() -> Any:
            return await work(await _healthy_client(server.address))

        try:
            return asyncio.run(connected())
        finally:
            server.kill()


def main() -> None:
    folder = FOLDER / ingest_ray.__version__
    folder.mkdir(parents=True, exist_ok=True)
    for name, history in with_server(record).items():
        (folder / f"{name}.json").write_text(json.dumps(history, indent=1, sort_keys=True) + "\n")
        print(folder / f"{name}.json")


if __name__ == "__main__":
    main()
