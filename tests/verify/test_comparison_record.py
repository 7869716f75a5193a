"""The record of a comparison: it is there from the begin on, shows how far it is, stops on request, and says where its process died."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.catalog import comparisons, run_records
from ingest_ray.config import load_settings
from ingest_ray.engine.reports import ComparisonProgress, VerifyReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import verification
from ingest_ray.service.runs.comparison_record import open_comparison
from ingest_ray.service.runs.record_keeping import started
from tests.cli.in_process import InProcessCli
from tests.graphql.client import Client
from tests.graphql.test_whole_story import until

CONFIG = """\
home: .ingest-ray
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: ./shop.db}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: shop, unit: t, sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: at, primary_key: [id]}}
"""


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> InProcessCli:
    (tmp_path / "ingest.yaml").write_text(CONFIG)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, at integer NOT NULL)")
        database.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    database.close()
    there = InProcessCli(tmp_path, capfd)
    there.json("apply")
    there.json("collect", "shop")
    return there


@pytest.mark.slow
def test_a_comparison_has_a_record_while_it_goes_on_which_shows_its_progress_and_stops_it(
    tmp_path: Path, cli: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.json("run", "shop")
    monkeypatch.chdir(tmp_path)
    may_end = threading.Event()

    def compare(order: RunOrder, options: VerifyOptions, observe: Any, is_stopping: Any, *_: Any) -> VerifyReport:
        observe(ComparisonProgress(step="source", rows=3, blocks_done=1, blocks=4, seconds=1.5))
        until(lambda: may_end.is_set() or is_stopping(), bool)
        return VerifyReport(
            run_id=order.run_id,
            endpoint_id="shop",
            unit_id="t",
            sink_id="lake",
            state=RunState.PAUSED if is_stopping() else RunState.SUCCEEDED,
        )

    monkeypatch.setattr(verification, "verify_unit", compare)
    installation = Installation(load_settings(tmp_path / "ingest.yaml"))
    client = Client(installation)
    begin = 'mutation { verifyIngestionUnit(endpointId: "shop", unitId: "t") { runId } }'
    progress = (
        "query($id: ID!) { ingestionRunProgress(id: $id) { phase state rows { read } slices { planned committed } } }"
    )

    def seen(run_id: str) -> Any:
        return client.ask(progress, {"id": run_id})["ingestionRunProgress"]

    with client.http:
        first, second, third = (client.ask(begin)["verifyIngestionUnit"]["runId"] for _ in range(3))
        expected = {
            "phase": "source",
            "state": "RUNNING",
            "rows": {"read": 3},
            "slices": {"planned": 4, "committed": 1},
        }
        until(lambda: [seen(first), seen(second)], lambda found: found == [expected, expected])
        assert (seen(third)["phase"], seen(third)["state"]) == ("waiting", "RUNNING")
        assert (
            client.ask('{ ingestionStatuses(endpointId: "shop") { state } }')["ingestionStatuses"][0]["state"]
            == "SUCCEEDED"
        )
        cli.json("run", "shop")  # no run waits for a comparison
        paused = client.ask('mutation { pauseIngestion(endpointId: "shop", unitId: "t") { ok message } }')[
            "pauseIngestion"
        ]
        assert (paused["ok"], paused["message"]) == (True, "the run stops after the block under way")
        until(lambda: [seen(run)["state"] for run in (first, second, third)], lambda found: found == ["PAUSED"] * 3)
    may_end.set()


def test_a_comparison_whose_process_died_is_interrupted_and_does_not_count_as_the_last_one(
    tmp_path: Path, cli: InProcessCli
) -> None:
    cli.json("run", "shop")
    installation = Installation(load_settings(tmp_path / "ingest.yaml"))
    (order,) = verification.admit_comparison(installation, "shop", ["t"])
    begun = started(order, datetime.now(UTC)).model_copy(update={"task": "verify"})
    open_comparison(installation, begun)
    with installation.catalog.begin() as connection:
        run_records.adopt(connection, begun.run_id, '{"host": "gone", "pid": 1, "started": "1"}')
        assert comparisons.last_began(connection, begun.ref, begun.sink_id) is None
    with installation.catalog.begin() as connection:
        connection.exec_driver_sql("UPDATE ingest_run_lines SET progressed_at = '2026-01-01T00:00:00+00:00'")
        connection.exec_driver_sql(
            "UPDATE ingest_runs SET started_at = '2026-01-01T00:00:00+00:00' WHERE task = 'verify'"
        )
    (found,) = [run for run in cli.json("history", "shop", "t")["runs"] if run["task"] == "verify"]
    assert (found["state"], found["error"]["code"]) == ("FAILED", "E_RUN_INTERRUPTED")
    assert cli.json("verify", "shop", "t")["state"] == "SUCCEEDED"
    states = [run["state"] for run in cli.json("history", "shop", "t")["runs"] if run["task"] == "verify"]
    assert states == ["SUCCEEDED", "FAILED"]
