"""`init` of sites, and its questions at a terminal."""

import os
import pty
import sys
from pathlib import Path
from typing import Literal

import pytest
import yaml

from ingest_ray.simulators.atlassian import simulate
from tests.cli.in_process import InProcessCli
from tests.cli.test_init import cli  # noqa: F401  a fixture

COMMAND = str(Path(sys.executable).parent / "ingest-ray")


@pytest.mark.slow
@pytest.mark.parametrize(("product", "template"), [("jira", "jira.http"), ("confluence", "http.confluence")])
def test_every_unit_of_a_site_is_fit_to_run_and_no_secret_is_written(
    cli: InProcessCli,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    product: Literal["jira", "confluence"],
    template: str,
) -> None:
    with simulate(product, issues=5, projects=1, pages=5, spaces=1, users=3) as site:
        options = ["--set", f"username={site.user}", "--set", f"api_token={site.token}"]
        refused = cli.json("init", site.url, *options, code=2)["error"]
        assert template in refused["hint"]
        written = cli.json("init", site.url, "--template", template, *options)
        assert written["variables"] == [f"{product.upper()}_API_TOKEN"]
        assert site.token not in (cli.folder / "ingest.yaml").read_text()
        monkeypatch.setenv(f"{product.upper()}_API_TOKEN", site.token)
        cli.json("apply")
        cli.json("collect", product)
        assert cli.json("validate")["unfit"] == []
        units = cli.json("units", product)["units"]
        assert len(units) > 10
        assert all(unit["enabled"] and unit["fault"] is None for unit in units)


def answered(folder: Path, answers: list[str], *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What a terminal shows while the questions, which end with `: `, are answered; the exit code at the end."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(COMMAND, [COMMAND, *arguments], {**os.environ, **(environment or {})})
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
            if seen.rstrip(b"\r\n") == seen and seen.endswith(b": ") and answers:
                os.write(terminal, answers.pop(0).encode() + b"\n")
    except OSError:  # the other end is closed: everything was read
        pass
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return f"{seen.decode()}exit {code}"


@pytest.mark.slow
def test_a_database_is_asked_for_at_a_terminal(cli: InProcessCli) -> None:  # noqa: F811
    shown = answered(cli.folder, ["sqlite:///shop.db", ""], "init")
    assert shown.endswith("exit 0"), shown
    assert "Source (" in shown
    assert "Target (" in shown
    document = yaml.safe_load((cli.folder / "ingest.yaml").read_text())
    assert document["endpoints"][0]["template"] == "jdbc.sqlite"
    assert document["sinks"][0]["config"] == {"uri": "./lake"}


@pytest.mark.slow
def test_a_site_is_asked_for_at_a_terminal(cli: InProcessCli) -> None:  # noqa: F811
    with simulate("jira", issues=5, projects=1, users=3) as site:
        answers = [site.url, "", "trello", "jira", site.user, "env:TOKEN"]
        shown = answered(cli.folder, answers, "init", environment={"TOKEN": site.token})
    assert shown.endswith("exit 0"), shown
    config = yaml.safe_load((cli.folder / "ingest.yaml").read_text())["endpoints"][0]["config"]
    assert config == {"base_url": site.url, "username": site.user, "api_token": "env:TOKEN"}
