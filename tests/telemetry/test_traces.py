"""A run is one trace, from the request to its commit, in whatever threads and processes its steps are."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ingest_ray import telemetry
from ingest_ray.config import load_config
from ingest_ray.sdk import tracing
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.service.workspace import Workspace
from tests.telemetry.collector import Collector

STEPS = {
    "run",
    "attempt",
    "plan",
    "cut slices",
    "read slice",
    "record intent",
    "commit",
    "fold commit",
}
STAGED_STEPS = STEPS | {"prepare slice"}
"""Of a run whose readers stage pages: adopted files are prepared when they are read."""
SECRET_KEY = "ada@example.org"


def run_traced(workspace: Workspace, *units: str, parallel: int = 1) -> None:
    """Under a first span, as a command would begin it."""
    workspace.apply()
    collect(workspace.installation, "shop")
    telemetry.configure(workspace.installation.settings)
    with tracing.span("the command"):
        report = run(workspace.installation, "shop", units, parallel=parallel)
    assert report.state == "SUCCEEDED", report.units
    telemetry.shutdown()


@pytest.mark.parametrize("threads", [1, 3])
def test_each_step_of_a_run_is_in_one_trace(workspace: Workspace, collector: Collector, threads: int) -> None:
    workspace.document |= {"ray": {"inline_threads": threads}, "staging": {"provider": "files"}}
    workspace.document["units"][0]["policy"] = {"target_slice_bytes": 65536}
    run_traced(workspace, "numbers-1x1000")
    assert collector.names() >= STAGED_STEPS
    assert len({span.trace_id for span in collector.spans}) == 1
    for name in STAGED_STEPS - {"run", "attempt"}:
        for span in collector.named(name):
            assert collector.path_of(span)[:3] == ["the command", "run", "attempt"], name
    (of_run,) = collector.named("run")
    assert of_run.facts["ingest.rows.committed"] == 1000
    assert of_run.facts["ingest.unit.id"] == "numbers-1x1000"
    assert sum(span.facts["ingest.rows.read"] for span in collector.named("read slice")) == 1000
    assert not any(span.is_failed for span in collector.spans)


def test_units_side_by_side_are_in_the_trace_of_their_launch(workspace: Workspace, collector: Collector) -> None:
    run_traced(workspace, "numbers-1x1000", "numbers-2x300", parallel=2)
    assert len({span.trace_id for span in collector.spans}) == 1
    assert sorted(span.facts["ingest.unit.id"] for span in collector.named("run")) == [
        "numbers-1x1000",
        "numbers-2x300",
    ]


def test_metrics_and_log_lines_of_a_run_are_sent(workspace: Workspace, collector: Collector) -> None:
    run_traced(workspace, "numbers-1x1000")
    labels = {"ingest.endpoint.id": "shop", "ingest.unit.id": "numbers-1x1000", "ingest.sink.id": "lake"}
    assert collector.points["ingest.rows.committed"] == [(labels, 1000.0)]
    ((facts, seconds),) = collector.points["ingest.run.duration"]
    assert facts["ingest.run.state"] == "SUCCEEDED"
    assert seconds > 0


def test_a_log_line_has_the_ids_of_its_run_and_the_trace(workspace: Workspace, collector: Collector) -> None:
    workspace.source["faults"] = {"0:0": ["unavailable"]}
    run_traced(workspace, "numbers-1x1000")
    (line,) = [found for found in collector.log_lines if "failed" in found[0]]
    assert line[1] == collector.spans[0].trace_id
    assert line[2]["ingest.unit.id"] == "numbers-1x1000"
    (failed,) = [span for span in collector.spans if span.is_failed]
    assert (failed.name, failed.facts["error.type"]) == ("read slice", "E_SOURCE_PAGE_FAILED")


def shop_of_people(folder: Path, workspace: Workspace) -> None:
    """A table whose key is an e-mail address, in SQLite, to another SQLite file."""
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("create table people (mail text primary key, age int, changed text)")
        connection.execute("insert into people values (?, 1, '2026-01-01 00:00:00')", [SECRET_KEY])
        connection.execute("insert into people values ('eve@example.org', 2, '2026-01-02 00:00:00')")
    connection.close()
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": "shop.db"}}]
    workspace.document["sinks"] = [{"id": "lake", "template": "sql", "config": {"url": f"sqlite:///{folder}/sink.db"}}]
    workspace.document["units"][0]["policy"] = {"write": "upsert"}


def test_statements_have_the_names_of_the_conventions_and_no_values(
    tmp_path: Path, workspace: Workspace, collector: Collector
) -> None:
    shop_of_people(tmp_path, workspace)
    run_traced(workspace)
    statements = [span for span in collector.spans if span.facts.get("db.system.name") == "sqlite"]
    assert {span.kind for span in statements} == {3}  # SPAN_KIND_CLIENT
    streams = [span for span in statements if "db.response.returned_rows" in span.facts]
    reads = [span for span in streams if collector.path_of(span)[-2] == "read slice"]
    assert {span.facts["db.operation.name"] for span in reads} == {"SELECT"}
    assert all(span.facts["db.response.returned_rows"] > 0 for span in reads)
    assert any(collector.path_of(span)[-2] == "commit" for span in statements)
    assert {facts["db.system.name"] for facts, _ in collector.points["db.client.operation.duration"]} == {"sqlite"}
    assert b"example.org" not in collector.everything()


def test_texts_of_errors_are_not_sent_in_spans(tmp_path: Path, workspace: Workspace, collector: Collector) -> None:
    workspace.apply()
    telemetry.configure(workspace.installation.settings)
    with pytest.raises(ValueError, match=SECRET_KEY), tracing.span("work"):
        raise ValueError(f"a bad row: {SECRET_KEY}")
    telemetry.shutdown()
    (span,) = collector.spans
    assert (span.is_failed, span.facts["error.type"], span.events) == (True, "ValueError", ())
    assert SECRET_KEY.encode() not in collector.everything()


def test_headers_to_the_collector_are_references_to_secrets(
    workspace: Workspace, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_TOKEN", "Bearer of-the-collector")
    workspace.document["telemetry"]["headers"] = {"Authorization": "env:COLLECTOR_TOKEN", "X-Team": "data"}
    run_traced(workspace, "numbers-1x1000")
    assert {headers["authorization"] for headers in collector.headers} == {"Bearer of-the-collector"}
    assert {headers["x-team"] for headers in collector.headers} == {"data"}
    assert b"of-the-collector" not in collector.everything()


def test_a_collector_that_is_away_costs_no_run(workspace: Workspace) -> None:
    workspace.document["telemetry"] = {"endpoint": "http://127.0.0.1:9", "timeout_s": 0.2}
    run_traced(workspace, "numbers-1x1000")
    assert workspace.rows("numbers-1x1000") == 1000


def test_only_the_chosen_signals_are_sent(workspace: Workspace, collector: Collector) -> None:
    workspace.document["telemetry"]["signals"] = ["metrics"]
    run_traced(workspace, "numbers-1x1000")
    assert (collector.spans, collector.log_lines) == ([], [])
    assert "ingest.rows.read" in collector.points


def test_a_trace_that_is_not_sampled_is_not_sent(workspace: Workspace, collector: Collector) -> None:
    workspace.document["telemetry"]["sample"] = 0.0
    run_traced(workspace, "numbers-1x1000")
    assert collector.spans == []


OFF = """
import sys
from ingest_ray.cli.main import run_command
code = run_command(["run", "shop", "numbers-1x1000", "--config", sys.argv[1]])
print(code, sorted(name for name in sys.modules if name.split(".")[0] == "opentelemetry" or name.startswith("ingest_ray.telemetry.")))
"""


def command(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_nothing_is_imported_where_telemetry_is_off(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.apply()
    collect(workspace.installation, "shop")
    assert command("-c", OFF, str(workspace.file)).splitlines()[-1] == "0 []"


@pytest.mark.slow
def test_a_command_continues_the_trace_of_its_environment(workspace: Workspace, collector: Collector) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    given = ("-m", "ingest_ray.cli", "run", "shop", "numbers-1x1000", "--config", str(workspace.file), "--json")
    assert json.loads(command(*given, TRACEPARENT=parent))["state"] == "SUCCEEDED"
    of_command = collector.await_span("ingest-ray run")
    assert (of_command.trace_id, of_command.parent_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert {span.trace_id for span in collector.spans} == {of_command.trace_id}


def test_settings_with_a_plain_secret_are_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.document["telemetry"] = {"endpoint": "http://127.0.0.1:4318", "headers": {"api-key": "abc"}}
    with pytest.raises(Exception, match="'api-key' is a secret"):
        apply(load_config(workspace.write()))
