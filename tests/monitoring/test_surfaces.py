"""Freshness where people and programs look: `status`, GraphQL, `/metrics` of a server."""

from datetime import timedelta
from pathlib import Path

import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.service.access.roles import Role
from tests.cli.in_process import InProcessCli
from tests.graphql.client import Client
from tests.monitoring.test_freshness import NOW, ready, record
from tests.service.workspace import Workspace

QUERY = """{ ingestionStatuses(endpointId: "shop") { unitId freshness {
  isLate lateSince lagS freshWithinS failuresInRow lastSuccessAt asOf newestRowAgeS startError
  lastRunId lastRunSeconds rowsRead rowsCommitted rowsQuarantined bytesStaged } } }"""


def test_graphql_and_metrics_tell_which_units_are_late(workspace: Workspace) -> None:
    installation = ready(workspace)
    record(installation, "numbers-1x1", NOW - timedelta(hours=5))
    record(installation, "numbers-1x2", NOW - timedelta(minutes=1), RunState.FAILED)
    client = Client(installation)
    one, two = (unit["freshness"] for unit in client.ask(QUERY, role=Role.VIEWER)["ingestionStatuses"])
    assert (one["isLate"], two["isLate"]) == (True, False)
    assert (one["rowsCommitted"], one["rowsQuarantined"], one["freshWithinS"]) == (6, 1, 3600)
    assert (two["failuresInRow"], two["lagS"]) == (1, None)
    text = client.http.get("/metrics", headers={"Authorization": f"Bearer {client.tokens[Role.VIEWER]}"}).text
    assert 'ingest_unit_late{endpoint="shop",sink="lake",unit="numbers-1x1"} 1.0' in text
    assert 'ingest_unit_late{endpoint="shop",sink="lake",unit="numbers-1x2"} 0.0' in text
    assert 'ingest_unit_runs_total{endpoint="shop",sink="lake",state="failed",unit="numbers-1x2"} 1.0' in text


def test_status_shows_the_lag_and_who_is_late(
    workspace: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    installation = ready(workspace)
    record(installation, "numbers-1x1", NOW - timedelta(hours=5))
    cli = InProcessCli(tmp_path, capfd)
    text = cli.run("status")[1]
    assert "5 h late" in text
    details = cli.run("status", "shop", "numbers-1x1")[1]
    assert "failures in a row" in details
    assert cli.json("status")["units"][0]["freshness"]["is_late"] is True
