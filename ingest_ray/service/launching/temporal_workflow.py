"""The launcher of an installation with Temporal: every run is a workflow that starts a Ray job."""

import asyncio
from contextlib import suppress

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ingest_ray.payloads.client import connect
from ingest_ray.payloads.contract import RUN
from ingest_ray.payloads.documents import RunCommand
from ingest_ray.payloads.search_attributes import attributes_of, ensure_search_attributes, forget_search_attributes
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError, IngestError, RunActive
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import (
    WithinStart,
    fail_run,
    find_request,
    open_run,
    read_run_state,
    request_stop,
)
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.service.runs.record_keeping import fault_of
from ingest_ray.settings import Settings


class TemporalLauncher:
    def start(self, installation: Installation, request: RunRequest, within: WithinStart = lambda _: None) -> str:
        run_id = open_run(installation, request, within=within)
        try:
            asyncio.run(_start_workflow(installation, command_of(request, run_id)))
        except IngestError as error:
            fail_run(installation, run_id, fault_of(error))
            raise
        return run_id

    def restart(self, installation: Installation, run_id: str) -> None:
        with suppress(RunActive):  # its workflow waits for a worker
            asyncio.run(_start_workflow(installation, command_of(find_request(installation, run_id), run_id)))

    def check(self, installation: Installation) -> None:
        asyncio.run(connect(installation.settings))

    def is_over(self, installation: Installation, run_id: str) -> bool:
        """False while the unit's workflow goes on: another attempt of it reopens a run that failed."""
        request = find_request(installation, run_id)
        return not asyncio.run(_is_workflow_running(installation, command_of(request, run_id)))

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        """The run reads the request from the catalog, so it stops also while Temporal is not there."""
        request_stop(installation, run_id, requested_by)

    def state(self, installation: Installation, run_id: str) -> RunState:
        return read_run_state(installation, run_id)


def command_of(request: RunRequest, run_id: str) -> RunCommand:
    return RunCommand(
        endpoint_id=request.endpoint_id,
        unit_id=request.unit_id,
        sink_id=request.sink_id,
        sink_endpoint_id=request.sink_endpoint_id,
        run_id=run_id,
        requested_by=request.requested_by,
        **request.options.model_dump(exclude={"follow_s"}),
    )


async def _start_workflow(installation: Installation, command: RunCommand) -> None:
    settings = installation.settings
    client = await connect(settings)
    try:
        if await ensure_search_attributes(client):
            try:
                return await _start(client, settings, command, attributes_of(command))
            except RPCError as error:
                if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                    raise
                forget_search_attributes(client)  # a server may take a minute to know new ones
        await _start(client, settings, command)
    except WorkflowAlreadyStartedError:
        raise RunActive(f"unit '{command.ref}' has a live workflow") from None
    except FailureError as error:
        raise ConfigError(str(error)) from None
    except RPCError as error:
        raise ClusterUnavailable(f"the Temporal server refused the workflow: {error.message}") from error


async def _start(
    client: Client, settings: Settings, command: RunCommand, attributes: TypedSearchAttributes | None = None
) -> None:
    await client.start_workflow(
        RUN,
        command,
        id=f"ingest:{command.ref}",
        task_queue=settings.temporal.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        search_attributes=attributes,
    )


async def _is_workflow_running(installation: Installation, command: RunCommand) -> bool:
    client = await connect(installation.settings)
    try:
        described = await client.get_workflow_handle(f"ingest:{command.ref}").describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise ClusterUnavailable(f"the Temporal server does not tell of the workflow: {error.message}") from error
    return described.status is WorkflowExecutionStatus.RUNNING


launcher = TemporalLauncher()
