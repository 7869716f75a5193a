"""Workflows are found by endpoint, unit and state on a real server; a server that does not let us register them runs them without."""

import asyncio
import json
import subprocess
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, Worker

from ingest_ray.payloads import search_attributes
from ingest_ray.payloads.contract import ENDPOINT
from ingest_ray.payloads.converter import data_converter
from ingest_ray.payloads.documents import EndpointCommand, RunCommand
from ingest_ray.payloads.search_attributes import STATE, attributes_of, ensure_search_attributes
from ingest_ray.service.launching.temporal_workflow import _start_workflow
from ingest_ray.settings import Settings, TemporalSettings
from ingest_ray.temporal.workflows import ALL
from tests.temporal.record_histories import ACTIVITIES
from tests.temporal.servers import BIN, TemporalServer, until
from tests.temporal.test_progress import connected

pytestmark = [pytest.mark.services, pytest.mark.cluster]


def found(server: TemporalServer, query: str, namespace: str = "default") -> list[str]:
    """The ids of the workflows that the official command line lists."""
    command = [str(BIN / "temporal"), "workflow", "list", "--address", server.address, "--namespace", namespace]
    listed = subprocess.run(
        [*command, "--output", "json", "--query", query], capture_output=True, text=True, timeout=60
    )
    assert listed.returncode == 0, listed.stderr
    return sorted(each["execution"]["workflowId"] for each in json.loads(listed.stdout or "[]"))


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_attributes, "_known", {})


def launched(server: TemporalServer, queue: str, *units: str, namespace: str = "default") -> None:
    """What the launcher starts."""
    temporal = TemporalSettings(address=server.address, task_queue=queue, namespace=namespace)
    asyncio.run(connected(server))
    installation = SimpleNamespace(
        settings=Settings(home="/nowhere", state_url="sqlite:////nowhere", temporal=temporal)
    )
    for unit in units:
        asyncio.run(_start_workflow(cast(Any, installation), RunCommand(endpoint_id=queue, unit_id=unit)))


def worked(server: TemporalServer, queue: str, *names: str, namespace: str = "default") -> None:
    """A worker carries these workflows out; their histories can be replayed."""

    async def work() -> None:
        client = await Client.connect(server.address, namespace=namespace, data_converter=data_converter)
        async with Worker(client, task_queue=queue, workflows=ALL, activities=ACTIVITIES):
            for name in names:
                with suppress(WorkflowFailureError):
                    await client.get_workflow_handle(name).result()
        for name in names:
            history = await client.get_workflow_handle(name).fetch_history()
            await Replayer(workflows=ALL, data_converter=data_converter).replay_workflow(history)

    asyncio.run(work())


def test_runs_are_found_by_endpoint_unit_and_state(temporal_server: TemporalServer) -> None:
    queue = f"queue-{uuid4().hex[:8]}"
    launched(temporal_server, queue, "good", "broken")
    names = [f"ingest:{queue}:broken", f"ingest:{queue}:good"]
    until(
        lambda: found(temporal_server, f'IngestEndpoint = "{queue}" AND IngestState = "RUNNING"') == names, what="both"
    )
    worked(temporal_server, queue, *names)
    for name, state in zip(names, ("FAILED", "SUCCEEDED"), strict=True):
        query = f'IngestUnit = "{name.rpartition(":")[2]}" AND IngestEndpoint = "{queue}" AND IngestState = "{state}"'
        until(lambda query=query, name=name: found(temporal_server, query) == [name], what=query)


def test_the_units_of_an_endpoint_have_the_attributes_where_its_workflow_has(temporal_server: TemporalServer) -> None:
    queue = f"queue-{uuid4().hex[:8]}"

    async def start(client_of: TemporalServer) -> None:
        client = await connected(client_of)
        assert await ensure_search_attributes(client)
        command = EndpointCommand(endpoint_id=queue, max_parallel=2)
        given = attributes_of(RunCommand(endpoint_id=queue, unit_id="*"))
        await client.start_workflow(ENDPOINT, command, id=queue, task_queue=queue, search_attributes=given)

    asyncio.run(start(temporal_server))
    worked(temporal_server, queue, queue)
    query = f'IngestEndpoint = "{queue}" AND IngestState = "SUCCEEDED"'
    names = [f"ingest:{queue}:public.a", f"ingest:{queue}:public.c"]
    until(lambda: found(temporal_server, query) == names, what=query)


def test_an_attribute_of_another_type_is_said_once_and_runs_go_on_without(
    temporal_server: TemporalServer, caplog: pytest.LogCaptureFixture
) -> None:
    name, queue = f"space-{uuid4().hex[:8]}", f"queue-{uuid4().hex[:8]}"

    async def prepare() -> None:
        client = await connected(temporal_server)
        day = Duration(seconds=86_400)
        request = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=day)
        await client.workflow_service.register_namespace(request)
        attributes = {STATE.name: IndexedValueType.INDEXED_VALUE_TYPE_INT}
        add = AddSearchAttributesRequest(namespace=name, search_attributes=attributes)
        await client.operator_service.add_search_attributes(add)

    asyncio.run(prepare())
    launched(temporal_server, queue, "good", "other", namespace=name)
    (said,) = [record.getMessage() for record in caplog.records if "searched" in record.getMessage()]
    assert "IngestState of the namespace have another type than Keyword" in said
    names = [f"ingest:{queue}:good", f"ingest:{queue}:other"]
    worked(temporal_server, queue, *names, namespace=name)
    until(
        lambda: found(temporal_server, "ExecutionStatus = 'Completed'", name) == names, what="runs without attributes"
    )


def test_a_server_that_refuses_new_attributes_gets_the_run_without(
    temporal_server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster of servers knows a new attribute a minute later: the first start is refused."""
    queue = f"queue-{uuid4().hex[:8]}"

    async def think_so(_: Client) -> bool:
        return True

    def not_there_yet(command: RunCommand) -> TypedSearchAttributes:
        pairs = attributes_of(command).search_attributes
        key = search_attributes.SearchAttributeKey.for_keyword("IngestNotThereYet")
        return TypedSearchAttributes([*pairs, search_attributes.SearchAttributePair(key, "x")])

    module = "ingest_ray.service.launching.temporal_workflow"
    monkeypatch.setattr(f"{module}.ensure_search_attributes", think_so)
    monkeypatch.setattr(f"{module}.attributes_of", not_there_yet)
    launched(temporal_server, queue, "good")
    worked(temporal_server, queue, f"ingest:{queue}:good")


def test_a_missing_permission_is_said_with_the_command_for_a_person_who_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_: Any) -> None:
        raise RPCError("Request unauthorized.", RPCStatusCode.PERMISSION_DENIED, b"")

    client = SimpleNamespace(
        operator_service=SimpleNamespace(list_search_attributes=refuse),
        service_client=SimpleNamespace(config=SimpleNamespace(target_host="cloud:7233")),
        namespace="team",
    )
    assert not asyncio.run(ensure_search_attributes(cast(Client, client)))
    (record,) = caplog.records
    assert "PERMISSION_DENIED" in record.getMessage()
    assert "search-attribute create --namespace team --name IngestEndpoint" in record.getMessage()
