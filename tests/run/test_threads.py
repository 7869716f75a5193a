"""Several threads of one process work for a run: the same rows, the same ledger, whatever moment it is killed at."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest_ray.engine.run_order import Progress
from ingest_ray.run import launch
from ingest_ray.sdk.types import RunState
from ingest_ray.testing.scripted import scripted
from tests.run.installation import Installation
from tests.run.test_killed import STEPS, killed_at

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("step", STEPS)
def test_c31_killed_at_any_step_among_threads_then_resumed_has_every_row_once(tmp_path: Path, step: str) -> None:
    there = Installation(
        tmp_path, unit="numbers-2x3000", threads=3
    )  # at least four commits: the third is always reached
    killed_at(there, f"{step}@{1 if step.startswith('plan') else 3}")
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_slices_are_read_at_the_same_time_and_the_ledger_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three readers wait for each other: one after the other they would never come together."""
    together = threading.Barrier(3, timeout=60)
    read = scripted.read

    def meeting(*args: Any) -> Iterator[pa.RecordBatch]:
        if meetings:
            meetings.pop()
            together.wait()
        yield from read(*args)

    meetings = [1, 2, 3]
    monkeypatch.setattr(type(scripted), "read", lambda self, *args: meeting(*args))
    there = Installation(tmp_path, unit="numbers-2x2000", threads=3)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED
    assert summary.executor == "inline"
    assert meetings == []
    assert summary.rows.read == summary.rows.committed == 4000
    assert there.ids() == there.expected_ids()


def test_faults_among_threads_are_tried_again(tmp_path: Path) -> None:
    faults = {"0:0": ["unavailable", "too-large"], "0:250": ["stop:300"], "0:500": ["unavailable"] * 3}
    there = Installation(tmp_path, source={"faults": faults}, threads=3)
    summary = there.run()
    assert (summary.state, summary.retries) == (RunState.SUCCEEDED, 4)
    assert there.ids() == there.expected_ids()


def test_a_stop_reaches_the_threads_and_none_outlives_the_run(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-2x2000", threads=3)
    first = there.run_until(lambda progress: progress.rows.committed >= 500)
    assert first.state in (RunState.PAUSED, RunState.SUCCEEDED)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("slice")] == []
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()


def test_an_interrupted_launch_leaves_no_thread_behind(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-2x2000", threads=3)

    def interrupt(progress: Progress) -> None:
        if progress.phase == "reading" and progress.bytes_staged:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch([there.order()], interrupt, lambda: False)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("slice")] == []
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
