"""SIGKILL at every named step of a run, then a second run: every row once, and nothing that was committed is read again."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.sdk.types import RunMode, RunState
from tests import forks
from tests.run.installation import Installation, write_order

pytestmark = pytest.mark.slow

STEPS = [
    "plan:after-probe",
    "read:after-batch",
    "read:after-read",
    "read:after-stage",
    "sink:before-prepare",
    "sink:after-prepare",
    "state:before-intent",
    "state:after-intent",
    "sink:before-commit",
    "sink:after-commit",
    "state:before-fold",
    "state:between-segments",
    "state:before-clear",
    "state:after-fold",
]


def killed_at(there: Installation, step: str, *what: str) -> None:
    """Runs the unit in a process of its own that is killed at `step`."""
    order = write_order(there, there.folder / "order.json")
    environment = os.environ | {"INGEST_FAILPOINT": step}
    done = forks.run_module("tests.run.run_process", str(order), *what, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


def pending_files(there: Installation) -> list[str]:
    root = Path(there.settings.quarantine_uri)
    return [str(path) for path in root.rglob("*.jsonl") if "/pending/" in str(path)]


def rejected_ids(there: Installation) -> list[int]:
    entries = list_quarantine(there.settings.quarantine_uri, "e", there.unit)
    return sorted(int(row.raw["id"]) for entry in entries for row in read_rejected_rows(entry.uri))


def read_slices(there: Installation) -> set[str]:
    return set(there.reads())


@pytest.mark.parametrize("write", ["upsert", "append"])
@pytest.mark.parametrize("step", STEPS)
def test_c31_killed_at_any_step_then_resumed_has_every_row_once(tmp_path: Path, step: str, write: str) -> None:
    there = Installation(tmp_path, unit="numbers-2x1000", policy={"cursor": "at", "write": write})
    occurrence = 1 if step.startswith("plan") else 3
    killed_at(there, f"{step}@{occurrence}")
    committed = there.ids() if (tmp_path / "lake" / "e" / there.unit / "_delta_log").exists() else {}
    there.forget_reads()
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert there.ids() == there.expected_ids()
    assert summary.rows.read == sum(there.expected_ids().values()) - len(committed)


@pytest.mark.parametrize(
    "step", ["read:after-stage@2", "sink:before-commit", "sink:after-commit", "state:before-clear"]
)
def test_c31_a_killed_replacement_shows_the_old_table_or_the_new_one(tmp_path: Path, step: str) -> None:
    there = Installation(tmp_path, mode=RunMode.FULL, policy={}, source={"now": 1})
    there.run()
    there.source = {"changed": {str(key): 5 for key in range(2000)}}
    killed_at(there, step)
    versions = set(there.lake()["at"].to_pylist())
    assert versions in ({0}, {5})
    assert there.ids() == there.expected_ids()
    assert there.run().state is RunState.SUCCEEDED
    assert set(there.lake()["at"].to_pylist()) == {5}
    assert there.ids() == there.expected_ids()


def test_c31_killed_again_and_again_the_load_still_ends(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-1x3000")
    for step in ["sink:after-commit@2", "state:after-intent@3", "read:after-stage@4", "state:before-clear@2"]:
        killed_at(there, step)
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    committed_twice = [line for line in read_slices(there) if there.reads().count(line) > 4]
    assert committed_twice == []


@pytest.mark.parametrize("step", ["sink:after-commit", "state:after-promote", "state:before-clear", "state:after-fold"])
def test_c70_rejected_rows_of_a_committed_slice_survive_a_kill_and_are_there_once(tmp_path: Path, step: str) -> None:
    there = Installation(tmp_path, source={"bad": [3, 700]})
    killed_at(there, step)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED
    assert rejected_ids(there) == [3, 700]
    assert there.ids() == there.expected_ids() - Counter([3, 700])


def test_the_next_run_removes_pending_rows_of_a_killed_run_and_keeps_official_ones(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"bad": [3, 700]})
    killed_at(there, "read:after-stage")
    left = pending_files(there)
    assert left
    other = Installation(tmp_path, unit="numbers-1x500", source={"bad": [7]})
    assert other.run().state is RunState.SUCCEEDED
    assert set(left).isdisjoint(pending_files(there))
    assert there.run().state is RunState.SUCCEEDED
    assert pending_files(there) == []
    assert (rejected_ids(there), rejected_ids(other)) == ([3, 700], [7])


def test_pending_rows_that_an_unsettled_intent_names_outlive_the_runs_of_other_units(tmp_path: Path) -> None:
    there = Installation(tmp_path, source={"bad": [3, 700]})
    killed_at(there, "sink:after-commit")
    left = pending_files(there)
    assert left
    assert Installation(tmp_path, unit="numbers-1x500").run().state is RunState.SUCCEEDED
    assert set(left) <= set(pending_files(there))
    assert there.run().state is RunState.SUCCEEDED
    assert pending_files(there) == []
    assert rejected_ids(there) == [3, 700]
