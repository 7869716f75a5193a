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


def set_failpoints(monkeypatch: pytest.MonkeyPatch, environments: dict[Any, dict[str, str]]) -> None:
    """Starts the actors of some kinds, and the readers where one is None, with a fail point each; all others without."""
    start_actor, with_options = control.actor_starter, readers.reader_options

    def options_of(kind: Any) -> dict[str, Any]:
        return {"runtime_env": {"env_vars": environments[kind]}} if kind in environments else {}

    def start(actor: Any, labels: Any, **options: Any) -> Any:
        return start_actor(actor, labels, **options, **options_of(actor))

    def task(function: Any, settings: Any) -> Any:
        return with_options(function, settings, **options_of(None))

    for module in (control, executor):
        monkeypatch.setattr(module, "actor_starter", start)
    monkeypatch.setattr(readers, "reader_options", task)


READER = {None: "read:after-batch@2"}  # test_nodes kills readers, too
PLANNER = {ControlActor: "plan:before-next@2"}
SINK = {SinkActor: "sink:after-prepare@2"}
COMMITTING_SINK = {ControlActor: "sink:after-commit@2"}
STATE = {ControlActor: "state:before-fold@2"}


@pytest.mark.parametrize(
    "steps",
    [
        # Two of them in one run: each restart of an actor takes seconds. `tests/run/test_killed.py` has every step in one process.
        pytest.param(SINK | COMMITTING_SINK, id="sink, then committing sink"),
        *(
            pytest.param(steps, id=name, marks=pytest.mark.faults)
            for name, steps in {
                "reader": READER,
                "planner": PLANNER,
                "sink": SINK,
                "committing sink": COMMITTING_SINK,
                "state": STATE,
            }.items()
        ),
    ],
)
def test_c32_a_killed_actor_or_task_costs_no_row_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: dict[Any, str]
) -> None:
    markers = {step: tmp_path / f"killed at {step.replace(':', ' ')}" for step in steps.values()}
    set_failpoints(
        monkeypatch,
        {kind: {"INGEST_FAILPOINT": step, "INGEST_FAILPOINT_ONCE": str(markers[step])} for kind, step in steps.items()},
    )
    is_reader = None in steps
    there = Installation(tmp_path, unit="numbers-2x4000", inline_below=0, actor_labels={} if is_reader else ANYWHERE)
    summary = there.run()
    for step, marker in markers.items():
        assert marker.exists(), f"no process was killed at {step}"
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert summary.executor == "ray"
    assert there.ids() == there.expected_ids()
