"""`ingest-ray verify` as a user meets it: what it prints, its document, its exit codes and its record."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.config import load_settings
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import verification
from tests.cli.in_process import InProcessCli
from tests.graphql.client import Client
from tests.graphql.test_whole_story import until

CONFIG = """\
home: .ingest-ray
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: ./shop.db}}
  - {id: numbers, template: testing.scripted, config: {units: [numbers-1x10]}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: shop, unit: t, sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: at, primary_key: [id]}}
  - {endpoint: numbers, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: at}}
"""


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> InProcessCli:
    (tmp_path / "ingest.yaml").write_text(CONFIG)
    execute(tmp_path, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, at integer NOT NULL, note text)")
    execute(tmp_path, "INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 4, 'd'), (9, 9, 'z')")
    there = InProcessCli(tmp_path, capfd)
    there.json("apply")
    there.json("collect", "shop")
    return there


def execute(folder: Path, sql: str) -> None:
    connection = sqlite3.connect(folder / "shop.db", isolation_level=None)
    connection.execute(sql)
    connection.close()


def test_a_unit_without_a_key_does_not_keep_the_others_from_being_compared(tmp_path: Path, cli: InProcessCli) -> None:
    execute(tmp_path, "CREATE TABLE a_log (line text)")
    (tmp_path / "ingest.yaml").write_text(CONFIG + "  - {endpoint: shop, unit: a_log, sink: lake, enabled: true}\n")
    cli.json("collect", "shop")
    cli.json("apply")
    cli.json("run", "shop")
    code, out, _ = cli.run("verify", "shop", "--rows")
    assert (code, "equal" in out, "'a_log' has no key" in out) == (1, True, True), out
    assert cli.json("verify", "shop", "a_log", code=2)["error"]["code"] == "E_BAD_INPUT"


@pytest.mark.slow
def test_equal_rows_differing_rows_and_their_repair(tmp_path: Path, cli: InProcessCli) -> None:
    assert cli.json("verify", "shop", "t", code=2)["error"]["code"] == "E_BAD_INPUT"
    cli.json("run", "shop")
    code, out, err = cli.run("verify", "shop", "t", "--rows")
    assert (code, "equal" in out) == (0, True), out + err
    assert "source: 5 rows" in err
    execute(tmp_path, "INSERT INTO t VALUES (5, 2, 'late')")
    execute(tmp_path, "UPDATE t SET note = 'other' WHERE id = 3")
    execute(tmp_path, "DELETE FROM t WHERE id = 4")
    code, out, _ = cli.run("verify", "shop", "t", "--rows")
    assert code == 1
    for text in ("1 only at the source", "1 only in the sink", "1 with other values", "[E_ROWS_DIFFER]", "--repair"):
        assert text in out, out
    document = cli.json("verify", "shop", "--rows", "--limit", "1", code=1)
    (unit,) = document["units"]
    assert (document["state"], unit["missing_keys"], unit["surplus_keys"]) == ("FAILED", [{"id": 5}], [{"id": 4}])
    refused = cli.json("verify", "shop", "t", "--rows", "--repair", code=1)["units"][0]
    assert (refused["repaired"], refused["remaining"], refused["error"]["code"]) == (2, 1, "E_DELETES_REFUSED")
    repaired = cli.json("verify", "shop", "t", "--repair", "--allow-deletes")["units"][0]
    assert (repaired["state"], repaired["erased"], repaired["remaining"]) == ("SUCCEEDED", 1, 0)
    assert cli.json("verify", "shop", "t", "--rows")["state"] == "SUCCEEDED"
    history = cli.json("history", "shop", "t")["runs"]
    assert [run["task"] for run in history[:2]] == ["verify", "verify"]
    assert history[1]["facts"]["erased"] == 1
    assert "missing_keys" not in history[-2]["facts"]
    assert cli.json("status", "shop", "t")["units"][0]["last_run"]["task"] == "ingest"


def test_a_reconciliation_reads_what_is_missing(tmp_path: Path, cli: InProcessCli) -> None:
    cli.json("run", "shop")
    execute(tmp_path, "INSERT INTO t VALUES (5, 2, 'late')")
    found = cli.json("run", "shop", "t", "--reconcile")["reconcile"]
    assert (found["missing_in_sink"], found["repaired"], found["erased"]) == (1, 1, 0)
    assert cli.json("verify", "shop", "t")["state"] == "SUCCEEDED"


def test_a_source_that_cannot_look_up_rows_is_refused_by_name(cli: InProcessCli) -> None:
    cli.json("collect", "numbers")
    cli.json("run", "numbers")
    refused = cli.json("verify", "numbers", code=2)["error"]
    assert (refused["code"], "RowLookup" in refused["hint"]) == ("E_INGESTION_MODE_UNSUPPORTED", True)


def test_a_unit_is_compared_through_graphql(tmp_path: Path, cli: InProcessCli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.json("run", "shop")
    monkeypatch.chdir(tmp_path)
    execute(tmp_path, "INSERT INTO t VALUES (5, 2, 'late')")
    client = Client(Installation(load_settings(tmp_path / "ingest.yaml")))
    call = 'mutation { verifyIngestionUnit(endpointId: "shop", unitId: "t", repair: true) { ok runId state } }'
    with client.http:
        assert client.refused(call.replace('"t"', '"u"'))[0] == "E_INGESTION_UNIT_NOT_FOUND"
        begun = client.ask(call)["verifyIngestionUnit"]
        assert (begun["ok"], begun["state"]) == (True, "RUNNING")
        query = "{ ingestionRuns(first: 5) { edges { node { id task state facts } } } }"

        def recorded() -> list[Any]:
            nodes = [edge["node"] for edge in client.ask(query)["ingestionRuns"]["edges"]]
            return [node for node in nodes if node["id"] == begun["runId"]]

        (found,) = until(recorded, lambda nodes: nodes[0]["state"] != "RUNNING")
    assert (found["task"], found["state"], found["facts"]["missing"], found["facts"]["repaired"]) == (
        "verify",
        "SUCCEEDED",
        1,
        1,
    )


def test_a_server_compares_two_units_at_once_and_others_wait(
    tmp_path: Path, cli: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    at_work, most, ended, may_end = 0, 0, 0, threading.Event()
    lock = threading.Lock()

    def compare(*_: Any) -> None:
        nonlocal at_work, most, ended
        with lock:
            at_work += 1
            most = max(most, at_work)
        may_end.wait(60)
        with lock:
            at_work -= 1
            ended += 1

    monkeypatch.setattr(verification, "verify_admitted", compare)
    client = Client(Installation(load_settings(tmp_path / "ingest.yaml")))
    with client.http:
        for _ in range(4):
            client.ask('mutation { verifyIngestionUnit(endpointId: "shop", unitId: "t") { ok } }')
        until(lambda: at_work, lambda found: found == 2)
        may_end.set()
        until(lambda: ended, lambda found: found == 4)
    assert most == 2


def test_the_help_has_examples(cli: InProcessCli) -> None:
    code, out, _ = cli.run("verify", "--help")
    assert code == 0
    assert "ingest-ray verify shop public.orders --rows --repair" in out


@pytest.mark.slow
def test_a_unit_is_compared_after_its_runs_where_its_policy_says_so(tmp_path: Path, cli: InProcessCli) -> None:
    policy = "{cursor: at, primary_key: [id], verify_every: 1h, verify_rows: true}"
    (tmp_path / "ingest.yaml").write_text(CONFIG.replace("{cursor: at, primary_key: [id]}", policy))
    cli.json("apply")
    first = cli.json("run", "shop", "t")
    assert (first["verify"]["state"], first["verify"]["compared"]) == ("SUCCEEDED", "rows")
    assert cli.json("run", "shop", "t")["verify"] is None, "the last comparison is not an hour old"
    records = cli.json("history", "shop", "t")["runs"]
    assert [run["task"] for run in records] == ["ingest", "verify", "ingest"]
    assert records[1]["facts"]["rows_in_sink"] == 5
