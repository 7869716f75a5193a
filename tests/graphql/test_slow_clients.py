"""Requests that never end, and many of them: the server closes them in time, and answers others meanwhile."""

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from ingest_ray.server.app import build_app
from ingest_ray.server.deadlines import protocol_with_deadline
from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token
from tests.graphql.client import Client
from tests.service.workspace import Workspace


@pytest.fixture
def address(workspace: Workspace) -> Iterator[tuple[str, int]]:
    """A server with a timeout of one second."""
    client = Client(workspace.installation, request_timeout_s=1.0)
    app = build_app(client.installation, has_console=False)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, http=protocol_with_deadline(1.0), log_config=None, lifespan="off", access_log=False)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()
    server.should_exit = True
    thread.join(30)
    listening.close()


def opened(address: tuple[str, int], sent: bytes) -> socket.socket:
    connection = socket.create_connection(address, timeout=60)
    connection.sendall(sent)
    return connection


HALF_SENT = [
    b"",
    b"POST /graphql HT",
    b"POST /graphql HTTP/1.1\r\nHost: localhost\r\n",
    b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 100,
    b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
]


def test_half_sent_requests_are_closed_and_others_are_answered_meanwhile(address: tuple[str, int]) -> None:
    slow = [opened(address, HALF_SENT[n % len(HALF_SENT)]) for n in range(150)]
    answer = httpx.get(f"http://127.0.0.1:{address[1]}/healthz", timeout=60)
    assert answer.status_code == 200
    for connection in slow:
        while connection.recv(65_536):  # raises after a minute
            pass
        connection.close()


def test_a_second_request_that_is_half_sent_is_closed_too(address: tuple[str, int]) -> None:
    connection = opened(address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in connection.recv(65_536)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
    while connection.recv(65_536):
        pass
    connection.close()


def test_a_slow_body_is_answered_with_408(address: tuple[str, int]) -> None:
    connection = opened(address, HALF_SENT[4])
    assert b"408" in connection.recv(65_536)
    connection.close()


def test_a_compressed_body_is_refused(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.tokens[Role.ADMIN]}", "Content-Type": "application/json"}
    body = gzip.compress(json.dumps({"query": "{ viewer { name } }"}).encode())
    for coding in ("gzip", "gzip, gzip", "br"):
        answer = client.http.post("/graphql", content=body, headers=headers | {"Content-Encoding": coding})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (415, "E_BAD_INPUT")


def test_a_socket_of_a_browser_outlives_the_timeout(address: tuple[str, int], workspace: Workspace) -> None:
    from websockets.sync.client import connect

    token = create_token(workspace.installation, "ada", Role.VIEWER).token
    uri = f"ws://127.0.0.1:{address[1]}/graphql"
    with connect(uri, subprotocols=["graphql-transport-ws"], compression=None) as browser:  # type: ignore[list-item]
        browser.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
        assert json.loads(browser.recv())["type"] == "connection_ack"
        time.sleep(1.5)
        browser.send(json.dumps({"type": "ping"}))
        assert json.loads(browser.recv())["type"] == "pong"


@pytest.mark.parametrize("depth", [60, 400, 3_000])
def test_json_that_is_nested_too_deep_is_bad_input(client: Client, depth: int) -> None:
    register = 'mutation($c: JSON) { registerEndpoint(input: {name: "x", verb: "READ", templateId: "testing.scripted", config: $c}) { id } }'
    text = json.dumps({"query": register, "variables": {"c": {"units": 0}}}).replace("0", "[" * depth + "]" * depth)
    headers = {"Authorization": f"Bearer {client.tokens[Role.ADMIN]}", "Content-Type": "application/json"}
    answer = client.http.post("/graphql", content=text, headers=headers)
    assert answer.json()["errors"][0]["extensions"]["code"] == "E_BAD_INPUT"
