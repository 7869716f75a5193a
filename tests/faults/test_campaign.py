"""The fault campaign: a short form, to begin with, and the long one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import missing

pytestmark = [pytest.mark.services, pytest.mark.cluster]
ROOT = Path(__file__).parents[2]


def campaign(folder: Path, timeout: int, *arguments: str) -> dict[str, object]:
    if os.geteuid() != 0:
        missing("the right to mount a small disk")
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults", "--folder", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    _, begins, rest = done.stdout.partition('{\n  "rounds"')
    assert begins, done.stdout + done.stderr
    report: dict[str, object] = json.loads(begins + rest)
    return report


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_after_any_strike_the_sink_is_the_source(tmp_path: Path) -> None:
    arguments = ["--source", "postgres", "--rounds", "2", "--rows", "3000", "--cluster-share", "0", "--seed", "4"]
    report = campaign(tmp_path, 500, *arguments)
    assert report["violations"] == []
    assert report["struck"], "no fault hit its run at work"


@pytest.mark.faults
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("staging", ["files", "object-store"])
def test_after_two_hundred_strikes_the_sink_is_the_source(tmp_path: Path, staging: str) -> None:
    if shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") is None:
        missing("mariadbd, a MariaDB server,")
    rounds = os.environ.get("INGEST_FAULT_ROUNDS", "200")
    report = campaign(tmp_path, 6 * 3600, "--rounds", rounds, "--staging", staging)
    print(json.dumps(report, indent=2))
    assert report["violations"] == []


@pytest.mark.faults
@pytest.mark.timeout(6 * 3600)
def test_after_fifty_strikes_a_lake_of_adopted_files_is_the_source(tmp_path: Path) -> None:
    rounds = os.environ.get("INGEST_FAULT_ROUNDS", "50")
    arguments = ["--source", "postgres", "--staging", "auto", "--empty-share", "0.85", "--rounds", rounds]
    report = campaign(tmp_path, 6 * 3600, *arguments)
    print(json.dumps(report, indent=2))
    assert report["violations"] == []
    assert report["files_adopted"]


@pytest.mark.faults
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("layout", [[], ["--layout"]], ids=["plain", "laid-out"])
@pytest.mark.parametrize("store", ["folder", "s3"])
def test_after_a_hundred_strikes_the_iceberg_tables_are_the_source(
    tmp_path: Path, store: str, layout: list[str]
) -> None:
    rounds = os.environ.get("INGEST_FAULT_ROUNDS", "100")
    arguments = ["--source", "postgres", "--sink", "lake.iceberg", "--store", store, "--write", "all", *layout]
    report = campaign(tmp_path, 6 * 3600, *arguments, "--staging", "auto", "--rounds", rounds)
    print(json.dumps(report, indent=2))
    assert report["violations"] == []
    assert report["files_adopted"]
