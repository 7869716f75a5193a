"""compact and vacuum through the command line, on a lake that many small commits made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests import forks

pytestmark = pytest.mark.slow

INGEST = str(Path(sys.executable).absolute().with_name("ingest-ray"))
CONFIG = """\
endpoints:
  - {id: e, template: testing.scripted, config: {units: [numbers-1x2000]}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: e, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: at}}
"""


def ingest(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return forks.run_module("ingest_ray.cli", *arguments, cwd=folder)


def test_small_files_become_few_and_unneeded_ones_are_found(tmp_path: Path) -> None:
    (tmp_path / "ingest.yaml").write_text(CONFIG)
    for command in (["apply"], ["collect", "e"], ["run", "e"]):
        assert ingest(tmp_path, *command).returncode == 0
    table = str(tmp_path / "lake" / "e" / "numbers-1x2000")
    before = DeltaTable(table)
    rows = before.to_pyarrow_table().num_rows
    files = len(before.file_uris())
    assert files > 3
    done = json.loads(ingest(tmp_path, "compact", "e", "numbers-1x2000", "--json").stdout)
    assert done["tables"][0]["report"]["files_removed"] == files
    after = DeltaTable(table)
    assert (after.to_pyarrow_table().num_rows, len(after.file_uris())) == (rows, 1)
    kept = ingest(tmp_path, "vacuum", "e", "numbers-1x2000", "--dry-run")
    assert kept.returncode == 0, kept.stderr
    refused = ingest(tmp_path, "vacuum", "e", "numbers-1x2000", "--keep-hours", "1")
    assert refused.returncode == 2
    assert ingest(tmp_path, "run", "e").returncode == 0


def test_the_simulator_starts_from_the_command_line() -> None:
    command = [INGEST, "simulate", "jira", "--issues", "20", "--projects", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
    assert set(ready) == {"url", "user", "token", "mode"}
