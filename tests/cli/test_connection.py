"""`ingest-ray test`: logins of real simulators, through the whole product."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.cli.in_process import InProcessCli

SINK = {"id": "lake", "template": "lake.delta", "config": {"uri": "./lake"}}


def applied(folder: Path, capfd: pytest.CaptureFixture[str], config: dict[str, Any]) -> InProcessCli:
    endpoint = {"id": "tracker", "template": "jira.http", "config": config}
    (folder / "ingest.yaml").write_text(json.dumps({"endpoints": [endpoint], "sinks": [SINK]}))
    cli = InProcessCli(folder, capfd)
    assert cli.run("apply")[0] == 0
    return cli


def scoped(sim: Simulation) -> dict[str, Any]:
    return {"site": sim.url, "gateway_url": sim.url, "username": sim.user, "api_token": sim.scoped_token}


def test_missing_scopes_of_some_units_are_warnings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with simulate(scopes="read:jira-work read:jira-user", issues=5, projects=1, frozen=True) as sim:
        cli = applied(tmp_path, capfd, scoped(sim))
        code, out, _ = cli.run("test", "tracker")
        assert code == 0
        assert "warning: the token lacks the scope manage:jira-configuration" in out
        assert "filter options" in out
        levels = [item["level"] for item in cli.json("test", "tracker")["diagnostics"]]
        assert (levels[0], set(levels[1:])) == ("info", {"warning"})
        assert cli.run("test", "lake")[0] == 0


def test_missing_scopes_of_every_unit_are_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with simulate(scopes="read:jira-user", issues=5, projects=1, frozen=True) as sim:
        code, _, err = applied(tmp_path, capfd, scoped(sim)).run("test", "tracker")
        assert code == 2
        assert "read:jira-work" in err
        assert "E_CONN_TEST_FAILED" in err
        assert sim.scoped_token not in err


def test_a_renewed_token_of_a_test_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with simulate(issues=5, projects=1) as sim:
        login = {"auth_type": "oauth", "refresh_token": "refresh-0", "token_url": sim.token_url, **sim.app}
        cli = applied(tmp_path, capfd, {"site": sim.url, "gateway_url": sim.url, **login})
        assert cli.run("test", "tracker")[0] == 0
        sim.advance_clock(1200)  # the configured refresh token would end the chain now
        assert cli.run("collect", "tracker")[0] == 0
        assert sim.stats()["faults"]["token"] == 1


def test_a_bad_file_of_certificates_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = {"base_url": "https://127.0.0.1:9", "username": "u", "api_token": "t", "verify_tls": "own/ca.pem"}
    cli = applied(tmp_path, capfd, config)
    for command in ("test", "collect"):
        code, _, err = cli.run(command, "tracker")
        assert code == 2
        assert f"{tmp_path}/own/ca.pem" in err
        assert "E_BAD_INPUT" in err
    code, _, err = cli.run("test", "nowhere")
    assert code == 2
    assert "E_ENDPOINT_NOT_FOUND" in err
