"""The commands of the control plane: tokens, keys, history, pause, watermarks, the schema, the server."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ingest_ray.secrets.keyring import KeyFile
from tests.cli.in_process import InProcessCli
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "INGEST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace(tmp_path)
    workspace.source |= {"units": [UNIT], "password": "correct-horse-battery-staple", "changed": {"4": 700}}
    workspace.document["units"][0] |= {"run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    return workspace


@pytest.fixture
def cli(workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> InProcessCli:
    there = InProcessCli(workspace.folder, capfd)
    workspace.write()
    there.json("apply")
    there.json("collect", "shop")
    return there


def test_a_token_is_shown_once_listed_without_it_and_revoked(cli: InProcessCli) -> None:
    made = cli.json("token", "create", "--name", "ada", "--role", "admin", "--days", "30")
    assert made["token"].startswith("ingest_")
    assert made["stored"]["role"] == "admin"
    code, out, _ = cli.run("token", "list")
    assert (code, made["token"] in out, "ada" in out) == (0, False, True)
    token_id = made["stored"]["token_id"]
    assert cli.json("token", "revoke", token_id)["revoked_at"] is not None
    assert cli.json("token", "revoke", "nothing", code=2)["error"]["code"] == "E_BAD_INPUT"
    assert cli.json("token", "create", "--name", " ", code=2)["error"]["code"] == "E_BAD_INPUT"
    assert [token["token_id"] for token in cli.json("token", "list")["tokens"]] == [token_id]


def test_history_shows_runs_the_newest_first_and_page_by_page(cli: InProcessCli) -> None:
    assert cli.run("history")[1] == "no run yet\n"
    first = cli.json("run", "shop", UNIT)["run_id"]
    second = cli.json("run", "shop", UNIT)["run_id"]
    page = cli.json("history", "shop", UNIT, "-n", "1")
    assert ([run["run_id"] for run in page["runs"]], page["has_next"]) == ([second], True)
    rest = cli.json("history", "--after", second)
    assert ([run["run_id"] for run in rest["runs"]], rest["has_next"]) == ([first], False)
    assert rest["runs"][0]["requested_by"]
    code, out, _ = cli.run("history")
    assert (code, UNIT[:8] in out) == (0, True)


def test_a_watermark_is_set_asked_for_first_and_what_is_above_is_read_again(cli: InProcessCli) -> None:
    cli.json("run", "shop", UNIT)
    assert cli.json("run", "shop", UNIT)["rows"]["read"] == 0
    assert cli.json("watermark", "set", "shop", UNIT, "500", code=2)["error"]["hint"] == "say --yes"
    assert cli.json("watermark", "set", "shop", UNIT, "500", "--yes")["watermarks"] == {"0": 500}
    assert cli.json("run", "shop", UNIT)["rows"]["read"] == 1
    refused = cli.json("watermark", "set", "shop", UNIT, "soon", "--yes", code=2)["error"]
    assert (refused["code"], "soon" in refused["message"]) == ("E_BAD_INPUT", True)
    refused = cli.json("watermark", "set", "shop", UNIT, "5", "--segment", "9", "--yes", code=2)["error"]
    assert "no segment '9'" in refused["message"]
    assert cli.json("status", "shop", UNIT)["units"][0]["segments"][0]["watermark"] == 1000


def test_pausing_what_does_not_run_says_so_and_a_unit_that_is_not_there_is_a_mistake(cli: InProcessCli) -> None:
    assert cli.json("pause", "shop", UNIT)["message"] == "the unit has no live run"
    assert cli.json("pause", "shop", "nothing", code=2)["error"]["code"] == "E_INGESTION_UNIT_NOT_FOUND"


@pytest.mark.slow
def test_a_run_of_the_command_line_is_paused_by_another_command(workspace: Workspace, cli: InProcessCli) -> None:
    workspace.source |= {"slice_rows": 100, "faults": {"0:500": ["unavailable:600"]}, "journal": str(workspace.journal)}
    workspace.write()
    cli.json("apply")
    command = [sys.executable, "-m", "ingest_ray.cli", "run", "shop", UNIT, "--json"]
    run = subprocess.Popen(command, cwd=workspace.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 200
    while not (workspace.journal.exists() and "read load 0 [500" in workspace.journal.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert cli.json("pause", "shop", UNIT)["ok"] is True
    out, _ = run.communicate(timeout=200)
    assert (run.returncode, '"state": "PAUSED"' in out) == (1, True)


def test_secrets_get_a_new_key(workspace: Workspace, cli: InProcessCli) -> None:
    before = KeyFile(workspace.installation.settings).keys()
    assert cli.json("secrets", "rotate") == {"key_from": "file", "sealed": 1}
    assert KeyFile(workspace.installation.settings).keys() != before
    assert cli.json("apply")["changes"] == []


def test_the_schema_is_printed(cli: InProcessCli) -> None:
    code, out, _ = cli.run("schema")
    assert (code, "type IngestionUnitConfig" in out) == (0, True)
    assert cli.json("schema")["schema"].startswith(out[:100])


def test_what_the_server_cannot_do_is_said_before_it_listens(workspace: Workspace, cli: InProcessCli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = cli.run("serve", "--port", str(taken.getsockname()[1]))
        assert (code, "cannot listen on 127.0.0.1" in err) == (2, True)
    workspace.document["serve"] = {"anonymous": "admin", "host": "0.0.0.0"}
    workspace.write()
    code, _, err = cli.run("serve")
    assert (code, "no loopback address [E_BAD_INPUT]" in err) == (2, True)


@pytest.mark.slow
def test_a_server_answers_and_ends_when_it_is_told_to(workspace: Workspace, cli: InProcessCli) -> None:
    command = [sys.executable, "-m", "ingest_ray.cli", "serve", "--port", "0", "--no-console", "--log-format", "json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, cwd=workspace.folder, stderr=subprocess.PIPE, text=True, env=environment)
    assert server.stderr is not None
    said = server.stderr.readline()
    found = re.fullmatch(r"serving (http://127.0.0.1:\d+)/graphql\n", said)
    assert found is not None, said + server.stderr.read()
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"{found.group(1)}/readyz", timeout=10) as answer:
                assert answer.status == 200
            break
        except OSError:
            time.sleep(0.1)
    server.send_signal(signal.SIGTERM)
    _, rest = server.communicate(timeout=200)
    assert server.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in rest
