"""One installation with its own task queue, whose worker is a process that may be killed, and whose runs are Ray jobs."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from deltalake import DeltaTable
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowHandle

from ingest_ray.catalog import run_records as records
from ingest_ray.config import load_config
from ingest_ray.payloads.client import connect
from ingest_ray.payloads.contract import RUN
from ingest_ray.payloads.documents import RunCommand, UnitOutcome
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.ray_jobs_api import RayJobsClient
from tests.temporal.servers import BIN, RayHead, TemporalServer, until

T = TypeVar("T")
HELD = {"0:500": ["hold"] * 50}  # one for each attempt to read that slice


@dataclass
class History:
    """The size of a workflow's history."""

    events: int
    bytes: int
    largest: int
    text: str = field(repr=False)


@dataclass
class WorkerWorkspace:
    folder: Path
    head: RayHead
    server: TemporalServer
    endpoint: dict[str, Any]
    rule: dict[str, Any]
    job_env: dict[str, str] = field(default_factory=dict)
    launcher: str = "temporal"
    inline_below: int = 2**29  # 0: also small units are read by actors
    more_rules: list[dict[str, Any]] = field(default_factory=list)
    more_settings: dict[str, Any] = field(default_factory=dict)

    def set_up(self) -> "WorkerWorkspace":
        self.apply()
        collect(self.installation, "shop")
        return self

    def apply(self) -> None:
        token = self.folder / "token"
        token.write_text(self.head.token)
        document = {
            **self.more_settings,
            "launcher": self.launcher,
            "ray": {
                "jobs_url": self.head.url,
                "token": f"file:{token}",
                "job_python": sys.executable,
                "job_runtime_env": {"env_vars": self.job_env},
                "stop_wait_s": 60,
                "inline_below": self.inline_below,
            },
            "temporal": {"address": self.server.address, "task_queue": self.queue},
            "endpoints": [{"id": "shop", **self.endpoint}],
            "sinks": [{"id": "lake", "template": "lake.delta", "config": {"uri": "./lake"}}],
            "units": [
                {"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True, **self.rule},
                *self.more_rules,
            ],
        }
        self.file.write_text(yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False))
        apply(load_config(self.file))

    @property
    def file(self) -> Path:
        return self.folder / "ingest.yaml"

    @property
    def queue(self) -> str:
        return f"queue-{self.folder.name}"

    @property
    def installation(self) -> Installation:
        return Installation(load_config(self.file).settings)

    # --- the worker

    @contextmanager
    def worker(self) -> "Iterator[subprocess.Popen[bytes]]":
        process = self.start_worker()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)

    def start_worker(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "worker.log").open("ab") as out:
            return subprocess.Popen(
                [str(BIN / "ingest-ray"), "worker", "--config", str(self.file)], stdout=out, stderr=out
            )

    # --- workflows

    def with_client(self, work: Callable[[Client], Awaitable[T]]) -> T:
        async def go() -> T:
            return await work(await connect(self.installation.settings))

        return asyncio.run(go())

    def start(self, unit: str, **more: Any) -> str:
        """Starts a run of one unit; returns the workflow's id."""
        command = RunCommand(endpoint_id="shop", unit_id=unit, **more)
        name = f"test:{self.queue}:{unit}"
        self.with_client(lambda client: client.start_workflow(RUN, command, id=name, task_queue=self.queue))
        return name

    def result(self, workflow_id: str, within_s: float = 250) -> UnitOutcome:
        """Raises `WorkflowFailureError` for a workflow that failed or was cancelled."""

        async def wait(client: Client) -> UnitOutcome:
            handle: WorkflowHandle[Any, UnitOutcome] = client.get_workflow_handle(workflow_id, result_type=UnitOutcome)
            return await asyncio.wait_for(handle.result(), within_s)

        try:
            return self.with_client(wait)
        except TimeoutError:
            raise AssertionError((self.folder / "worker.log").read_text()[-8000:]) from None

    def run(self, unit: str, **more: Any) -> UnitOutcome:
        return self.result(self.start(unit, **more))

    def cancel(self, workflow_id: str) -> None:
        self.with_client(lambda client: client.get_workflow_handle(workflow_id).cancel())

    def history(self, workflow_id: str) -> History:
        async def fetch(client: Client) -> History:
            events = [event async for event in client.get_workflow_handle(workflow_id).fetch_history_events()]
            sizes = [event.ByteSize() for event in events]
            return History(len(events), sum(sizes), max(sizes), "\n".join(str(event) for event in events))

        return self.with_client(fetch)

    def attempt(self, workflow_id: str) -> int:
        """The number of the attempt that a worker executes; 0 while none does."""
        pending = self._pending(workflow_id)
        is_started = pending is not None and pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        return int(pending.attempt) if is_started else 0

    def heartbeat(self, workflow_id: str) -> str:
        """The text of the activity's last heartbeat."""
        pending = self._pending(workflow_id)
        return str(pending.heartbeat_details) if pending is not None else ""

    def _pending(self, workflow_id: str) -> Any:
        described = self.with_client(lambda client: client.get_workflow_handle(workflow_id).describe())
        waiting = described.raw_description.pending_activities
        return waiting[0] if waiting else None

    # --- runs and their jobs

    def state(self, unit: str) -> RunState | None:
        summary = self.record(unit)
        return summary.state if summary is not None else None

    def record(self, unit: str) -> RunSummary | None:
        """The newest run of a unit."""
        with self.installation.catalog.read() as connection:
            found = records.recent(connection, UnitRef("shop", unit))
        return found[0].summary if found else None

    def committed_now(self, unit: str) -> int:
        """Rows in the lake, while a run goes on."""
        try:
            return sum(self.ids(unit).values())
        except Exception:  # there is no table yet
            return 0

    def until_committed(self, unit: str, rows: int) -> None:
        until(lambda: self.committed_now(unit) >= rows, what=f"a commit of {unit}")

    def release(self) -> None:
        """Releases the slices that `HELD` holds."""
        (self.folder / "journal.release").touch()

    def jobs(self, unit: str) -> list[str]:
        """The submission ids of the newest run, and how they ended."""
        summary = self.record(unit)
        assert summary is not None
        with RayJobsClient(self.installation.settings) as jobs:
            found, number = [], 1
            while (job := jobs.find(f"ingest-{summary.run_id}-{number}")) is not None:
                found.append(job.status.value)
                number += 1
        return found

    def driver(self, unit: str) -> int:
        """The process of the newest run's job."""
        summary = self.record(unit)
        assert summary is not None
        for pid in self.head.pids():
            entry = Path("/proc") / str(pid)
            try:
                told = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if (
                b"ingest_ray.service.launching.run_process" in command
                and f'"run_id":"{summary.run_id}"'.encode() in told
            ):
                return pid
        raise AssertionError("the run has no driver")

    def kill_driver(self, unit: str) -> None:
        os.kill(self.driver(unit), signal.SIGKILL)

    # --- the sink

    def ids(self, unit: str) -> Counter[Any]:
        table = DeltaTable(str(self.folder / "lake" / "shop" / unit)).to_pyarrow_table(columns=["id"])
        return Counter(table["id"].to_pylist())
