"""OpenLineage events of real runs: in order, with datasets, columns and counts; off by default; never the end of a run."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from deltalake import DeltaTable
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.lineage.emission import lineage_run_id
from ingest_ray.service.runs.execution import run
from ingest_ray.service.runs.verification import verify
from tests.monitoring.receiver import receiving
from tests.monitoring.serving import await_true
from tests.service.workspace import Workspace

SPEC = Path(__file__).parent / "openlineage"
UNIT = "numbers-1x3"


def ready(workspace: Workspace, **more: Any) -> Workspace:
    workspace.source["units"] = [UNIT]
    workspace.document["units"][0] |= more
    transport = {"type": "file", "log_file_path": str(workspace.folder / "events"), "append": True}
    workspace.document["lineage"] = {"namespace": "shop-platform", "transport": transport}
    workspace.apply()
    collect(workspace.installation, "shop")
    return workspace


def events(workspace: Workspace) -> list[Any]:
    """All that were sent so far; each is valid by the published schemas."""
    file = workspace.folder / "events"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for event in found:
        check_by_schemas(event)
    return found


def check_by_schemas(event: Any) -> None:
    by_name, registry = published_schemas()
    Draft202012Validator(by_name["OpenLineage.json"], registry=registry).validate(event)
    for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        for group in ("facets", "inputFacets", "outputFacets"):
            for name, facet in part.get(group, {}).items():
                schema = by_name[facet["_schemaURL"].partition("#")[0].rpartition("/")[2]]
                Draft202012Validator(schema, registry=registry).validate({name: facet})


@cache
def published_schemas() -> tuple[dict[str, Any], Any]:
    """By the names of their files, and as a registry of what they refer to."""
    documents = [json.loads(file.read_text()) for file in SPEC.glob("*.json")]
    resources = [(document["$id"], Resource.from_contents(document)) for document in documents]
    registry: Registry[Any] = Registry().with_resources(resources)
    return {document["$id"].rpartition("/")[2]: document for document in documents}, registry


def test_a_wrong_event_is_not_valid_by_the_published_schemas(workspace: Workspace) -> None:
    ready(workspace)
    run(workspace.installation, "shop")
    event = events(workspace)[-1]
    event["inputs"][0]["inputFacets"]["dataQualityMetrics"]["rowCount"] = "three"
    with pytest.raises(ValidationError, match="'three' is not of type 'integer'"):
        check_by_schemas(event)


def test_a_run_sends_its_begin_and_its_end_with_datasets_columns_and_counts(workspace: Workspace) -> None:
    ready(workspace, policy={"mask": {"payload": "redact"}, "rename": {"segment": "part"}})
    report = run(workspace.installation, "shop")
    found = events(workspace)
    assert [event["eventType"] for event in found] == ["START", "RUNNING", "COMPLETE"]
    assert {event["run"]["runId"] for event in found} == {lineage_run_id(report.units[0].run_id)}
    last = found[-1]
    assert (last["job"]["namespace"], last["job"]["name"]) == ("shop-platform", f"shop:{UNIT}")
    (source,), (target,) = last["inputs"], last["outputs"]
    assert [field["name"] for field in source["facets"]["schema"]["fields"]] == ["id", "segment", "at", "payload"]
    assert source["inputFacets"]["dataQualityMetrics"]["rowCount"] == 3
    assert source["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"] is True
    assert target["outputFacets"]["outputStatistics"]["rowCount"] == 3
    lineage = target["facets"]["columnLineage"]["fields"]
    assert lineage["part"]["inputFields"][0]["field"] == "segment"
    assert lineage["payload"]["inputFields"][0]["transformations"][0]["masking"] is True
    assert target["namespace"] == "file"


def test_failures_and_rejected_rows_are_told_without_values(workspace: Workspace) -> None:
    workspace.source |= {"bad": [1], "bad_at": "soon-ada@example.org"}
    ready(workspace)
    run(workspace.installation, "shop")
    assert (
        events(workspace)[-1]["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"] is False
    )
    workspace.source["faults"] = {"describe": ["denied"]}
    workspace.apply()
    run(workspace.installation, "shop")
    last = events(workspace)[-1]
    assert last["eventType"] == "FAIL"
    assert last["run"]["facets"]["errorMessage"]["message"].startswith("E_SOURCE_DENIED")
    assert "ada@example.org" not in (workspace.folder / "events").read_text()


def test_expressions_of_models_tell_the_columns_that_they_name() -> None:
    from ingest_ray.cdm.expressions import columns_of_expression

    known = ["id", "Title", "at", "payload"]
    assert columns_of_expression("upper(title) || CASE WHEN id > 3 THEN 'at' END", known) == ["id", "Title"]
    assert columns_of_expression("'constant'", known) == []


def test_a_receiver_that_is_away_or_a_wrong_transport_fails_no_run(workspace: Workspace) -> None:
    ready(workspace)
    workspace.document["lineage"]["transport"] = {"type": "http", "url": "http://127.0.0.1:9", "retry": {"total": 0}}
    workspace.apply()
    assert run(workspace.installation, "shop").state is RunState.SUCCEEDED
    workspace.document["lineage"]["transport"] = {"type": "no-such-transport"}
    workspace.apply()
    assert run(workspace.installation, "shop").state is RunState.SUCCEEDED


def test_http_gets_the_events_with_the_key_that_a_reference_names(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAGE_KEY", "k-12345678")
    with receiving() as receiver:
        ready(workspace)
        auth = {"type": "api_key", "apiKey": "env:LINEAGE_KEY"}
        url = receiver.url.removesuffix("/hook")
        workspace.document["lineage"]["transport"] = {"type": "http", "url": url, "auth": auth}
        workspace.apply()
        run(workspace.installation, "shop")
        assert [event["eventType"] for event in receiver.messages] == ["START", "RUNNING", "COMPLETE"]
        assert {headers["authorization"] for headers, _ in receiver.taken} == {"Bearer k-12345678"}
    workspace.document["lineage"]["transport"]["auth"]["apiKey"] = "plain"
    with pytest.raises(ConfigError, match="give a reference"):
        load_config(workspace.write())


def test_a_comparison_tells_what_it_found_as_assertions_about_the_sink(workspace: Workspace) -> None:
    with closing(sqlite3.connect(workspace.folder / "shop.db")) as connection, connection:
        connection.execute("create table people (id integer primary key, name text)")
        connection.executemany("insert into people values (?, 'x')", [(1,), (2,), (3,)])
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": "shop.db"}}]
    ready(workspace, policy={"write": "upsert"})
    run(workspace.installation, "shop")
    assert verify(workspace.installation, "shop").state is RunState.SUCCEEDED
    DeltaTable(workspace.folder / "lake" / "shop" / "people").delete("id = 1")
    assert verify(workspace.installation, "shop").state is RunState.FAILED
    compared = [event for event in events(workspace) if event["job"]["name"] == "shop:people/verify"]
    assert [event["eventType"] for event in compared] == ["START", "COMPLETE", "START", "FAIL"]
    for event, missing, rows in ((compared[1], False, 3), (compared[3], True, 2)):
        source, sink = event["inputs"]
        assert (source["namespace"], sink["namespace"]) == ("ingest-ray://shop", "file")
        assert sink["inputFacets"]["dataQualityMetrics"]["rowCount"] == rows
        held = {
            found["assertion"]: found["success"] for found in sink["inputFacets"]["dataQualityAssertions"]["assertions"]
        }
        assert held.pop("every row of the source is in the sink") is not missing
        assert set(held.values()) == {True}
    assert compared[3]["run"]["facets"]["errorMessage"]["message"].startswith("E_ROWS_DIFFER")


def test_kafka_gets_the_events_of_a_run_in_order(workspace: Workspace) -> None:
    """The broker is the one that librdkafka brings for tests: https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_mock.h."""
    broker = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (found,) = broker.list_topics(timeout=30).brokers.values()
    address = f"{found.host}:{found.port}"
    ready(workspace)
    transport = {"type": "kafka", "topic": "lineage", "config": {"bootstrap.servers": address, "log_level": 0}}
    workspace.document["lineage"]["transport"] = transport
    workspace.apply()
    run(workspace.installation, "shop")
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe(["lineage"])
    taken: list[Any] = []
    await_true(lambda: len(taken) == 3 or taken.extend(json.loads(one.value()) for one in consumer.consume(3, 1.0)))
    consumer.close()
    assert [event["eventType"] for event in taken] == ["START", "RUNNING", "COMPLETE"]
    assert {event["job"]["name"] for event in taken} == {f"shop:{UNIT}"}


@pytest.mark.slow
def test_without_lineage_the_library_is_not_imported() -> None:
    code = (
        "import sys, ingest_ray.service.runs.execution; print([m for m in sys.modules if m.startswith('openlineage')])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
