"""The demo's sites, with the commands that it shows: a new unit or model must not end the README's first command."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from demo.sites import into_one_model

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("ingest-ray")


@pytest.mark.skipif(not COMMAND.exists(), reason="ingest-ray is not installed beside this Python")
def test_two_sites_become_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    shown = io.StringIO()
    assert into_one_model(tmp_path / "sites", str(COMMAND), Console(file=shown, width=120)), shown.getvalue()
