"""The demo says "killed" only where it killed, and fails where a step fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo import __main__ as demo


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A command in the place of ingest-ray, and a lake with enough commits."""
    script = tmp_path / "ingest-ray"
    script.write_text(f"#!{sys.executable}\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setattr(demo, "command", lambda: str(script))
    monkeypatch.setattr(demo, "HOME", tmp_path)
    monkeypatch.setattr(demo, "rows_in_lake", lambda unit: 5)
    log = tmp_path / "lake" / "shop" / "order_lines" / "_delta_log"
    log.mkdir(parents=True)
    for n in range(6):
        (log / f"{n}.json").touch()


def test_a_run_that_is_killed_is_called_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import time; time.sleep(600)")
    assert demo.kill_half_way() == (5, True)


@pytest.mark.parametrize("code", [0, 3])
def test_a_run_that_ends_by_itself_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    stand_in(tmp_path, monkeypatch, f"raise SystemExit({code})")
    for file in (tmp_path / "lake" / "shop" / "order_lines" / "_delta_log").iterdir():
        file.unlink()  # it ends before five commits
    if code == 0:
        assert demo.kill_half_way() == (5, False)
    else:
        with pytest.raises(subprocess.CalledProcessError):
            demo.kill_half_way()


def test_a_step_that_fails_ends_the_demo_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise subprocess.CalledProcessError(2, ["ingest-ray", "apply"])

    monkeypatch.setattr(demo, "show", fail)
    assert demo.main() == 1
    assert "a step failed: ingest-ray apply" in capsys.readouterr().out
