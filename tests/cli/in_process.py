"""Runs the command line in this process, for tests that need no process of their own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.cli.main import run_command


class InProcessCli:
    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self._capfd.readouterr()
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            code = run_command([*arguments])
        finally:
            os.chdir(here)
        return code, *self._capfd.readouterr()

    def json(self, *arguments: str, code: int = 0) -> Any:
        found, out, err = self.run(*arguments, "--json")
        assert found == code, err
        assert out.count("\n") == 1
        return json.loads(out)
