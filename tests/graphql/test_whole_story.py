"""From an empty catalog to a finished run, by GraphQL alone: every field of the contract answers with real data."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, build_schema, get_named_type

from ingest_ray.service.access.roles import Role
from tests.graphql.client import Client
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

CONTRACT = build_schema(Path(__file__).with_name("contract.graphql").read_text())
UNIT = "numbers-1x1000"


def until(ask: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 200
    while not is_so(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def selection(kind: Any, depth: int) -> str:
    """A selection of every field of the contract below a type, to a depth."""
    kind = get_named_type(kind)
    if not isinstance(kind, GraphQLObjectType):
        return ""
    parts = []
    for name, field in kind.fields.items():
        is_object = isinstance(get_named_type(field.type), GraphQLObjectType)
        if not is_object:
            parts.append(name)
        elif depth > 0:
            parts.append(f"{name} {selection(field.type, depth - 1)}")
    return "{ " + " ".join(parts) + " }"


def everything(field: str, arguments: str = "", depth: int = 1) -> str:
    root = CONTRACT.query_type
    assert root is not None
    return f"{{ {field}{arguments} {selection(root.fields[field].type, depth)} }}"


def collected(client: Client) -> None:
    run = client.ask('mutation { triggerEndpointCollection(endpointId: "shop") { id status requestedBy } }')
    assert run["triggerEndpointCollection"]["requestedBy"] == "admin-person"
    until(
        lambda: client.ask('{ metadataCollectionRuns(filter: {endpointId: "shop"}) { status error } }'),
        lambda found: found["metadataCollectionRuns"][0]["status"] == "SUCCEEDED",
    )


def started(client: Client, unit: str = UNIT) -> Any:
    start = 'mutation($unit: ID!) { startIngestion(endpointId: "shop", unitId: $unit) { ok runId state message } }'
    done = client.ask(start, {"unit": unit})["startIngestion"]
    assert (done["ok"], done["state"]) == (True, "RUNNING")
    return ended(client, done["runId"])


def ended(client: Client, run_id: str) -> Any:
    query = "query($id: ID!) { ingestionRun(id: $id) { id state error { code } rows { committed } requestedBy } }"
    return until(lambda: client.ask(query, {"id": run_id})["ingestionRun"], lambda found: found["state"] != "RUNNING")


@pytest.mark.processes
def test_every_query_of_the_contract_answers_after_a_real_run(client: Client, workspace: Workspace) -> None:
    collected(client)
    run = started(client)
    assert (run["state"], run["rows"]["committed"], run["requestedBy"]) == ("SUCCEEDED", 1000.0, "admin-person")
    assert workspace.rows(UNIT) == 1000

    (sink, endpoint) = client.ask(everything("endpoints"), role=Role.VIEWER)["endpoints"]
    assert (endpoint["id"], sink["id"], endpoint["sourceId"]) == ("shop", "lake", "shop")
    assert endpoint["config"]["templateId"] == "testing.scripted"
    assert [found["displayName"] for found in endpoint["datasets"]] == [UNIT, "numbers-2x300"]
    assert endpoint["runs"][0]["status"] == "SUCCEEDED"

    datasets = client.ask(everything("catalogDatasets", '(endpointId: "shop", search: "1X1000")', 2))
    (dataset,) = datasets["catalogDatasets"]
    assert dataset["id"] == f"shop:{UNIT}"
    assert [field["name"] for field in dataset["fields"]] == ["id", "segment", "at", "payload"]
    assert dataset["profile"]["recordCount"] == 1000
    assert dataset["lastCollectionRun"]["status"] == "SUCCEEDED"
    assert dataset["ingestionConfig"]["lastStatus"]["state"] == "SUCCEEDED"

    (first, _) = client.ask(everything("ingestionUnits", '(endpointId: "shop")'))["ingestionUnits"]
    assert (first["unitId"], first["sinkId"], first["supportedModes"]) == (UNIT, "lake", ["FULL", "INCREMENTAL"])
    status = client.ask(everything("ingestionStatus", f'(endpointId: "shop", unitId: "{UNIT}")'))["ingestionStatus"]
    assert (status["state"], status["lastRunId"], status["lastError"]) == ("SUCCEEDED", run["id"], None)
    assert status["stats"]["rows"]["committed"] == 1000
    assert status["checkpoint"]["segments"] == {"0": {"watermark": 1000, "isLoaded": True, "openScopes": 0}}
    states = client.ask(everything("ingestionStatuses", '(endpointId: "shop")'))["ingestionStatuses"]
    assert [(one["unitId"], one["state"]) for one in states] == [(UNIT, "SUCCEEDED"), ("numbers-2x300", "IDLE")]
    (config, _) = client.ask(everything("ingestionUnitConfigs", '(endpointId: "shop")'))["ingestionUnitConfigs"]
    assert (config["enabled"], config["runMode"], config["mode"]) == (True, "INCREMENTAL", "raw")
    assert config["policy"] == {"cursor": "at"}


def test_every_other_query_of_the_contract_answers(client: Client) -> None:
    collected(client)
    templates = client.ask(everything("endpointTemplates"))["endpointTemplates"]
    postgres = next(one for one in templates if one["id"] == "jdbc.postgres")
    assert postgres["family"] == "JDBC"
    assert {field["key"]: field["valueType"] for field in postgres["fields"]}["password"] == "PASSWORD"
    jdbc = client.ask("{ endpointTemplates(family: JDBC) { family } }")["endpointTemplates"]
    assert {one["family"] for one in jdbc} == {"JDBC"}
    found = client.ask(everything("metadataDataset", f'(id: "shop:{UNIT}")', 2))["metadataDataset"]
    assert found["sourceEndpoint"]["id"] == "shop"
    assert client.ask(everything("metadataDataset", '(id: "shop:nothing")'))["metadataDataset"] is None
    assert client.ask(everything("endpoint", '(id: "shop")'))["endpoint"]["name"] == "shop"
    assert client.ask(everything("endpoint", '(id: "nothing")'))["endpoint"] is None
    runs = client.ask(everything("metadataCollectionRuns", "(filter: {status: SUCCEEDED}, limit: 1)"))
    assert runs["metadataCollectionRuns"][0]["endpoint"]["id"] == "shop"
    later = client.ask('{ metadataCollectionRuns(filter: {from: "2999-01-01T00:00:00Z"}) { id } }')
    assert later["metadataCollectionRuns"] == []
    assert client.ask(everything("ingestionSinks"))["ingestionSinks"][0]["id"] == "lake"
    options = client.ask(everything("jiraIngestionFilterOptions", '(endpointId: "shop")'))
    assert options["jiraIngestionFilterOptions"] == {"projects": [], "users": [], "statuses": []}
    options = client.ask(everything("confluenceIngestionFilterOptions", '(endpointId: "shop")'))
    assert options["confluenceIngestionFilterOptions"] == {"spaces": []}


def test_a_preview_shows_rows_of_the_source_and_a_viewer_may_not_see_them(client: Client) -> None:
    collected(client)
    query = f'mutation {{ previewMetadataDataset(id: "shop:{UNIT}", limit: 2) {{ sampledAt rows }} }}'
    rows = client.ask(query)["previewMetadataDataset"]["rows"]
    assert [row["id"] for row in rows] == [0, 1]
    assert client.refused(query, role=Role.VIEWER)[0] == "E_ROLE_FORBIDDEN"


def test_a_plan_is_what_the_next_run_reads(client: Client) -> None:
    collected(client)
    query = f'{{ ingestionPlan(endpointId: "shop", unitId: "{UNIT}", slices: 2) {{ sliceCount slices {{ id lower upper }} estimatedRows certificate {{ column fidelity }} executor }} }}'
    plan = client.ask(query)["ingestionPlan"]
    assert (plan["sliceCount"], len(plan["slices"]), plan["executor"]) == (4, 2, "inline")
    assert plan["slices"][1] == {"id": plan["slices"][1]["id"], "lower": 250, "upper": 500}
    started(client)
    assert client.ask(query)["ingestionPlan"]["sliceCount"] == 0


def test_runs_come_page_by_page_the_newest_first(client: Client) -> None:
    collected(client)
    ids = [started(client)["id"] for _ in range(3)]
    query = 'query($after: String) { ingestionRuns(endpointId: "shop", first: 2, after: $after) { edges { cursor node { id phases { phase seconds } } } pageInfo { hasNextPage endCursor } } }'
    first = client.ask(query)["ingestionRuns"]
    assert [edge["node"]["id"] for edge in first["edges"]] == [ids[2], ids[1]]
    assert first["pageInfo"]["hasNextPage"] is True
    second = client.ask(query, {"after": first["pageInfo"]["endCursor"]})["ingestionRuns"]
    assert [edge["node"]["id"] for edge in second["edges"]] == [ids[0]]
    assert second["pageInfo"]["hasNextPage"] is False


def test_segments_reset_and_watermark(client: Client, workspace: Workspace) -> None:
    unit = "numbers-2x300"
    collected(client)
    workspace.source["changed"] = {"4": 700}
    workspace.apply()
    started(client, unit)
    query = f'{{ ingestionSegments(endpointId: "shop", unitId: "{unit}", first: 1) {{ total edges {{ node {{ segment watermark isLoaded intervals }} }} pageInfo {{ hasNextPage endCursor }} }} }}'
    page = client.ask(query)["ingestionSegments"]
    assert (page["total"], page["pageInfo"]) == (2, {"hasNextPage": True, "endCursor": "0"})
    assert page["edges"][0]["node"] == {"segment": "0", "watermark": 1000, "isLoaded": True, "intervals": []}

    move = f'mutation($to: String) {{ updateIngestionWatermark(endpointId: "shop", unitId: "{unit}", watermark: $to) {{ ok message }} }}'
    assert client.ask(move, {"to": "500"})["updateIngestionWatermark"]["message"] == "set the watermark of 2 segment(s)"
    assert client.ask(query)["ingestionSegments"]["edges"][0]["node"]["watermark"] == 500
    assert started(client, unit)["rows"]["committed"] == 1  # the one that changed at 700
    assert workspace.rows(unit) == 600
    reset = f'mutation {{ resetIngestionCheckpoint(endpointId: "shop", unitId: "{unit}") {{ ok message }} }}'
    assert client.ask(reset)["resetIngestionCheckpoint"] == {"ok": True, "message": "forgot 2 segment(s)"}
    assert started(client, unit)["rows"]["committed"] == 600
    assert client.ask(move, {"to": None})["updateIngestionWatermark"]["message"] == "forgot 2 segment(s)"


def test_a_watermark_that_is_no_value_of_the_cursor_changes_nothing(client: Client) -> None:
    collected(client)
    started(client)
    move = f'mutation {{ updateIngestionWatermark(endpointId: "shop", unitId: "{UNIT}", watermark: "soon") {{ ok }} }}'
    assert client.refused(move)[0] == "E_BAD_INPUT"
    status = client.ask(f'{{ ingestionStatus(endpointId: "shop", unitId: "{UNIT}") {{ checkpoint }} }}')
    assert status["ingestionStatus"]["checkpoint"]["segments"]["0"]["watermark"] == 1000


def test_an_endpoint_is_tested_registered_changed_and_removed(client: Client) -> None:
    register = "mutation($input: EndpointInput!) { registerEndpoint(input: $input) { id name url verb labels detectedVersion config isDeleted } }"
    draft = {
        "name": "Second Shop",
        "verb": "READ",
        "labels": ["team-a"],
        "config": {
            "templateId": "testing.scripted",
            "parameters": {"units": ["numbers-1x10"], "password": "hunter2-xyz"},
        },
    }
    test = "mutation($input: TestEndpointInput!) { testEndpoint(input: $input) { ok diagnostics { code } } }"
    tried = {"templateId": "testing.scripted", "type": "source", "connection": draft["config"]["parameters"]}  # type: ignore[index]
    assert client.ask(test, {"input": tried})["testEndpoint"] == {"ok": True, "diagnostics": []}
    made = client.ask(register, {"input": draft})["registerEndpoint"]
    assert (made["id"], made["labels"], made["detectedVersion"]) == ("second-shop", ["team-a"], "1")
    assert made["config"] == {"templateId": "testing.scripted", "parameters": {"units": ["numbers-1x10"]}}
    assert client.refused(register, {"input": draft})[0] == "E_DUPLICATE_SOURCE_ID"

    change = "mutation($id: ID!, $patch: EndpointPatch!) { updateEndpoint(id: $id, patch: $patch) { name description config } }"
    patch = {"description": "a second one", "config": {"units": ["numbers-1x20"]}}
    changed = client.ask(change, {"id": "second-shop", "patch": patch})["updateEndpoint"]
    assert (changed["name"], changed["description"]) == ("Second Shop", "a second one")
    assert changed["config"]["parameters"] == {"units": ["numbers-1x20"]}

    remove = 'mutation { deleteEndpoint(id: "second-shop", reason: "moved") }'
    assert client.ask(remove)["deleteEndpoint"] is True
    gone = client.ask('{ endpoint(id: "second-shop") { isDeleted deletionReason deletedAt } }')["endpoint"]
    assert (gone["isDeleted"], gone["deletionReason"]) == (True, "moved")
    assert client.refused(remove)[0] == "E_ENDPOINT_NOT_FOUND"


def test_a_sink_that_units_write_to_and_a_source_with_enabled_units_cannot_be_removed(client: Client) -> None:
    collected(client)
    for endpoint in ("lake", "shop"):
        code, message = client.refused(f'mutation {{ deleteEndpoint(id: "{endpoint}") }}')
        assert (code, endpoint in message) == ("E_ENDPOINT_IN_USE", True)


def test_a_collection_of_some_datasets_marks_nothing_as_gone(client: Client, workspace: Workspace) -> None:
    collected(client)
    workspace.source["units"] = [UNIT]
    workspace.apply()
    start = (
        'mutation { triggerEndpointCollection(endpointId: "shop", filters: {datasets: ["numbers-1*"]}) { id filters } }'
    )
    run = client.ask(start)["triggerEndpointCollection"]
    assert run["filters"] == {"datasets": ["numbers-1*"]}
    query = f'{{ metadataCollectionRuns(filter: {{collectionId: "{run["id"]}"}}) {{ status }} }}'
    until(lambda: client.ask(query), lambda found: found["metadataCollectionRuns"][0]["status"] == "SUCCEEDED")
    assert len(client.ask('{ catalogDatasets(endpointId: "shop") { id } }')["catalogDatasets"]) == 2
