"""A workflow whose cluster is away waits for it, and says why; that is no attempt of the run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from ingest_ray.payloads.documents import Beat, RunOnly
from ingest_ray.sdk.errors import ClusterUnavailable
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching import ray_job
from ingest_ray.service.launching.lifecycle import execute_run, find_lost_runs, open_run
from ingest_ray.service.launching.ray_jobs_api import RayJob, RayJobsClient, RayJobState
from ingest_ray.service.runs.admission import RunRequest
from ingest_ray.temporal import activities
from ingest_ray.temporal.activities import UNOWNED, Activities
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    there = Workspace(tmp_path)
    there.document["ray"] = {"jobs_url": "http://127.0.0.1:1"}
    there.apply()
    collect(there.installation, "shop")
    return there


class Head:
    """The Jobs API of a cluster that is away, has the job PENDING, is away again, and at last has run it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._answers: Iterator[str] = iter(["away"] * 5 + ["none", "pending", "pending", "away", "away", "run"])
        self.submitted: list[str] = []

    def find(self, _: RayJobsClient, submission_id: str) -> RayJob | None:
        answer = next(self._answers, "run")
        if answer == "away":
            raise ClusterUnavailable("the cluster does not answer")
        if answer == "none":
            return None
        if answer == "run" and self.submitted:
            execute_run(self._workspace.installation, submission_id.removeprefix("ingest-").removesuffix("-1"))
        return RayJob(submission_id=submission_id, status=RayJobState.PENDING)

    def submit(self, _: RayJobsClient, submission_id: str, *rest: Any) -> None:
        self.submitted.append(submission_id)


@pytest.mark.slow
def test_waiting_for_a_cluster_is_no_attempt_and_the_heartbeats_say_why(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a head that was away for a quarter of an hour, four attempts in four minutes ended the workflow."""
    head = Head(workspace)
    monkeypatch.setattr(RayJobsClient, "find", lambda client, name: head.find(client, name))
    monkeypatch.setattr(RayJobsClient, "submit", lambda client, name, *rest: head.submit(client, name, *rest))
    monkeypatch.setattr(activities, "MAX_POLL_S", 0.01)
    monkeypatch.setattr(activities, "POLL_S", 0.01)
    monkeypatch.setattr(ray_job, "runtime_env_of", lambda *_: {})
    run_id = open_run(workspace.installation, RunRequest(endpoint_id="shop", unit_id=UNIT), UNOWNED)
    environment, beats = ActivityEnvironment(), list[Beat]()
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    work = Activities(workspace.installation.settings)
    outcome = asyncio.run(environment.run(work.run_unit, RunOnly(run_id=run_id)))
    assert outcome.state is RunState.SUCCEEDED
    assert len(head.submitted) == 1
    waiting = [beat.job_id for beat in beats if beat.waiting == "the cluster does not answer"]
    assert waiting == [None] * 5 + [f"ingest-{run_id}-1"] * 2
    assert find_lost_runs(workspace.installation) == []
    assert workspace.rows(UNIT) == 1000
