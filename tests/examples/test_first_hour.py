"""The first hour of a new user, with the commands of README.md as processes: 30 tables land, and a planted bad row, a planted missing row
and a change of a schema are found by commands alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.testing.sample_shop import ROWS, TABLES

pytestmark = pytest.mark.faults

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMAND = str(Path(sys.executable).with_name("ingest-ray"))


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("INGEST_")}

    def __call__(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        program = [COMMAND] if words[0] != "python" else [sys.executable]
        arguments = words[1:] if words[0] in ("python", "ingest-ray") else words
        done = subprocess.run(
            [*program, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        assert "E_INTERNAL" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        text = self(*words, "--json", code=code)
        return json.loads(next(line for line in text.splitlines() if line.startswith("{")))


def test_the_first_hour(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for used in ("copy", "status", "verify", "quarantine"):
        assert re.search(rf"ingest-ray {used}\b", README), f"README.md does not name `{used}`"
    sample = ("python", "-m", "ingest_ray.testing.sample_shop", "shop.db")
    copy = ("copy", "sqlite:///shop.db", "--to", "./lake")

    shell(*sample)
    landed = shell.json(*copy)
    assert (landed["state"], len(landed["units"])) == ("SUCCEEDED", 30)
    assert {unit["unit_id"]: unit["rows"]["committed"] for unit in landed["units"]} == dict.fromkeys(TABLES, ROWS)
    assert shell.json(*copy)["rows"]["read"] < 30 * ROWS  # of the tables with a cursor, the look-back only

    shell(*sample, "bad-row")
    assert "1 quarantined" in shell("run", "shop", "products")
    shown = shell("quarantine", "show", "shop", "products")
    assert "a lot" in shown
    assert "amount" in shown

    assert shell.json("verify", "shop", "orders", "--rows")["state"] == "SUCCEEDED"
    DeltaTable(str(tmp_path / "lake" / "shop" / "orders")).delete("id = 17")
    found = shell("verify", "shop", "orders", "--rows", code=1)
    assert "1 missing" in found
    assert "17" in found
    assert "repair" in found  # what to do next
    shell("verify", "shop", "orders", "--rows", "--repair")
    assert shell.json("verify", "shop", "orders", "--rows")["state"] == "SUCCEEDED"

    shell(*sample, "changes")
    told = shell("run", "shop")
    assert "the dataset changed" in told
    assert "email" in told
    assert "email" in shell("datasets", "show", "shop", "customers")
    status = shell.json("status")["units"]
    assert {unit["state"] for unit in status} == {"SUCCEEDED"}
    assert len(status) == 30
    customers = DeltaTable(str(tmp_path / "lake" / "shop" / "customers")).to_pyarrow_table().to_pylist()
    assert [row["email"] for row in customers if row["id"] == 1] == ["a@example.org"]
