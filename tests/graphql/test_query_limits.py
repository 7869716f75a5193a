"""A query that asks too much is refused at once, whatever its form; a body that is no query is the client's mistake."""

import time
from typing import Any

import pytest

from ingest_ray.service.access.roles import Role
from tests.graphql.client import Client


def fragments(count: int) -> str:
    """Each one spreads the next twice: expanded, the last stands there 2**count times."""
    parts = [f"fragment F{number} on Query {{ ...F{number + 1} ...F{number + 1} }}" for number in range(count)]
    return " ".join(["{ ...F0 }", *parts, f"fragment F{count} on Query {{ viewer {{ name }} }}"])


def nested_aliases(count: int) -> str:
    parts = [f"fragment A{number} on Query {{ ...A{number + 1} ...A{number + 1} }}" for number in range(count)]
    return " ".join(["{ ...A0 }", *parts, f"fragment A{count} on Query {{ x: viewer {{ name }} }}"])


@pytest.mark.parametrize(
    "query",
    [
        fragments(60),
        nested_aliases(60),
        "{ viewer { " + "name " * 1_500 + "} }",
        "{" + " ".join(f"a{number}: viewer {{ name }}" for number in range(60)) + "}",
        "query($n: Int = 1000000) { endpoints(first: $n) { edges { node { id } } } }",
        "{ viewer " + "{ name " * 900 + "}" * 900 + "}",
    ],
    ids=["fragments", "aliases in fragments", "the same field", "aliases", "a default", "depth"],
)
def test_a_query_of_a_viewer_that_asks_too_much_is_refused_at_once(client: Client, query: str) -> None:
    began = time.process_time()
    answer = client.post(query, role=Role.VIEWER)
    assert time.process_time() - began < 30  # the fragments would take longer than the age of the universe
    codes = {error["extensions"]["code"] for error in answer.json()["errors"]}
    assert codes == {"E_BAD_INPUT"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "{ viewer { name } }\xff"}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"query": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"query": "' + b"{" * 50_000 + b'"}',
        b'{"query": 7}',
        b"null",
        b"[]",
        b'{"query": "{ viewer { name } }", "variables": [1]}',
        b'{"query": "{ viewer { name } }", "operationName": 5}',
        b"",
    ],
    ids=range(11),
)
def test_a_body_that_is_no_query_is_the_clients_mistake(client: Client, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {client.tokens[Role.VIEWER]}", "Content-Type": "application/json"}
    answer: Any = client.http.post("/graphql", content=body, headers=headers)
    assert answer.status_code in (200, 400)
    assert all("code" in error["extensions"] for error in answer.json()["errors"])
    assert {error["extensions"]["code"] for error in answer.json()["errors"]} == {"E_BAD_INPUT"}


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "multipart/mixed;subscriptionSpec=1.0"])
def test_a_subscription_over_http_is_the_clients_mistake(client: Client, accept: str) -> None:
    query = 'subscription { ingestionRunProgress(id: "any") { state } }'
    headers = {"Authorization": f"Bearer {client.tokens[Role.VIEWER]}", "Accept": accept}
    answer: Any = client.http.post("/graphql", json={"query": query}, headers=headers)
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["E_BAD_INPUT"]
    assert "WebSocket" in answer.json()["errors"][0]["message"]


def test_the_tools_of_developers_still_read_the_schema(client: Client) -> None:
    from graphql import get_introspection_query

    assert client.ask(get_introspection_query(), role=Role.VIEWER)["__schema"]["queryType"]["name"] == "Query"
