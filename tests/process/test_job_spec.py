"""What a Ray job needs to begin does not become the runtime environment of its workers."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.service.launching.job_spec import (
    JOB_SPEC_VARIABLE,
    RAY_JOB_CONFIG_VARIABLE,
    STOP_WAIT_VARIABLE,
    JobSpec,
    read_job_spec,
)
from ingest_ray.settings import Settings


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {}),
        ({"env_vars": {"TZ": "UTC"}}, {"env_vars": {"TZ": "UTC"}}),
        ({"working_dir": "gcs://x.zip", "env_vars": None}, {"working_dir": "gcs://x.zip"}),
    ],
)
def test_workers_get_only_what_the_user_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], left: dict[str, Any]
) -> None:
    """A worker with a runtime environment of its own never comes from the pool of those that Ray has started beforehand."""
    spec = JobSpec(run_id="run-1", settings=Settings(home=str(tmp_path), state_url=f"sqlite:///{tmp_path}/state.db"))
    ours = {JOB_SPEC_VARIABLE: spec.model_dump_json(), STOP_WAIT_VARIABLE: "300"}
    environment = {**given, "env_vars": {**(given.get("env_vars") or {}), **ours}}
    monkeypatch.setenv(JOB_SPEC_VARIABLE, spec.model_dump_json())
    monkeypatch.setenv(RAY_JOB_CONFIG_VARIABLE, json.dumps({"runtime_env": environment, "metadata": {"a": "b"}}))
    assert read_job_spec().run_id == "run-1"
    assert json.loads(os.environ[RAY_JOB_CONFIG_VARIABLE]) == {"runtime_env": left, "metadata": {"a": "b"}}


def test_a_process_that_is_no_ray_job_reads_its_run_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = JobSpec(run_id="run-1", settings=Settings(home=str(tmp_path), state_url=f"sqlite:///{tmp_path}/state.db"))
    monkeypatch.setenv(JOB_SPEC_VARIABLE, spec.model_dump_json())
    monkeypatch.delenv(RAY_JOB_CONFIG_VARIABLE, raising=False)
    assert read_job_spec().settings.ray.address == "job"
