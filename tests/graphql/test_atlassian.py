"""Jira and Confluence by GraphQL alone: filters from the catalog, a run that applies one, a common data model in a database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.graphql.client import Client
from tests.graphql.test_whole_story import ended, until
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

CONFIGURE = "mutation($input: IngestionUnitConfigInput!) { configureIngestionUnit(input: $input) { mode sinkId sinkEndpointId jiraFilter { projectKeys statuses updatedFrom } confluenceFilter { spaceKeys } lastStatus { state } } }"
REGISTER = "mutation($input: EndpointInput!) { registerEndpoint(input: $input) { id detectedVersion isSink } }"


@pytest.fixture
def jira() -> Iterator[Simulation]:
    with simulate("jira", issues=60, projects=3) as simulation:
        yield simulation


@pytest.fixture
def confluence() -> Iterator[Simulation]:
    with simulate("confluence", pages=30, spaces=3) as simulation:
        yield simulation


def register(client: Client, name: str, template: str, **parameters: Any) -> None:
    draft = {"name": name, "verb": "READ", "config": {"templateId": template, "parameters": parameters}}
    assert client.ask(REGISTER, {"input": draft})["registerEndpoint"]["id"] == name


def collect(client: Client, endpoint: str) -> None:
    run = client.ask(f'mutation {{ triggerEndpointCollection(endpointId: "{endpoint}") {{ id }} }}')
    query = f'{{ metadataCollectionRuns(filter: {{collectionId: "{run["triggerEndpointCollection"]["id"]}"}}) {{ status error }} }}'
    found = until(lambda: client.ask(query), lambda found: found["metadataCollectionRuns"][0]["status"] != "RUNNING")
    assert found["metadataCollectionRuns"][0]["status"] == "SUCCEEDED", found


def run(client: Client, endpoint: str, unit: str) -> Any:
    start = "mutation($e: ID!, $u: ID!) { startIngestion(endpointId: $e, unitId: $u) { runId } }"
    return ended(client, client.ask(start, {"e": endpoint, "u": unit})["startIngestion"]["runId"])


def test_a_jira_filter_is_chosen_from_the_catalog_and_obeyed(
    client: Client, workspace: Workspace, jira: Simulation
) -> None:
    register(client, "tracker", "jira.http", base_url=jira.url, username=jira.user, api_token=jira.token)
    collect(client, "tracker")
    options = client.ask(
        '{ jiraIngestionFilterOptions(endpointId: "tracker") { projects { key name } users { accountId displayName email } statuses { id name category } } }'
    )["jiraIngestionFilterOptions"]
    assert len(options["projects"]) == 3
    assert options["users"]
    assert options["statuses"]
    key = options["projects"][0]["key"]
    change = {
        "endpointId": "tracker",
        "unitId": "jira.issues",
        "enabled": True,
        "runMode": "INCREMENTAL",
        "sinkId": "lake",
        "jiraFilter": {"projectKeys": [key]},
    }
    made = client.ask(CONFIGURE, {"input": change})["configureIngestionUnit"]
    assert made["jiraFilter"] == {"projectKeys": [key], "statuses": None, "updatedFrom": None}
    assert (
        client.refused(CONFIGURE, {"input": change | {"jiraFilter": None, "confluenceFilter": {"spaceKeys": ["A"]}}})[0]
        == "E_INGESTION_FILTER_UNSUPPORTED"
    )
    done = run(client, "tracker", "jira.issues")
    assert done["state"] == "SUCCEEDED"
    query = "query($id: ID!) { ingestionRunProgress(id: $id) { throttles { host requests refusals rate } } }"
    throttles = client.ask(query, {"id": done["id"]})["ingestionRunProgress"]["throttles"]
    assert throttles  # also those of other sites that this process has asked
    query = '{ ingestionSegments(endpointId: "tracker", unitId: "jira.issues") { edges { node { segment } } } }'
    assert [edge["node"]["segment"] for edge in client.ask(query)["ingestionSegments"]["edges"]] == [key]
    assert 0 < workspace.rows("jira.issues", "tracker") < 60


def test_issues_become_work_items_in_a_database_that_was_provisioned_for_them(
    client: Client, workspace: Workspace, jira: Simulation
) -> None:
    register(client, "tracker", "jira.http", base_url=jira.url, username=jira.user, api_token=jira.token)
    register(client, "models", "cdm.jdbc", url=f"sqlite:///{workspace.folder}/models.db")
    collect(client, "tracker")
    sinks = {one["id"]: one for one in client.ask("{ ingestionSinks { id supportedCdmModels } }")["ingestionSinks"]}
    assert (
        "cdm.work.*" in sinks["models"]["supportedCdmModels"]
        or "cdm.work.item" in sinks["models"]["supportedCdmModels"]
    )
    units = client.ask('{ ingestionUnits(endpointId: "tracker") { unitId cdmModelId } }')["ingestionUnits"]
    assert {one["unitId"]: one["cdmModelId"] for one in units}["jira.issues"] == "cdm.work.item"

    change = {
        "endpointId": "tracker",
        "unitId": "jira.issues",
        "enabled": True,
        "mode": "cdm",
        "runMode": "INCREMENTAL",
    }
    assert client.refused(CONFIGURE, {"input": change | {"sinkId": "lake"}})[0] == "E_CDM_SINK_ENDPOINT_REQUIRED"
    assert (
        client.refused(CONFIGURE, {"input": change | {"sinkEndpointId": "models"}})[0]
        == "E_CDM_SINK_ENDPOINT_UNSUPPORTED"
    )
    provision = 'mutation { provisionCdmSink(input: {sinkEndpointId: "models", cdmModelId: "cdm.work.item"}) { ok datasetId schema tableName } }'
    for _ in range(2):  # again changes nothing
        made = client.ask(provision)["provisionCdmSink"]
        assert (made["ok"], made["tableName"]) == (True, "cdm_work_item")
    published = client.ask(f'{{ metadataDataset(id: "{made["datasetId"]}") {{ labels }} }}')["metadataDataset"]
    assert published["labels"] == ["sink-endpoint:models", "cdm_model:cdm.work.item"]
    configured = client.ask(CONFIGURE, {"input": change | {"sinkEndpointId": "models"}})["configureIngestionUnit"]
    assert (configured["mode"], configured["sinkId"], configured["sinkEndpointId"]) == ("cdm", "models", "models")
    assert run(client, "tracker", "jira.issues")["state"] == "SUCCEEDED"
    with closing(sqlite3.connect(workspace.folder / "models.db")) as connection:
        assert connection.execute("SELECT count(*) FROM cdm_work_item").fetchone() == (60,)


def test_confluence_spaces_are_options(client: Client, confluence: Simulation) -> None:
    register(
        client,
        "wiki",
        "http.confluence",
        base_url=confluence.url,
        username=confluence.user,
        api_token=confluence.token,
    )
    collect(client, "wiki")
    query = '{ confluenceIngestionFilterOptions(endpointId: "wiki") { spaces { key name } } }'
    spaces = client.ask(query)["confluenceIngestionFilterOptions"]["spaces"]
    assert len(spaces) >= 3
    assert all(space["key"] for space in spaces)
