"""Runs on several nodes, of which one is taken away in the middle: rows end up in the sink once, whatever was lost with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.sdk.types import RunState, RunSummary
from tests.cluster.nodes import Nodes
from tests.run.installation import Installation

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
HELD = {"0:500": ["hold"] * 50}
ACTORS = {"num_cpus": 1, "labels": {"role": "actors"}}
READER = {"num_cpus": 1, "labels": {"role": "reader"}}
Maker = Callable[..., Nodes]


@pytest.fixture
def nodes() -> Iterator[Maker]:
    made: list[Nodes] = []

    def make(*wanted: dict[str, Any]) -> Nodes:
        made.append(Nodes(*wanted))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Drive:
    """One run of a scripted source in a driver process of its own, which joins the nodes."""

    def __init__(self, folder: Path, there: Nodes, staging: str = "files", **ray: Any) -> None:
        policy = {"cursor": "at", "max_attempts": 100}
        self.made = Installation(
            folder, unit="numbers-1x4000", policy=policy, staging=staging, source={"slice_rows": 100, "faults": HELD}
        )
        self._nodes = there
        order = self.made.order()
        settings = order.settings.ray.model_copy(update={"address": there.address, "inline_below": 0, **ray})
        order = order.model_copy(update={"settings": order.settings.model_copy(update={"ray": settings})})
        file = folder / "order.json"
        file.write_text(order.model_dump_json())
        self._log = folder / "driver.log"
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.run.run_process", str(file)],
                cwd=ROOT,
                env=there.environment,
                stdout=subprocess.PIPE,
                stderr=out,
            )
        self.readers: dict[int, int] = {}

    @property
    def log(self) -> str:
        return self._log.read_text()

    def look(self) -> set[int]:
        """The nodes that readers were seen on."""
        lines = self.made.journal.read_text().splitlines() if self.made.journal.exists() else []
        for pid, line in map(json.loads, lines):
            if line.startswith("read") and pid not in self.readers:
                node = self._nodes.node_of(pid)
                if node is not None:
                    self.readers[pid] = node
        return set(self.readers.values())

    def until(self, is_so: Callable[[], object], within_s: float = 200) -> None:
        deadline = time.monotonic() + within_s
        while not is_so():
            assert self._process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < deadline, self._log.read_text()[-4000:]
            time.sleep(0.1)

    def has_committed(self) -> bool:
        try:
            return sum(self.made.ids().values()) > 0
        except Exception:  # there is no table yet
            return False

    def release(self) -> None:
        (self.made.folder / "journal.release").touch()

    def end(self) -> RunSummary:
        out, _ = self._process.communicate(timeout=240)
        assert self._process.returncode == 0, self._log.read_text()[-4000:]
        return RunSummary.model_validate_json(out.splitlines()[-1])


def test_readers_run_on_several_nodes_where_labels_let_them_and_a_lost_node_costs_no_row(
    tmp_path: Path, nodes: Maker
) -> None:
    other = {"num_cpus": 1, "labels": {"role": "other"}}
    there = nodes({"num_cpus": 0, "labels": {"role": "head"}}, READER, READER, other)
    drive = Drive(tmp_path, there, reader_labels={"role": "reader"}, actor_labels={"role": "head"})
    drive.until(lambda: drive.look() == {1, 2} and drive.has_committed())
    there.kill(2)
    drive.release()
    summary = drive.end()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert drive.look() == {1, 2}
    assert drive.made.ids() == drive.made.expected_ids()
    print(summary.seconds, summary.retries)


@pytest.mark.faults
def test_a_lost_node_with_planner_state_and_sinks_begins_the_run_again_from_its_checkpoint(
    tmp_path: Path, nodes: Maker
) -> None:
    there = nodes({"num_cpus": 0}, READER, ACTORS)
    drive = Drive(tmp_path, there, reader_labels={"role": "reader"}, actor_labels={"role": "actors"})
    drive.until(drive.has_committed)
    there.add(**ACTORS)
    there.kill(2)
    drive.release()
    summary = drive.end()
    assert "beginning again from its checkpoint" in drive.log
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert drive.made.ids() == drive.made.expected_ids()
    print(summary.seconds, summary.retries)


@pytest.mark.faults
def test_staged_pages_that_vanish_are_read_again(tmp_path: Path, nodes: Maker) -> None:
    there = nodes({"num_cpus": 0}, READER, READER)
    drive = Drive(tmp_path, there)
    drive.until(drive.has_committed)
    for _ in range(20):
        shutil.rmtree(tmp_path / "staging", ignore_errors=True)
        time.sleep(0.1)
    drive.release()
    summary = drive.end()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert drive.made.ids() == drive.made.expected_ids()


@pytest.mark.faults
def test_pages_in_the_object_store_that_die_with_their_node_are_read_again(tmp_path: Path, nodes: Maker) -> None:
    there = nodes({"num_cpus": 0}, READER, ACTORS)
    drive = Drive(tmp_path, there, "object-store", reader_labels={"role": "reader"}, actor_labels={"role": "actors"})
    drive.until(drive.has_committed)
    there.add(**ACTORS)
    there.kill(2)
    drive.release()
    summary = drive.end()
    assert "beginning again from its checkpoint" in drive.log
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert drive.made.ids() == drive.made.expected_ids()


@pytest.mark.faults
def test_pages_in_the_object_store_whose_owner_alone_dies_are_read_again(tmp_path: Path, nodes: Maker) -> None:
    there = nodes({"num_cpus": 0}, READER, READER)
    drive = Drive(tmp_path, there, "object-store")
    drive.until(drive.has_committed)
    os.kill(there.process_of("ray::PagesActor"), signal.SIGKILL)
    drive.release()
    summary = drive.end()
    assert "beginning again from its checkpoint" in drive.log
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert drive.made.ids() == drive.made.expected_ids()


@pytest.mark.faults
def test_custom_resources_say_where_readers_may_run(tmp_path: Path, nodes: Maker) -> None:
    there = nodes({"num_cpus": 0}, {"num_cpus": 1}, {"num_cpus": 2, "resources": {"database_link": 1}})
    drive = Drive(tmp_path, there, reader_resources={"database_link": 0.5})
    drive.until(drive.has_committed)
    drive.release()
    seen = drive.look()
    assert drive.end().state is RunState.SUCCEEDED
    assert drive.look() | seen == {2}
    assert drive.made.ids() == drive.made.expected_ids()
