"""A short form of the campaign in `bench.kill_and_resume`: a real load on Ray, its whole process tree killed, resumed."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.services, pytest.mark.cluster]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside of pytest's own, which every session of pytest closes to others: another user runs the server in it."""
    with tempfile.TemporaryDirectory(prefix="ingest-kill") as made:
        yield Path(made)


@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.faults)])
def test_c31_a_load_that_is_killed_at_random_moments_ends_with_every_value_equal(folder: Path, kills: int) -> None:
    """Each start of a Ray and each load costs ten seconds of a core; single steps of a kill are those of `test_killed.py`."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.kill_and_resume", "--rows", "600000", "--kills", str(kills)]
    command += ["--slice-mib", "2", "--folder", str(folder / "campaign")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["every_value_equal"]
    assert report["rows_in_lake"] == report["keys_in_lake"] == 600_000
    assert report["last_run"]["rows"]["read"] == 600_000 - report["rows_after_each_kill"][-1]
