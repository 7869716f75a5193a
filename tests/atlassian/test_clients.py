"""Third-party clients work against the simulators: installed on first use into `.cache/`, each in a process of its own."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.simulators.atlassian import Simulation

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "clients"
SCRIPTS = Path(__file__).parent / "clients"
REQUIRED = os.environ.get("INGEST_REQUIRE_SERVICES") == "1"
INSTALL_S = 240


def give_up(message: str) -> None:
    if REQUIRED:
        pytest.fail(message)
    pytest.skip(message)


def install(folder: Path, command: list[str]) -> None:
    """Runs an installer once; its success is marked by a file. Test processes take turns: they share the folder."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_alone(folder, command)


def install_alone(folder: Path, command: list[str]) -> None:
    mark = folder / ".complete"
    if mark.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} did not finish within {INSTALL_S} s: the registry is slow")
    if done.returncode:
        give_up(f"{' '.join(command)} failed: {done.stderr[-400:]}")
    mark.touch()


def python_client(package: str, version: str, script: str, *arguments: str) -> dict[str, Any]:
    folder = CACHE / f"{package}-{version}"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        ".",
        f"{package}=={version}",
    ]
    install(folder, pip)
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    done = subprocess.run(  # some methods write files where they run
        command, env=environment, capture_output=True, text=True, timeout=200, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def npm_client(script: str, *arguments: str) -> dict[str, Any]:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: jira.js and confluence.js cannot be tried")
    folder = CACHE / "npm"
    install(
        folder, ["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", "jira.js@6.2.0", "confluence.js@3.2.0"]
    )
    command = ["node", str(SCRIPTS / script), str(folder / "node_modules"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def issues_of(sim: Simulation, project: str) -> list[dict[str, Any]]:
    """In the order of their keys, which is what ORDER BY id means."""
    of_project = (r for r in sim.expected("issues") if r["project"] == project)
    return sorted(of_project, key=lambda r: int(r["key"].rpartition("-")[2]))


def pages_of(sim: Simulation, space: str, *statuses: str) -> list[str]:
    return [r["id"] for r in sim.expected(brief=True, space=space) if r["type"] == "page" and r["status"] in statuses]


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_the_pypi_client_jira_reads_a_whole_project(mode: str, jira: Simulation, jira_dc: Simulation) -> None:
    sim = jira if mode == "cloud" else jira_dc
    got = python_client("jira", "3.10.5", "jira_3.py", sim.url, sim.user, sim.token, mode, "APO")
    wanted = issues_of(sim, "APO")
    assert got["cloud"] == (mode == "cloud")
    assert got["ids"] == [r["id"] for r in wanted]
    assert got["summaries"] == [r["issue"]["fields"]["summary"] for r in wanted]
    assert got["histories"] == min(len(wanted[0]["issue"]["changelog"]), 40 if mode == "cloud" else 10_000)
    assert got["comments"] == len(wanted[0]["issue"]["fields"]["comment"])
    assert got["projects"] == 4


@pytest.mark.parametrize("version", ["4.0.7", "5.0.5"])
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_atlassian_python_api_reads_a_whole_space_and_project(
    mode: str, version: str, jira: Simulation, jira_dc: Simulation, wiki: Simulation, wiki_dc: Simulation
) -> None:
    issues, pages = (jira, wiki) if mode == "cloud" else (jira_dc, wiki_dc)
    got = python_client(
        "atlassian-python-api", version, "atlassian_python_api.py",
        pages.url, pages.user, pages.token, mode, "SP000", issues.url, issues.user, issues.token, "APO",
    )  # fmt: skip
    assert got["pages"] == pages_of(pages, "SP000", "current")
    assert got["issues"] == [r["id"] for r in issues_of(issues, "APO")]
    assert got["projects"] == 4


def test_jira_js_finds_no_answer_that_differs_from_its_schemas(jira: Simulation) -> None:
    got = npm_client("jira_js.mjs", jira.url, jira.user, jira.token, "APO")
    wanted = issues_of(jira, "APO")
    assert got["mismatches"] == []
    assert got["reported"] == 1
    assert got["ids"] == [r["id"] for r in wanted]
    assert (got["bulk"], got["count"], got["projects"]) == (20, len(wanted), 4)


def test_confluence_js_takes_every_answer_for_what_its_schemas_say(wiki: Simulation) -> None:
    got = npm_client("confluence_js.mjs", wiki.url, wiki.user, wiki.token, "32768")
    assert got["reported"] == 1
    assert got["ids"] == pages_of(wiki, "SP000", "current", "archived")
