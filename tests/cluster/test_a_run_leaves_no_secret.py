"""Secrets are planted wherever one can be, units are run on Ray through the control plane, and everything that is left is
searched: files, staging, lake, state, logs, Ray's own session, the arguments of every process, and every answer.

Its runs start a Ray of their own: by its name this file comes first, before the one that the other tests share.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.service.access.roles import Role
from tests.graphql.client import Client
from tests.graphql.test_whole_story import everything
from tests.service.workspace import Workspace

pytestmark = pytest.mark.cluster

LITERAL, REFERENCED, IN_URL = "correct-horse-battery-staple", "env-horse-battery-staple", "url-horse-battery-staple"
UNIT = "numbers-1x1000"
CONTRACT_QUERIES = [
    ("endpoints", ""),
    ("endpointTemplates", ""),
    ("catalogDatasets", ""),
    ("metadataCollectionRuns", ""),
    ("ingestionSinks", ""),
    ("ingestionUnits", '(endpointId: "shop")'),
    ("ingestionStatuses", '(endpointId: "shop")'),
    ("ingestionUnitConfigs", '(endpointId: "shop")'),
]


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ir-", dir="/tmp"))  # sockets have short names
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


STARTED_AS = ("fork_server", "run_process")
"""A run's process is forked from the warm one, whose arguments it then has, or is an interpreter of its own."""


def arguments_of_every_process() -> bytes:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes())
        except OSError:
            continue
    return b"\n".join(found)


def test_nothing_that_a_run_leaves_behind_holds_a_secret(
    tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("RAY_TMPDIR", str(ray_folder))
    monkeypatch.setenv("SHOP_PASSWORD", REFERENCED)
    workspace = Workspace(tmp_path)
    workspace.source |= {"password": LITERAL, "faults": {"0:250": ["unavailable", "unavailable"], "0:500": ["denied"]}}
    workspace.document["ray"] = {"inline_below": 0, "num_cpus": 1}
    workspace.document["serve"] = {"max_cost": 10_000_000}  # every field of every answer is searched
    workspace.document["endpoints"] += [
        {"id": "by-env", "template": "testing.scripted", "config": {"units": [], "password": "env:SHOP_PASSWORD"}},
        {"id": "by-url", "template": "jdbc.postgres", "config": {"url": f"postgresql://app:{IN_URL}@127.0.0.1:1/shop"}},
    ]
    workspace.apply()
    client = Client(workspace.installation)
    secrets = [LITERAL, REFERENCED, IN_URL, *client.tokens.values()]
    answers: list[str] = []
    processes = b""

    def ask(query: str, role: Role = Role.ADMIN) -> Any:
        answer = client.post(query, role=role)
        answers.append(answer.text)
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    with client.http:
        for endpoint in ("shop", "by-env", "by-url"):
            ask(f'mutation {{ triggerEndpointCollection(endpointId: "{endpoint}") {{ id }} }}')
        wait(
            lambda: (
                len(ask("{ metadataCollectionRuns(filter: {status: RUNNING}) { id } }")["metadataCollectionRuns"]) == 0
            )
        )
        ask(
            f'{{ ingestionPlan(endpointId: "shop", unitId: "{UNIT}") {{ facts certificate {{ note }} slices {{ id }} }} }}'
        )
        ask(f'mutation {{ previewMetadataDataset(id: "shop:{UNIT}") {{ rows }} }}')
        states = []
        for _ in range(2):  # the first one fails, the second one is complete
            start = f'mutation {{ startIngestion(endpointId: "shop", unitId: "{UNIT}") {{ runId }} }}'
            run_id = ask(start)["startIngestion"]["runId"]
            while (
                state := ask(f'{{ ingestionRun(id: "{run_id}") {{ state executor error {{ message hint }} }} }}')[
                    "ingestionRun"
                ]
            )["state"] == "RUNNING":
                processes += arguments_of_every_process()
                time.sleep(0.5)
            states.append((state["state"], state["executor"]))
        for name, arguments in CONTRACT_QUERIES:
            ask(everything(name, arguments, 2), Role.VIEWER)
        answers.append(
            client.http.get("/metrics", headers={"Authorization": f"Bearer {client.tokens[Role.VIEWER]}"}).text
        )
    assert states == [("FAILED", "ray"), ("SUCCEEDED", "ray")]
    assert any(f"ingest_ray.service.launching.{module}".encode() in processes for module in STARTED_AS)
    assert workspace.rows(UNIT) == 1000

    left = {str(file): file.read_bytes() for root in (tmp_path, ray_folder) for file in files(root)}
    left |= {"answers": "\n".join(answers).encode(), "log": caplog.text.encode(), "processes": processes}
    del left[str(workspace.file)]  # where they were planted
    assert any("session_" in name and name.endswith((".log", ".out", ".err")) for name in left)
    assert any(name.endswith(f"{run_id}.log") for name in left)
    found = [(name, secret) for name, content in left.items() for secret in secrets if secret.encode() in content]
    assert found == []


def files(root: Path) -> list[Path]:
    return [file for file in root.rglob("*") if file.is_file() and not file.is_symlink()]


def wait(is_so: Any) -> None:
    deadline = time.monotonic() + 200
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)
