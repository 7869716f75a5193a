"""Runs on a real Ray."""

import gc
import os
from pathlib import Path
from typing import Any

import pytest
import ray

from ingest_ray.executors.ray import executor
from ingest_ray.executors.ray.sink import SinkActor
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.testing.scripted import noted
from tests.run.installation import ANYWHERE, Installation

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]
INLINE = 2**40  # what a run on Ray has left is read by this process: the checkpoint knows no executor


def seen_by_a_worker() -> tuple[int, str]:
    import ingest_ray.executors.ray  # noqa: F401

    return gc.get_threshold()[0], os.environ["ARROW_DEFAULT_MEMORY_POOL"]


def test_worker_processes_are_tuned() -> None:
    assert ray.get(ray.remote(seen_by_a_worker).remote()) == (50_000, "system")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The kinds of the actors that were started while slices were read."""
    begun: list[Any] = []
    another = executor.RayExecutor._start_actor

    def counted(self: executor.RayExecutor, kind: Any) -> Any:
        begun.append(kind)
        return another(self, kind)

    monkeypatch.setattr(executor.RayExecutor, "_start_actor", counted)
    return begun


@pytest.mark.parametrize("labels", [{}, ANYWHERE], ids=["one machine", "a cluster"])
def test_a_load_on_ray_is_exact_and_resumes(tmp_path: Path, started: list[Any], labels: dict[str, str]) -> None:
    there = Installation(tmp_path, unit="numbers-2x3000", inline_below=0, actor_labels=labels)
    first = there.run()
    assert started == ([SinkActor] * 2 if labels else [])
    assert first.error is None
    assert first.executor == "ray"
    assert first.rows.committed == 6000
    assert there.ids() == there.expected_ids()
    names = [path.name for path in (tmp_path / "lake" / "e" / there.unit).glob("*.parquet")]
    prefix = "part-" if labels else "staged-"  # readers write where the control commits, or pages
    assert all(name.startswith(prefix) for name in names), names
    there.forget_reads()
    assert there.run().rows.read == 0
    assert there.reads() == []


def test_a_replacement_of_one_slice_through_the_object_store_starts_no_sink_actor(
    tmp_path: Path, started: list[Any]
) -> None:
    there = Installation(
        tmp_path,
        unit="numbers-1x100",
        mode=RunMode.FULL,
        policy={},
        inline_below=0,
        staging="object-store",
        actor_labels=ANYWHERE,
    )
    assert there.run().state is RunState.SUCCEEDED
    assert started == []
    assert there.ids() == there.expected_ids()


def test_a_run_above_the_object_stores_cap_says_so(tmp_path: Path) -> None:
    there = Installation(tmp_path, inline_below=0, staging="object-store", cap_bytes=1)
    summary = there.run()
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_STAGE_TOO_LARGE"
    assert summary.rows.committed == 0


def test_d38_a_stop_finishes_the_commit_under_way_and_the_next_run_goes_on(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-1x9000", inline_below=0)
    committed = there.run_until(lambda progress: progress.rows.committed > 0)
    assert committed.state is RunState.PAUSED
    assert 0 < committed.rows.committed < 9000
    there.forget_reads()
    there.inline_below = INLINE
    rest = there.run()
    assert rest.state is RunState.SUCCEEDED
    assert rest.rows.read == 9000 - committed.rows.committed
    assert there.ids() == there.expected_ids()


def test_a_reader_that_does_not_hear_the_first_interrupt_is_told_again(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-1x2000", inline_below=0, source={"faults": {"0:500": ["deaf"]}})
    paused = there.run_until(
        lambda progress: progress.rows.committed == 1750 and any("[500" in line for line in there.reads())
    )
    assert (paused.state, paused.rows.committed) == (RunState.PAUSED, 1750)
    there.inline_below = INLINE
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_a_source_that_is_away_before_the_first_slice_and_while_slices_are_cut_leaves_none_out(tmp_path: Path) -> None:
    """One look before the first slice, and three when the plan is lost and the run begins again."""
    faults = {"probe": ["", "unavailable", "unavailable"], "cut 0:1750": ["unavailable"]}
    there = Installation(tmp_path, unit="numbers-1x4000", inline_below=0, source={"faults": faults})
    summary = there.run()
    assert (summary.state, summary.executor) == (RunState.SUCCEEDED, "ray")
    assert there.ids() == there.expected_ids()
    assert noted(there.journal).count("probe") == 1 + 3


def test_a_stop_ends_the_wait_for_a_source_that_is_away(tmp_path: Path) -> None:
    there = Installation(tmp_path, inline_below=0, source={"faults": {"probe": ["unavailable:600"]}})
    waiting = there.run_until(lambda progress: noted(there.journal).count("probe") == 1)
    assert (waiting.state, waiting.error) == (RunState.PAUSED, None)
    there.inline_below = INLINE
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_a_plan_of_unknown_size_moves_to_ray_and_reads_the_rest_there(tmp_path: Path) -> None:
    source = {"is_sized": False, "slice_rows": 100}
    there = Installation(tmp_path, unit="numbers-2x1000", inline_below=20_000, source=source)
    summary = there.run()
    assert (summary.state, summary.executor) == (RunState.SUCCEEDED, "ray"), summary.error
    assert there.ids() == there.expected_ids()
    assert len(there.reads()) < 30
