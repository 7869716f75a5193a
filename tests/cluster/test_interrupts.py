"""Readers can be interrupted in every process that starts a run, also in one that ignores SIGINT."""

import subprocess
import sys
from pathlib import Path

import pytest

from ingest_ray.sdk.types import RunState, RunSummary
from tests.run.installation import Installation

pytestmark = pytest.mark.slow

PAUSE = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a process that a shell script starts with `&`
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
order, journal = RunOrder.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
is_held = lambda: journal.exists() and "read load 0 [500" in journal.read_text()
print(launch([order], lambda _: None, is_held)[0].model_dump_json())
"""


def test_a_held_reader_is_interrupted_in_a_process_that_ignores_sigint(tmp_path: Path) -> None:
    there = Installation(tmp_path, unit="numbers-1x2000", inline_below=0, source={"faults": {"0:500": ["hold"]}})
    order = tmp_path / "order.json"
    order.write_text(there.order().model_dump_json())
    done = subprocess.run(
        [sys.executable, "-c", PAUSE, str(order), str(there.journal)], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert RunSummary.model_validate_json(done.stdout).state is RunState.PAUSED
