"""Every command of docs/tutorial.md, one after the other, as a new user types them."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from ingest_ray.testing import sample_shop
from tests.cli.in_process import InProcessCli

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
COMMANDS = [line.strip() for line in re.findall(r"^    (\S.*)$", PAGE, re.MULTILINE)]
FAILS = {"ingest-ray verify shop orders": 1}  # what the page says of it


def perform(cli: InProcessCli, command: str) -> tuple[int, str]:
    words = shlex.split(command)
    if words[0] == "pip":
        return 0, ""
    if words[0] == "ingest-ray":
        code, out, err = cli.run(*words[1:])
        return code, out + err
    shown = io.StringIO()
    with contextlib.chdir(cli.folder), contextlib.redirect_stdout(shown):
        if words[1] == "-m":
            return sample_shop.main(words[3:]), shown.getvalue()
        exec(words[2], {})  # noqa: S102 - of our own page
    return 0, shown.getvalue()


def test_every_command_of_the_tutorial_does_what_the_page_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    cli = InProcessCli(tmp_path, capfd)
    shown: dict[str, list[str]] = {}
    for command in COMMANDS:
        code, text = perform(cli, command)
        assert code == FAILS.get(command, 0), f"{command}: {text}"
        shown.setdefault(command, []).append(text)
    first, second = shown["ingest-ray run shop"]
    assert "30 units: 30 SUCCEEDED; 12000 rows committed" in first
    assert len([line for line in first.splitlines() if " SUCCEEDED  " in line]) == 30  # one line a unit
    assert "the dataset changed" in second
    (products,) = shown["ingest-ray run shop products"]
    assert "1 quarantined" in products
    assert "a lot" in shown["ingest-ray quarantine show shop products"][0]
    assert shown[COMMANDS[-1]][0].strip() == "401"
