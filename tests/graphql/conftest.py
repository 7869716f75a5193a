from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_ray.service import launching
from tests.graphql.client import Client
from tests.service.lab import Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    lab = Lab(tmp_path)
    lab.document["units"] = [lab.document["units"][0] | {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}]
    lab.apply()
    return lab


@pytest.fixture
def client(lab: Lab, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Runs are threads, but for tests that are marked `processes`."""
    if request.node.get_closest_marker("processes") is None:
        monkeypatch.setitem(launching.MODULES, "in-process", "tests.service.threads")
    client = Client(lab.installation)
    with client.http:
        yield client
