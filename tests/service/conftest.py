from pathlib import Path

import pytest

from tests.service.lab import Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Lab(tmp_path)
