"""A workflow in TypeScript drives the Python activities: the boundary is JSON, not Python."""

import fcntl
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ingest_ray.payloads.contract import schemas
from ingest_ray.testing.servers.postgres import missing
from tests.temporal.conftest import PlantMaker

pytestmark = [pytest.mark.services, pytest.mark.cluster]
SOURCE = Path(__file__).parent / "typescript"
CACHE = Path(__file__).parents[2] / ".cache" / "typescript"
INSTALL_S = 280


@pytest.fixture(scope="session")
def project() -> Path:
    """The TypeScript project with its packages, installed on first use. Test processes take turns: they share the folder."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("node with npm, for the workflow in TypeScript,")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (SOURCE / "package.json").read_text()
        mark = CACHE / ".complete"
        if not mark.exists() or mark.read_text() != wanted:
            _install(mark, wanted)
        for file in SOURCE.iterdir():
            shutil.copy(file, CACHE / file.name)
    return CACHE


def _install(mark: Path, wanted: str) -> None:
    mark.unlink(missing_ok=True)
    shutil.copy(SOURCE / "package.json", CACHE / "package.json")
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not finish within {INSTALL_S} s: the registry is slow")
    if done.returncode:
        missing(f"@temporalio from npm ({done.stderr[-300:]})")
    mark.write_text(wanted)


@pytest.mark.faults  # it installs packages of npm; that the boundary is JSON is shown by `test_payloads.py`
@pytest.mark.timeout(600)
def test_a_workflow_in_typescript_runs_a_unit_with_the_python_activities(project: Path, scripted: PlantMaker) -> None:
    unit = "numbers-2x300"
    workspace = scripted(unit)
    with workspace.worker():
        command = ["node", "run.mjs", workspace.server.address, workspace.queue, "shop", unit]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert answer["outcome"]["state"] == answer["end"]["state"] == "SUCCEEDED"
    assert answer["outcome"]["statistics"]["rowsCommitted"] == 600
    assert answer["refused"] == "E_INGESTION_UNIT_NOT_FOUND"
    assert workspace.ids(unit) == Counter(range(600))
    record = workspace.record(unit)
    assert record is not None
    assert (record.run_id, record.requested_by) == (answer["ref"]["runId"], "typescript")
    published: Any = schemas()
    results = {"startIngestionRun": "ref", "runIngestionUnit": "outcome", "completeIngestionRun": "end"}
    for activity, name in (results | {"previewDataset": "preview"}).items():
        jsonschema.validate(answer[name], published["activities"][activity]["result"])
    assert len(json.loads(Path(answer["preview"]["uri"]).read_text())["rows"]) == 2
