"""A plan of unknown size begins in the calling process, and goes on on Ray from its checkpoint once it is too large for that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.run import run as run_module
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.sdk.types import RunMode, RunState
from tests.run.installation import Installation

UNSIZED = {"is_sized": False, "slice_rows": 100}
LIMIT_BYTES = 20_000  # three slices of 100 rows


def on_ray(context: RunContext) -> AttemptResult:
    """In place of the actors: the same order without a limit, in this process."""
    ray = context.order.settings.ray.model_copy(update={"inline_below": 2**40})
    settings = context.order.settings.model_copy(update={"ray": ray})
    moved = replace(context, order=context.order.model_copy(update={"settings": settings}))
    return run_module.Run(moved)._plan_and_run()


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def run_on_ray(context: RunContext) -> AttemptResult:
        made.append(context.order.run_id)
        return on_ray(context)

    monkeypatch.setattr(run_module, "run_on_ray", run_on_ray)
    return made


def unsized(folder: Path, unit: str, limit: int, **more: Any) -> Installation:
    return Installation(folder, unit=unit, inline_below=limit, source=UNSIZED, **more)


def test_a_small_plan_of_unknown_size_never_leaves_the_process(tmp_path: Path, moves: list[str]) -> None:
    there = unsized(tmp_path, "numbers-2x300", 2**20)
    summary = there.run()
    assert (summary.state, summary.executor, moves) == (RunState.SUCCEEDED, "inline", [])
    assert there.ids() == there.expected_ids()


@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_committed_before_the_move_is_not_read_again(tmp_path: Path, moves: list[str], threads: int) -> None:
    there = unsized(tmp_path, "numbers-2x1500", LIMIT_BYTES, threads=threads)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert len(moves) == 1
    assert there.ids() == there.expected_ids()
    assert summary.rows.committed == 3000
    assert len(there.reads()) <= 30 + 2 * threads + 3  # what was read and not yet committed


@pytest.mark.parametrize(
    "options",
    [
        {"mode": RunMode.FULL, "policy": {}},
        {"mode": RunMode.FULL, "policy": {"write": "append"}},
        {"mode": RunMode.FULL, "policy": {"write": "upsert"}},
    ],
    ids=["replace", "append", "upsert"],
)
def test_every_way_to_write_has_its_rows_once_after_a_move(
    tmp_path: Path, moves: list[str], options: dict[str, Any]
) -> None:
    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES, **options)
    assert there.run().state is RunState.SUCCEEDED
    assert len(moves) == 1
    assert there.ids() == there.expected_ids()


def test_a_process_that_dies_while_it_moves_has_lost_nothing(
    tmp_path: Path, moves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(_: RunContext) -> AttemptResult:
        raise Died

    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES)
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "run_on_ray", die)
        with pytest.raises(Died):
            there.run()
    before = len(there.reads())
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert len(there.reads()) - before < 15


def test_a_single_slice_that_fails_before_the_move_is_read_again_after_it(tmp_path: Path, moves: list[str]) -> None:
    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES)
    there.source = {**UNSIZED, "faults": {"0:0": ["denied"]}}
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert len(moves) == 1
    assert there.ids() == there.expected_ids()


def test_a_stop_that_a_person_asks_for_is_no_move(tmp_path: Path, moves: list[str]) -> None:
    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES)
    summary = there.run_until(lambda progress: progress.bytes_staged >= LIMIT_BYTES)
    assert summary.state is RunState.PAUSED
    assert moves == []


def test_a_plan_of_known_size_stays_where_it_began(tmp_path: Path, moves: list[str]) -> None:
    there = Installation(tmp_path, unit="numbers-1x1500", inline_below=80_000, source={"slice_rows": 100})
    assert there.run().state is RunState.SUCCEEDED
    assert moves == []
    assert there.ids() == there.expected_ids()
