"""Access that was taken away ends on open sockets, in sessions and on open pages, not only for new requests."""

import time
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from ingest_ray import logs
from ingest_ray.console.page_context import Action, PageContext
from ingest_ray.sdk.errors import Unauthenticated
from ingest_ray.server import app as server_app
from ingest_ray.server import identity
from ingest_ray.server.identity import COOKIE, Authenticator
from ingest_ray.service.access.roles import LOCAL, Principal, Role
from ingest_ray.service.access.tokens import create_token, revoke_token
from tests.graphql.client import Client
from tests.graphql.test_who_may import visit

PROTOCOL = ["graphql-transport-ws"]
START = 'mutation { deleteEndpoint(id: "shop") }'


@pytest.fixture(autouse=True)
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Authenticator.renew, "__defaults__", (0.0,))
    monkeypatch.setattr(server_app, "WATCH_S", 0.1)


def init(socket: WebSocketTestSession, token: str) -> None:
    socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
    assert socket.receive_json()["type"] == "connection_ack"


def receive_all(socket: WebSocketTestSession, seen: list[Any]) -> None:
    while True:
        seen.append(socket.receive_json())


def test_a_socket_of_a_revoked_token_does_nothing_more_and_is_closed(client: Client) -> None:
    made = create_token(client.installation, "grace", Role.ADMIN)
    with client.http.websocket_connect("/graphql", subprotocols=PROTOCOL) as socket:
        init(socket, made.token)
        revoke_token(client.installation, made.stored.token_id)
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": START}})
        seen: list[Any] = []
        with pytest.raises(WebSocketDisconnect):
            receive_all(socket, seen)
    assert all("E_UNAUTHENTICATED" in str(message) for message in seen if message["type"] == "next")
    assert client.ask('{ endpoint(id: "shop") { id } }')["endpoint"] == {"id": "shop"}


def test_a_subscription_of_a_revoked_token_ends(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_app, "WATCH_S", 60.0)
    made = create_token(client.installation, "grace", Role.VIEWER)
    with client.http.websocket_connect("/graphql", subprotocols=PROTOCOL) as socket:
        init(socket, made.token)
        revoke_token(client.installation, made.stored.token_id)
        query = 'subscription { ingestionRunProgress(id: "any") { state } }'
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        try:
            answer = str(socket.receive_json())
        except WebSocketDisconnect as closed:  # the watch was first
            answer = f"E_UNAUTHENTICATED {closed.code}"
        assert "E_UNAUTHENTICATED" in answer


def test_a_role_that_was_lowered_holds_at_once_for_an_open_page(client: Client) -> None:
    authenticator = Authenticator(client.installation)
    made = create_token(client.installation, "grace", Role.ADMIN)
    principal = authenticator.principal_of_secret(made.token)
    assert authenticator.renew(principal).role is Role.ADMIN
    revoke_token(client.installation, made.stored.token_id)
    with pytest.raises(Unauthenticated):
        authenticator.renew(principal)


@pytest.mark.anyio
async def test_an_open_page_of_a_revoked_token_calls_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest_ray.console import page_context

    authenticator = Authenticator(client.installation)
    made = create_token(client.installation, "grace", Role.ADMIN)
    page = PageContext(
        client.installation, authenticator.principal_of_secret(made.token), authenticator.renew, "1.2.3.4"
    )
    run = Action("startIngestion", "shop")
    shown: list[str] = []
    monkeypatch.setattr(page_context.ui.navigate, "to", shown.append)
    assert await page.act(run, lambda: "called") == "called"
    revoke_token(client.installation, made.stored.token_id)
    assert await page.act(run, lambda: "called") is None
    assert await page.call(lambda: "called") is None
    assert shown == ["/login", "/login"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_session_ends_with_the_token_of_the_identity_provider(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(client.installation)
    now = time.time()
    cookie, seconds = authenticator.new_session(Principal(name="ada", role=Role.ADMIN, expires_at=now + 10))
    assert 8 < seconds <= 10
    assert authenticator.principal_of(visit(cookie)).name == "ada"
    monkeypatch.setattr(identity.time, "time", lambda: now + 11)
    with pytest.raises(Unauthenticated):
        authenticator.principal_of(visit(cookie))


def test_logging_out_ends_the_session_in_the_server(client: Client) -> None:
    authenticator = Authenticator(client.installation)
    cookie, _ = authenticator.new_session(LOCAL)
    other, _ = authenticator.new_session(LOCAL)
    principal = authenticator.principal_of(visit(cookie))
    authenticator.end_session(cookie)
    for call in (lambda: authenticator.principal_of(visit(cookie)), lambda: authenticator.renew(principal)):
        with pytest.raises(Unauthenticated):
            call()
    assert authenticator.principal_of(visit(other)).name == LOCAL.name


def test_the_logout_of_the_console_ends_the_session(client: Client) -> None:
    from ingest_ray.server.app import build_app

    http = TestClient(build_app(client.installation), base_url="http://localhost:8400", follow_redirects=False)
    token = client.tokens[Role.ADMIN]
    assert http.post("/login", data={"token": token}).status_code == 303
    cookie = {"Cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
    assert http.post("/graphql", json={"query": "{ viewer { name } }"}).status_code == 200
    http.post("/logout")
    http.cookies.clear()
    assert http.post("/graphql", json={"query": "{ viewer { name } }"}, headers=cookie).status_code == 401


def test_wrong_tokens_hide_no_words_and_large_ones_are_refused_unread(client: Client) -> None:
    for token in ("SUCCEEDED", "endpoint", "x" * 5_000):
        answer = client.http.post(
            "/graphql", json={"query": "{ viewer { name } }"}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401
    assert logs.scrub("endpoint SUCCEEDED") == "endpoint SUCCEEDED"
    assert logs.scrub(client.tokens[Role.ADMIN]) == "***"
