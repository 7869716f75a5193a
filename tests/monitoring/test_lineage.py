"""OpenLineage events of real runs: in order, with datasets, columns and counts; off by default; never the end of a run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.lineage.emission import lineage_run_id
from ingest_ray.service.runs.execution import run
from tests.monitoring.receiver import receiving
from tests.service.workspace import Workspace

SPEC = Path(__file__).parents[3] / "shared" / "specs" / "openlineage"
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
    file = workspace.folder / "events"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


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


def test_the_events_are_valid_by_the_published_schemas(workspace: Workspace) -> None:
    if not SPEC.exists():
        pytest.skip("the schemas of OpenLineage are not beside this checkout, in shared/specs/openlineage")
    ready(workspace)
    run(workspace.installation, "shop")
    documents = [json.loads(file.read_text()) for file in SPEC.rglob("*.json")]
    registry: Registry[Any] = Registry().with_resources(
        [(document["$id"], Resource.from_contents(document)) for document in documents if "$id" in document]
    )
    by_name = {document["$id"].rpartition("/")[2]: document for document in documents if "$id" in document}
    whole = Draft202012Validator(by_name["OpenLineage.json"], registry=registry)
    for event in events(workspace):
        whole.validate(event)
        parts = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
        for part in parts:
            for group in ("facets", "inputFacets", "outputFacets"):
                for name, facet in part.get(group, {}).items():
                    schema = by_name[facet["_schemaURL"].partition("#")[0].rpartition("/")[2]]
                    Draft202012Validator(schema, registry=registry).validate({name: facet})


def test_without_lineage_the_library_is_not_imported() -> None:
    code = (
        "import sys, ingest_ray.service.runs.execution; print([m for m in sys.modules if m.startswith('openlineage')])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
