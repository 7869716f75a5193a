from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_ray.service import launching
from tests.graphql.client import Client
from tests.service.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return new_workspace(tmp_path, monkeypatch)


def new_workspace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace(folder)
    workspace.document["units"] = [
        workspace.document["units"][0] | {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    ]
    workspace.apply()
    return workspace


@pytest.fixture
def client(workspace: Workspace, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Runs are threads, except in tests that are marked `processes`."""
    if request.node.get_closest_marker("processes") is None:
        monkeypatch.setitem(launching.MODULES, "in-process", "tests.service.threads")
    client = Client(workspace.installation)
    with client.http:
        yield client
