"""Airflow: an operator that starts a unit on a server of ingest_ray (`ingest-ray serve`), and waits in the triggerer, without a worker.

The token of the server is in the variable `INGEST_RAY_TOKEN` of workers and triggerers, so that no table of Airflow has it.
https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/deferring.html
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from airflow.exceptions import AirflowException
from airflow.models import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

START = (
    "mutation($endpoint: ID!, $unit: ID!) { startIngestion(endpointId: $endpoint, unitId: $unit) { ok runId message } }"
)
RUNNING = "query($endpoint: ID!, $unit: ID!) { ingestionRuns(endpointId: $endpoint, unitId: $unit, state: RUNNING, first: 1) { edges { node { id } } } }"
RUN = "query($run: ID!) { ingestionRun(id: $run) { state finishedAt rows { committed } error { code message } } }"
PAUSE = "mutation($endpoint: ID!, $unit: ID!) { pauseIngestion(endpointId: $endpoint, unitId: $unit) { ok message } }"


class LandUnitOnServer(BaseOperator):  # type: ignore[misc]
    """Returns the rows that were committed. A retry, or a second start, waits for the run that is under way."""

    template_fields: Sequence[str] = ("server", "endpoint", "unit")

    def __init__(self, *, server: str, endpoint: str, unit: str, poll_s: float = 5.0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.server, self.endpoint, self.unit, self.poll_s = server, endpoint, unit, poll_s

    def execute(self, context: Any) -> None:
        with httpx.Client(timeout=60) as client:
            run_id = self._start(client)
        trigger = RunEnded(
            server=self.server, endpoint=self.endpoint, unit=self.unit, run_id=run_id, poll_s=self.poll_s
        )
        self.defer(trigger=trigger, method_name="finish")

    def finish(self, context: Any, event: dict[str, Any]) -> int:
        """The task goes on here, in a worker, when the run has ended."""
        if event["state"] != "SUCCEEDED":
            error = event["error"] or {"message": f"the run {event['run']} is {event['state']}", "code": "-"}
            raise AirflowException(f"{error['message']} [{error['code']}]")
        return int(event["rows"]["committed"])

    def running(self, client: httpx.Client) -> str | None:
        """The id of the run that is under way."""
        answer = client.post(**request(self.server, RUNNING, self._variables)).raise_for_status().json()
        edges = answer["data"]["ingestionRuns"]["edges"]
        return str(edges[0]["node"]["id"]) if edges else None

    def _start(self, client: httpx.Client) -> str:
        answer = client.post(**request(self.server, START, self._variables)).raise_for_status().json()
        for error in answer.get("errors", ()):
            code = error["extensions"]["code"]
            if code == "E_RUN_ACTIVE" and (run_id := self.running(client)) is not None:
                return run_id
            raise AirflowException(f"{error['message']} [{code}]")
        return str(answer["data"]["startIngestion"]["runId"])

    @property
    def _variables(self) -> dict[str, str]:
        return {"endpoint": self.endpoint, "unit": self.unit}


class RunEnded(BaseTrigger):  # type: ignore[misc]
    """Fires when a run has ended. A server that does not answer is asked again: the run goes on without it."""

    def __init__(self, *, server: str, endpoint: str, unit: str, run_id: str, poll_s: float) -> None:
        super().__init__()
        self.server, self.endpoint, self.unit, self.run_id, self.poll_s = server, endpoint, unit, run_id, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("server", "endpoint", "unit", "run_id", "poll_s")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with httpx.AsyncClient(timeout=60) as client:
            while (found := await self._ask(client)) is None or found["finishedAt"] is None:
                await asyncio.sleep(self.poll_s)
        yield TriggerEvent({"run": self.run_id, **{name: found[name] for name in ("state", "rows", "error")}})

    async def on_kill(self) -> None:
        """A person ended the task: the run stops after the commit under way. Airflow calls it from 3.3 on."""
        unit = {"endpoint": self.endpoint, "unit": self.unit}
        async with httpx.AsyncClient(timeout=20) as client:
            (await client.post(**request(self.server, PAUSE, unit))).raise_for_status()

    async def _ask(self, client: httpx.AsyncClient) -> dict[str, Any] | None:
        try:
            answer = await client.post(**request(self.server, RUN, {"run": self.run_id}))
        except httpx.TransportError:
            return None
        if answer.status_code >= 500:
            return None
        document = answer.raise_for_status().json()
        if "errors" in document:
            raise AirflowException(document["errors"][0]["message"])
        run: dict[str, Any] = document["data"]["ingestionRun"]
        return run


def request(server: str, query: str, variables: dict[str, str]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {os.environ['INGEST_RAY_TOKEN']}"}
    return {"url": f"{server}/graphql", "json": {"query": query, "variables": variables}, "headers": headers}
