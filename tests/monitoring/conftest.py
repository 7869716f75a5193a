from pathlib import Path

import pytest

from tests.service.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path)
