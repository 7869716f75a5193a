"""Wrong input and failures give an error with a code, and leave nothing half written."""

from typing import Any

import pytest

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.sdk.errors import StateUnavailable
from ingest_ray.service.access.roles import Role
from tests.graphql.client import Client
from tests.graphql.test_whole_story import UNIT, collected, started
from tests.service.workspace import Workspace

CONFIGURE = "mutation($input: IngestionUnitConfigInput!) { configureIngestionUnit(input: $input) { id version enabled policy scheduleKind scheduleIntervalMinutes sinkId } }"


def configured(client: Client, **change: Any) -> Any:
    return client.ask(CONFIGURE, {"input": {"endpointId": "shop", "unitId": UNIT, **change}})["configureIngestionUnit"]


def refused(client: Client, **change: Any) -> tuple[str, str]:
    code, message = client.refused(CONFIGURE, {"input": {"endpointId": "shop", "unitId": UNIT, **change}})
    return code, message


def test_two_admins_who_change_one_config_at_once(client: Client) -> None:
    collected(client)
    query = '{ ingestionUnitConfigs(endpointId: "shop") { unitId version } }'
    seen = client.ask(query)["ingestionUnitConfigs"][0]["version"]
    assert configured(client, policy={"cursor": "id"}, expectedVersion=seen)["version"] == seen + 1
    code, message = refused(client, enabled=False, expectedVersion=seen)
    assert code == "E_VERSION_CONFLICT"
    assert f"version {seen + 1}, not {seen}" in message
    after = configured(client, expectedVersion=seen + 1)
    assert (after["enabled"], after["policy"]) == (True, {"cursor": "id"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"runMode": "SOMETIMES"}, "E_BAD_INPUT", "runMode"),
        ({"mode": "cooked"}, "E_BAD_INPUT", "mode"),
        ({"sinkId": "nowhere"}, "E_INGESTION_SINK_MISSING", "nowhere"),
        ({"scheduleKind": "SOMETIMES"}, "E_BAD_INPUT", "scheduleKind"),
        ({"scheduleKind": "CRON"}, "E_BAD_INPUT", "scheduleCron"),
        ({"scheduleKind": "CRON", "scheduleCron": "0 25 * * *"}, "E_BAD_INPUT", "scheduleCron"),
        ({"scheduleKind": "CRON", "scheduleCron": "0 3 * * *", "scheduleZone": "Mars"}, "E_BAD_INPUT", "scheduleZone"),
        ({"taskSchedules": [{"task": "reset", "cron": "0 3 * * *"}]}, "E_BAD_INPUT", "taskSchedules[0].task"),
        ({"scheduleKind": "INTERVAL"}, "E_BAD_INPUT", "scheduleIntervalMinutes"),
        ({"scheduleKind": "INTERVAL", "scheduleIntervalMinutes": 0}, "E_BAD_INPUT", "scheduleIntervalMinutes"),
        ({"policy": {"cursor": "nothing"}}, "E_BAD_INPUT", "policy.cursor"),
        ({"policy": {"cursr": "at"}}, "E_BAD_INPUT", "did you mean 'cursor'"),
        ({"policy": ["at"]}, "E_BAD_INPUT", "policy"),
        ({"jiraFilter": {"projectKeys": ["A"]}}, "E_INGESTION_FILTER_UNSUPPORTED", UNIT),
        (
            {"jiraFilter": {"projectKeys": ["A"]}, "confluenceFilter": {"spaceKeys": ["B"]}},
            "E_INGESTION_FILTER_CONFLICT",
            "jiraFilter",
        ),
        ({"unitId": "numbers-9x9"}, "E_INGESTION_UNIT_NOT_FOUND", "numbers-9x9"),
        ({"endpointId": "lake"}, "E_ENDPOINT_NOT_FOUND", "lake"),
        ({"endpointId": "<script>alert(1)</script>"}, "E_ENDPOINT_NOT_FOUND", "script"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_by_field_and_nothing_is_written(
    client: Client, change: dict[str, Any], code: str, word: str
) -> None:
    collected(client)
    query = '{ ingestionUnitConfigs(endpointId: "shop") { unitId version enabled policy scheduleKind } }'
    before = client.ask(query)
    found, message = refused(client, **change)
    assert found == code
    assert word in message + str(change)
    assert client.ask(query) == before


def test_an_interval_is_kept_and_its_next_run_is_known(client: Client) -> None:
    collected(client)
    made = configured(client, scheduleKind="INTERVAL", scheduleIntervalMinutes=60)
    assert (made["scheduleKind"], made["scheduleIntervalMinutes"]) == ("INTERVAL", 60)
    query = '{ ingestionUnitConfigs(endpointId: "shop") { schedule { nextRunAt isHeld heldBy } } }'
    assert client.ask(query)["ingestionUnitConfigs"][0]["schedule"]["nextRunAt"] is not None
    pause = f'mutation {{ pauseIngestion(endpointId: "shop", unitId: "{UNIT}") {{ ok message }} }}'
    assert client.ask(pause)["pauseIngestion"]["ok"] is True
    held = client.ask(query)["ingestionUnitConfigs"][0]["schedule"]
    assert held == {"nextRunAt": None, "isHeld": True, "heldBy": "admin-person"}
    started(client)
    assert client.ask(query)["ingestionUnitConfigs"][0]["schedule"]["isHeld"] is False
    assert configured(client, scheduleKind="MANUAL")["scheduleIntervalMinutes"] is None


def test_pausing_what_does_not_run_says_so(client: Client) -> None:
    collected(client)
    pause = f'mutation {{ pauseIngestion(endpointId: "shop", unitId: "{UNIT}") {{ ok runId message }} }}'
    assert client.ask(pause)["pauseIngestion"] == {"ok": False, "runId": None, "message": "the unit has no live run"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('endpointId: "nothing", unitId: "x"', "E_ENDPOINT_NOT_FOUND"),
        ('endpointId: "shop", unitId: "x"', "E_INGESTION_UNIT_NOT_FOUND"),
        (f'endpointId: "shop", unitId: "{UNIT}", sinkId: "nowhere"', "E_INGESTION_SINK_MISSING"),
        (f'endpointId: "lake", unitId: "{UNIT}"', "E_ENDPOINT_NOT_FOUND"),
    ],
)
def test_what_the_gate_refuses_starts_nothing(client: Client, workspace: Workspace, arguments: str, code: str) -> None:
    collected(client)
    workspace.calls()
    assert client.refused(f"mutation {{ startIngestion({arguments}) {{ ok }} }}")[0] == code
    assert client.ask("{ ingestionRuns { edges { cursor } } }")["ingestionRuns"]["edges"] == []
    assert workspace.calls() == []


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ nothing }",
        "{ endpoints { id ",
        "query($x: Int!) { endpoints(first: $x) { id } }",
        "{ endpoints(first: 0) { id } }",
        "{ endpoints(first: 100000) { id } }",
        '{ endpoints(first: "many") { id } }',
        "{ endpoints { datasets { sourceEndpoint { datasets { sourceEndpoint { datasets { sourceEndpoint { datasets { sourceEndpoint { datasets { id } } } } } } } } } } }",
        "{ endpoints(first: 1000) { datasets(limit: 1000) { fields { name type } } } }",
        "{ " + " ".join(f"a{n}: endpoints {{ id }}" for n in range(100)) + " }",
        "{ " + "endpoints { id } " * 3000 + " }",
        "fragment A on Query { ...B } fragment B on Query { ...A } { ...A }",
        '{ metadataCollectionRuns(filter: {from: "2026-01-01T00:00:00"}) { id } }',
        '{ metadataCollectionRuns(filter: {to: "0001-01-01T00:00:00+14:00"}) { id } }',
    ],
    ids=lambda text: text[:40],
)
def test_malformed_deep_and_dear_queries_are_refused(client: Client, query: str) -> None:
    answer = client.post(query)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        errors = answer.json()["errors"]
        assert {error["extensions"]["code"] for error in errors} == {"E_BAD_INPUT"}


def test_a_huge_body_is_refused_by_its_header_and_by_its_bytes(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.tokens[Role.ADMIN]}", "Content-Type": "application/json"}
    answer = client.http.post("/graphql", content=b"x" * (1024 * 1024 + 1), headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "E_PAYLOAD_TOO_LARGE")
    streamed = client.http.post("/graphql", content=(b"x" * 65536 for _ in range(20)), headers=headers)
    assert streamed.status_code == 413


def test_too_many_requests_wait(workspace: Workspace) -> None:
    client = Client(workspace.installation, requests_per_minute=5)
    with client.http:
        answers = [client.post("{ viewer { name } }") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json()["errors"][0]["extensions"]["code"] == "E_RATE_LIMITED"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_a_name_with_html_in_it_comes_back_as_it_was(client: Client) -> None:
    register = "mutation($input: EndpointInput!) { registerEndpoint(input: $input) { id name } }"
    name = "<img src=x onerror=alert(1)> & co"
    draft = {"name": name, "sourceId": "html", "verb": "READ", "templateId": "testing.scripted", "config": {}}
    assert client.ask(register, {"input": draft})["registerEndpoint"] == {"id": "html", "name": name}


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"templateId": "nothing"}, "E_BAD_INPUT", "templateId"),
        ({"templateId": None}, "E_BAD_INPUT", "templateId"),
        ({"sourceId": "../../etc"}, "E_BAD_INPUT", "sourceId"),
        ({"sourceId": "shop"}, "E_DUPLICATE_SOURCE_ID", "shop"),
        ({"sourceId": "lake"}, "E_DUPLICATE_SOURCE_ID", "lake"),
        ({"config": {"slice_rows": "many"}}, "E_BAD_INPUT", "config.slice_rows"),
        ({"config": {"unknown": 1}}, "E_BAD_INPUT", "config.unknown"),
        ({"config": [1]}, "E_BAD_INPUT", "config"),
        ({"config": {"password": "env:NOT_THERE_AT_ALL"}}, "E_BAD_INPUT", "not permitted"),
        ({"templateId": "jdbc.sqlite", "config": {"url": "sqlite:////nowhere/at/all.db"}}, "E_CONN_TEST_FAILED", "new"),
        ({"templateId": "lake.delta", "config": {"uri": ""}}, "E_BAD_INPUT", "config.uri"),
    ],
)
def test_an_endpoint_that_does_not_fit_is_refused_by_field_and_not_registered(
    client: Client, change: dict[str, Any], code: str, word: str
) -> None:
    register = "mutation($input: EndpointInput!) { registerEndpoint(input: $input) { id } }"
    draft = {"name": "new", "sourceId": "new", "verb": "READ", "templateId": "testing.scripted", "config": {}} | change
    found, message = client.refused(register, {"input": draft})
    assert (found, word in message) == (code, True), message
    with client.installation.catalog.read() as connection:
        assert {entry.endpoint.endpoint_id for entry in endpoints.listed(connection)} == {"shop", "lake"}


def test_the_database_going_away_is_said_and_comes_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    collected(client)

    def gone(*_: object, **__: object) -> None:
        raise StateUnavailable("state at 'postgresql://db/state' does not answer: connection refused")

    assert client.http.get("/readyz").json() == {"ok": True}
    with monkeypatch.context() as patch:
        patch.setattr(unit_configs, "put", gone)
        assert refused(client, enabled=False)[0] == "E_STATE_UNREADABLE"
        patch.setattr(client.installation.catalog, "read", gone)
        answer = client.post("{ endpoints { id } }")
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "E_STATE_UNREADABLE")
        assert client.http.get("/readyz").status_code == 503
        assert client.http.get("/healthz").status_code == 200
    assert configured(client)["enabled"] is True


def test_metrics_tell_runs_units_and_requests(client: Client) -> None:
    collected(client)
    started(client)
    text = client.http.get("/metrics", headers={"Authorization": f"Bearer {client.tokens[Role.VIEWER]}"}).text
    assert 'ingest_runs{endpoint="shop",state="SUCCEEDED"} 1.0' in text
    assert 'ingest_units{enabled="true",endpoint="shop"} 2.0' in text
    assert 'ingest_http_requests_total{method="POST",path="/graphql",status="200"}' in text
    assert "ingest_catalog_up 1.0" in text
