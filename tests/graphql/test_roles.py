"""Roles and the endpoints that an access is for: in every query, mutation, subscription, page and list."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ingest_ray.catalog import incidents
from ingest_ray.catalog.incidents import Incident
from ingest_ray.service import launching
from ingest_ray.service.access.roles import LOCAL, Principal, Role
from ingest_ray.service.access.tokens import create_token
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.history import view_run
from tests.graphql.client import Client
from tests.graphql.conftest import new_workspace
from tests.graphql.test_who_may import MUTATIONS, Provider, bearer, code_of
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"
OPERATORS_MAY = ("startIngestion", "startIngestionUnits", "pauseIngestion")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda text: text.partition("(")[0])
def test_an_operator_starts_pauses_and_plans_and_changes_nothing_else(client: Client, mutation: str) -> None:
    name = mutation.partition("(")[0]
    code = client.refused(f"mutation {{ {mutation} }}", role=Role.OPERATOR)[0]
    assert (code != "E_ROLE_FORBIDDEN") is (name in OPERATORS_MAY)


def test_an_operator_plans_and_a_viewer_does_not(client: Client) -> None:
    collect(client.installation, "shop")
    plan = f'{{ ingestionPlan(endpointId: "shop", unitId: "{UNIT}") {{ slices {{ id }} }} }}'
    assert client.ask(plan, role=Role.OPERATOR)["ingestionPlan"]["slices"]
    assert client.refused(plan, role=Role.VIEWER)[0] == "E_ROLE_FORBIDDEN"


def test_an_operator_cannot_send_rows_to_another_sink(client: Client, workspace: Workspace) -> None:
    workspace.document["sinks"].append({"id": "other", "template": "lake.delta", "config": {"uri": "./other"}})
    workspace.apply()
    collect(client.installation, "shop")
    elsewhere = f'mutation {{ startIngestion(endpointId: "shop", unitId: "{UNIT}", sinkId: "other") {{ ok }} }}'
    assert client.refused(elsewhere, role=Role.OPERATOR)[0] == "E_ROLE_FORBIDDEN"
    start = f'mutation {{ startIngestion(endpointId: "shop", unitId: "{UNIT}", sinkId: "lake") {{ ok }} }}'
    assert client.ask(start, role=Role.OPERATOR)["startIngestion"]["ok"]


def fill(client: Client, workspace: Workspace) -> str:
    """Two endpoints with datasets, units and runs; returns a token of an admin who is for the second one only."""
    second = {"units": ["numbers-1x10"], "journal": str(workspace.folder / "second")}
    workspace.document["endpoints"].append({"id": "team-crm", "template": "testing.scripted", "config": second})
    workspace.document["units"].append(workspace.document["units"][0] | {"endpoint": "team-crm"})
    workspace.apply()
    for endpoint, unit in (("shop", UNIT), ("team-crm", "numbers-1x10")):
        collect(client.installation, endpoint)
        run = f'mutation {{ startIngestion(endpointId: "{endpoint}", unitId: "{unit}") {{ runId }} }}'
        run_id = client.ask(run)["startIngestion"]["runId"]
        while client.ask(f'{{ ingestionRun(id: "{run_id}") {{ state }} }}')["ingestionRun"]["state"] == "RUNNING":
            time.sleep(0.02)
    workspace.calls()
    return create_token(client.installation, "crm", Role.ADMIN, endpoints=["team-*"]).token


@pytest.fixture
def two(client: Client, workspace: Workspace) -> tuple[Client, str]:
    return client, fill(client, workspace)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, str, Workspace]]:
    """For all tests whose requests are refused: nothing is changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(launching.MODULES, "in-process", "tests.service.threads")
        workspace = new_workspace(tmp_path_factory.mktemp("refusing"), patch)
        client = Client(workspace.installation)
        with client.http:
            yield client, fill(client, workspace), workspace


def run_of(client: Client, endpoint: str) -> str:
    query = f'{{ ingestionRuns(endpointId: "{endpoint}") {{ edges {{ node {{ id }} }} }} }}'
    return str(client.ask(query)["ingestionRuns"]["edges"][0]["node"]["id"])


OF_SHOP = [
    '{ endpoint(id: "shop") { id } }',
    '{ catalogDatasets(endpointId: "shop") { id } }',
    f'{{ metadataDataset(id: "shop:{UNIT}") {{ id }} }}',
    '{ metadataCollectionRuns(filter: {endpointId: "shop"}) { id } }',
    '{ ingestionUnits(endpointId: "shop") { unitId } }',
    '{ ingestionStatuses(endpointId: "shop") { unitId } }',
    f'{{ ingestionStatus(endpointId: "shop", unitId: "{UNIT}") {{ unitId }} }}',
    '{ ingestionUnitConfigs(endpointId: "shop") { id } }',
    '{ jiraIngestionFilterOptions(endpointId: "shop") { projects { key } } }',
    '{ confluenceIngestionFilterOptions(endpointId: "shop") { spaces { key } } }',
    '{ ingestionRuns(endpointId: "shop") { edges { node { id } } } }',
    f'{{ ingestionSegments(endpointId: "shop", unitId: "{UNIT}") {{ total }} }}',
    '{ ingestionQuarantine(endpointId: "shop") { __typename } }',
    f'{{ ingestionPlan(endpointId: "shop", unitId: "{UNIT}") {{ slices {{ id }} }} }}',
    '{ auditLog(endpointId: "shop") { id } }',
]
LISTS = {
    "endpoints": "{ endpoints { id } }",
    "catalogDatasets": "{ catalogDatasets { id } }",
    "metadataCollectionRuns": "{ metadataCollectionRuns { endpointId } }",
    "ingestionSinks": "{ ingestionSinks { id } }",
    "ingestionRuns": "{ ingestionRuns { edges { node { endpointId } } } }",
    "auditLog": "{ auditLog { endpointId } }",
    "ingestionIncidents": "{ ingestionIncidents { endpointId } }",
}
OF_NO_ENDPOINT = {"viewer", "endpointTemplates"}
BY_RUN = {"ingestionRun", "ingestionRunProgress"}


@pytest.mark.parametrize("query", OF_SHOP, ids=lambda text: text[2:].partition("(")[0])
def test_a_query_about_another_endpoint_is_refused(refusing: tuple[Client, str, Workspace], query: str) -> None:
    client, token, _ = refusing
    assert code_of(bearer(client, token, query)) == "E_ROLE_FORBIDDEN"
    unknown = bearer(client, token, query.replace("shop", "nothing"))
    assert code_of(unknown) == "E_ROLE_FORBIDDEN"  # nobody learns whether an endpoint exists


def test_lists_have_only_the_endpoints_of_the_token(two: tuple[Client, str]) -> None:
    client, token = two
    with client.installation.catalog.begin() as connection:
        for endpoint_id in ("shop", "team-crm", ""):
            ids = {"endpoint_id": endpoint_id, "subject": "x", "incident_id": endpoint_id}
            incidents.put(connection, Incident(condition="late", opened_at="2026-01-01T00:00:00+00:00", **ids))
    for name, query in LISTS.items():
        answer = bearer(client, token, query).json()
        assert "errors" not in answer, answer
        text = str(answer["data"])
        assert ("shop" in text, "lake" in text) == (False, False), name
        assert ("team-crm" in text) is (name not in ("ingestionSinks",)), name


def test_runs_of_another_endpoint_do_not_exist_for_the_token(two: tuple[Client, str]) -> None:
    client, token = two
    other, own = run_of(client, "shop"), run_of(client, "team-crm")
    for field in BY_RUN:
        answer = bearer(client, token, f'{{ {field}(id: "{other}") {{ state }} }}').json()
        assert answer["errors"][0]["message"] == f"there is no run '{other}'"
        assert "errors" not in bearer(client, token, f'{{ {field}(id: "{own}") {{ state }} }}').json()
    with client.http.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        socket.receive_json()
        query = f'subscription {{ ingestionRunProgress(id: "{other}") {{ state }} }}'
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        assert socket.receive_json()["payload"]["errors"][0]["message"] == f"there is no run '{other}'"


def test_every_query_is_covered_by_these_tests(client: Client) -> None:
    found = client.ask("{ __schema { queryType { fields { name } } } }")["__schema"]["queryType"]["fields"]
    covered = {query[2:].partition("(")[0] for query in OF_SHOP} | set(LISTS) | OF_NO_ENDPOINT | BY_RUN
    assert {field["name"] for field in found} == covered


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda text: text.partition("(")[0])
def test_a_mutation_on_another_endpoint_is_refused(refusing: tuple[Client, str, Workspace], mutation: str) -> None:
    client, token, workspace = refusing
    name = mutation.partition("(")[0]
    if name == "testEndpoint":  # it is about no registered endpoint
        return
    answer = bearer(client, token, f"mutation {{ {mutation} }}")
    assert code_of(answer) == "E_ROLE_FORBIDDEN"
    assert workspace.calls() == []


def test_a_mutation_on_its_own_endpoint_is_done(two: tuple[Client, str]) -> None:
    client, token = two
    rename = 'mutation { updateEndpoint(id: "team-crm", patch: {name: "CRM"}) { name } }'
    assert bearer(client, token, rename).json()["data"]["updateEndpoint"]["name"] == "CRM"
    sink = 'mutation { configureIngestionUnit(input: {endpointId: "team-crm", unitId: "numbers-1x10", sinkId: "%s"}) { id } }'
    assert code_of(bearer(client, token, sink % "other")) == "E_ROLE_FORBIDDEN"
    assert "errors" not in bearer(client, token, sink % "lake").json()  # the configured one
    new = 'mutation { registerEndpoint(input: {name: "x", sourceId: "%s", verb: "READ", templateId: "testing.scripted"}) { id } }'
    assert code_of(bearer(client, token, new % "new")) == "E_ROLE_FORBIDDEN"
    assert bearer(client, token, new % "team-new").json()["data"]["registerEndpoint"]["id"] == "team-new"


def test_hints_and_metrics_name_no_other_endpoint(two: tuple[Client, str]) -> None:
    client, token = two
    answer = bearer(client, token, '{ ingestionUnits(endpointId: "team-nothing") { unitId } }')
    assert code_of(answer) == "E_ENDPOINT_NOT_FOUND"
    assert "shop" not in answer.text
    metrics = client.http.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert (metrics.status_code, "shop" in metrics.text) == (403, False)


def test_the_viewer_query_says_what_an_access_is_for(two: tuple[Client, str]) -> None:
    client, token = two
    me = "{ viewer { role endpoints } }"
    assert bearer(client, token, me).json()["data"]["viewer"] == {"role": "ADMIN", "endpoints": ["team-*"]}
    assert client.ask(me, role=Role.OPERATOR)["viewer"] == {"role": "OPERATOR", "endpoints": None}


def test_claims_of_an_identity_provider_name_role_and_endpoints(two: tuple[Client, str], workspace: Workspace) -> None:
    provider = Provider()
    try:
        settings = provider.settings.model_copy(update={"operators": ("ops",), "endpoints_claim": "ingest_endpoints"})
        client = Client(workspace.installation, oidc=settings)
        with client.http:
            token = provider.token(roles=["ops", "everybody"], ingest_endpoints=["team-crm"])
            me = bearer(client, token, "{ viewer { role endpoints } }").json()["data"]["viewer"]
            assert me == {"role": "OPERATOR", "endpoints": ["team-crm"]}
            assert code_of(bearer(client, token, OF_SHOP[4])) == "E_ROLE_FORBIDDEN"
            without = provider.token(roles=["data-admins"])
            assert bearer(client, without, "{ endpoints { id } }").json()["data"]["endpoints"] == []
            everything = provider.token(roles=["data-admins"], ingest_endpoints="*")
            assert len(bearer(client, everything, "{ endpoints { id } }").json()["data"]["endpoints"]) == 3
    finally:
        provider.close()


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        (None, True),
        ((), False),
        (("shop",), True),
        (("sho",), False),
        (("s*",), True),
        (("SHOP",), False),
        (("*",), True),
    ],
)
def test_patterns_of_endpoints(endpoints: Any, expected: bool) -> None:
    assert Principal(name="x", role=Role.VIEWER, endpoints=endpoints).is_for("shop") is expected


def test_a_page_shows_no_run_of_another_endpoint(two: tuple[Client, str]) -> None:
    client, _ = two
    run_id = run_of(client, "shop")
    assert view_run(client.installation, run_id, LOCAL).summary.endpoint_id == "shop"
    with pytest.raises(Exception, match="there is no run"):
        view_run(client.installation, run_id, Principal(name="x", role=Role.ADMIN, endpoints=("team-*",)))
