"""A process of a run on Ray is killed at a named step; the run itself goes on and ends with every row once."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.executors.ray import control, executor, readers
from ingest_ray.executors.ray.control_actor import ControlActor
from ingest_ray.executors.ray.sink import SinkActor
from ingest_ray.sdk.types import RunState
from tests.run.installation import ANYWHERE, Installation

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def set_failpoint(monkeypatch: pytest.MonkeyPatch, kind: Any, environment: dict[str, str]) -> None:
    """Starts the actors of one kind, or the readers where it is None, with a fail point; all others without."""
    start_actor, with_options = control.actor_starter, readers.reader_options
    runtime_env = {"env_vars": environment}

    def start(actor: Any, labels: Any, **options: Any) -> Any:
        return start_actor(actor, labels, **options, **({"runtime_env": runtime_env} if actor is kind else {}))

    def task(function: Any, settings: Any) -> Any:
        return with_options(function, settings, **({} if kind is not None else {"runtime_env": runtime_env}))

    for module in (control, executor):
        monkeypatch.setattr(module, "actor_starter", start)
    monkeypatch.setattr(readers, "reader_options", task)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        pytest.param(
            None, "read:after-batch@2", id="reader", marks=pytest.mark.faults
        ),  # test_nodes kills readers, too
        pytest.param(ControlActor, "plan:before-next@2", id="planner"),
        pytest.param(SinkActor, "sink:after-prepare@2", id="sink"),
        pytest.param(ControlActor, "sink:after-commit@2", id="committing sink"),
        pytest.param(ControlActor, "state:before-fold@2", id="state"),
    ],
)
def test_c32_a_killed_actor_or_task_costs_no_row_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, step: str
) -> None:
    marker = tmp_path / "killed"
    set_failpoint(monkeypatch, kind, {"INGEST_FAILPOINT": step, "INGEST_FAILPOINT_ONCE": str(marker)})
    there = Installation(tmp_path, unit="numbers-2x4000", inline_below=0, actor_labels=ANYWHERE if kind else {})
    summary = there.run()
    assert marker.exists(), f"no process was killed at {step}"
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert summary.executor == "ray"
    assert there.ids() == there.expected_ids()
