"""Access: tokens, roles, identity providers, requests from other sites; and secrets that no answer contains."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from jwt.algorithms import RSAAlgorithm
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from ingest_ray.sdk.errors import ConfigError, Unauthenticated
from ingest_ray.server.identity import COOKIE, Authenticator, check_anonymous_access
from ingest_ray.server.login import login_router
from ingest_ray.service.access.roles import LOCAL, Role
from ingest_ray.service.access.tokens import create_token, list_tokens, revoke_token
from ingest_ray.settings import OidcSettings
from tests.graphql.client import Client
from tests.graphql.test_whole_story import collected
from tests.service.workspace import Workspace

ME = "{ viewer { name role } }"
SECRET = "correct-horse-battery-staple"


def bearer(client: Client, token: str, query: str = ME) -> Any:
    return client.http.post("/graphql", json={"query": query}, headers={"Authorization": f"Bearer {token}"})


def code_of(answer: Any) -> str:
    return str(answer.json()["errors"][0]["extensions"]["code"])


def test_a_token_authenticates_and_requests_without_one_are_refused(client: Client) -> None:
    assert client.ask(ME)["viewer"] == {"name": "admin-person", "role": "ADMIN"}
    assert client.ask(ME, role=Role.VIEWER)["viewer"] == {"name": "viewer-person", "role": "VIEWER"}
    nobody = client.post(ME, role=None)
    assert (nobody.status_code, code_of(nobody)) == (401, "E_UNAUTHENTICATED")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert client.http.get("/metrics").status_code == 401


def test_forged_expired_and_revoked_tokens_are_refused_with_the_same_words(client: Client) -> None:
    expired = create_token(client.installation, "old", Role.ADMIN, days=-1)
    revoked = create_token(client.installation, "gone", Role.ADMIN)
    assert bearer(client, revoked.token).status_code == 200
    revoke_token(client.installation, revoked.stored.token_id)
    answers = [bearer(client, token) for token in ("ingest_forged", expired.token, revoked.token, "")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["errors"][0]["message"] for answer in answers[:3]}) == 1


def test_a_token_is_stored_as_a_digest_only(client: Client) -> None:
    home = client.installation.settings.home
    client.ask(ME)
    stored = b"".join(file.read_bytes() for file in _files(home))
    assert list_tokens(client.installation).tokens
    assert not [token for token in client.tokens.values() if token.encode() in stored]


def _files(home: str) -> list[Any]:
    return [file for file in Path(home).rglob("*") if file.is_file()]


MUTATIONS = [
    'testEndpoint(input: {templateId: "testing.scripted", type: "x", connection: {}}) { ok }',
    'registerEndpoint(input: {name: "x", verb: "READ", templateId: "testing.scripted"}) { id }',
    'updateEndpoint(id: "shop", patch: {name: "x"}) { id }',
    'deleteEndpoint(id: "shop")',
    'triggerEndpointCollection(endpointId: "shop") { id }',
    'previewMetadataDataset(id: "shop:x") { rows }',
    'configureIngestionUnit(input: {endpointId: "shop", unitId: "x"}) { id }',
    'startIngestion(endpointId: "shop", unitId: "x") { ok }',
    'startIngestionUnits(endpointId: "shop") { unitId }',
    'pauseIngestion(endpointId: "shop", unitId: "x") { ok }',
    'resetIngestionCheckpoint(endpointId: "shop", unitId: "x") { ok }',
    'updateIngestionWatermark(endpointId: "shop", unitId: "x", watermark: "1") { ok }',
    'verifyIngestionUnit(endpointId: "shop", unitId: "x") { ok }',
    'testAlertReceivers(receiver: "x") { error }',
    'provisionCdmSink(input: {sinkEndpointId: "lake", cdmModelId: "x"}) { ok }',
]


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda text: text.partition("(")[0])
def test_a_viewer_changes_nothing(client: Client, workspace: Workspace, mutation: str) -> None:
    assert client.refused(f"mutation {{ {mutation} }}", role=Role.VIEWER)[0] == "E_ROLE_FORBIDDEN"
    assert workspace.calls() == []


def test_every_mutation_is_among_those_that_a_viewer_may_not_call(client: Client) -> None:
    found = client.ask("{ __schema { mutationType { fields { name } } } }")["__schema"]["mutationType"]["fields"]
    assert {field["name"] for field in found} == {text.partition("(")[0] for text in MUTATIONS}


class Provider:
    """An identity provider: its keys over HTTP, and tokens signed with them."""

    def __init__(self) -> None:
        self.keys = {"one": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.asked = 0
        provider = self

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = json.dumps({"keys": [provider._jwk(name) for name in provider.keys]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Keys)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.settings = OidcSettings(
            issuer="https://id.example",
            audience="ingest",
            jwks_url=f"http://127.0.0.1:{self.server.server_port}/jwks",
            admins=("data-admins",),
            viewers=("everybody",),
        )

    def _jwk(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self.keys[name].public_key()))
        return document | {"kid": name, "use": "sig", "alg": "RS256"}

    def token(self, kid: str = "one", key: Any = None, **claims: Any) -> str:
        now = int(time.time())
        body = {"iss": "https://id.example", "aud": "ingest", "sub": "u1", "preferred_username": "ada"}
        body |= {"iat": now, "exp": now + 60, "roles": ["data-admins"]} | claims
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, key or self.keys[kid], algorithm="RS256", headers={"kid": kid})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


def test_tokens_of_an_identity_provider(workspace: Workspace, provider: Provider) -> None:
    client = Client(workspace.installation, oidc=provider.settings)
    with client.http:
        assert bearer(client, provider.token()).json()["data"]["viewer"] == {"name": "ada", "role": "ADMIN"}
        looks = bearer(client, provider.token(roles="everybody")).json()["data"]["viewer"]
        assert looks["role"] == "VIEWER"
        assert bearer(client, provider.token(exp=int(time.time()) - 10)).status_code == 200  # within the clock skew
        now = int(time.time())
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        bad = {
            "expired": provider.token(exp=now - 3600),
            "not yet": provider.token(nbf=now + 3600),
            "issuer": provider.token(iss="https://evil.example"),
            "audience": provider.token(aud="another"),
            "no role of ours": provider.token(roles=["cooks"]),
            "no roles": provider.token(roles=None),
            "forged": provider.token(key=stranger),
            "no expiry": provider.token(exp=None),
            "symmetric": jwt.encode({"iss": "x"}, "k" * 32, algorithm="HS256", headers={"kid": "one"}),
            "unsigned": jwt.encode({"iss": "x"}, None, algorithm="none", headers={"kid": "one"}),
            "garbage": "a.b.c",
        }
        assert {name: bearer(client, token).status_code for name, token in bad.items()} == dict.fromkeys(bad, 401)
        assert bearer(client, client.tokens[Role.ADMIN]).status_code == 200


def test_a_new_key_of_the_provider_is_fetched_and_unknown_keys_do_not_cause_a_fetch_each(
    workspace: Workspace, provider: Provider
) -> None:
    client = Client(workspace.installation, oidc=provider.settings)
    with client.http:
        assert bearer(client, provider.token()).status_code == 200
        provider.keys["two"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert bearer(client, provider.token("two")).status_code == 200
        asked = provider.asked
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        for n in range(5):
            assert bearer(client, provider.token(f"unknown-{n}", stranger)).status_code == 401
        assert provider.asked == asked


def test_without_the_provider_its_tokens_are_refused_and_ours_are_not(workspace: Workspace, provider: Provider) -> None:
    client = Client(workspace.installation, oidc=provider.settings)
    token = provider.token()
    provider.close()
    with client.http:
        answer = bearer(client, token)
        assert (answer.status_code, "cannot be fetched" in answer.json()["errors"][0]["message"]) == (401, True)
        assert bearer(client, client.tokens[Role.ADMIN]).status_code == 200


def test_anonymous_access_needs_the_setting_and_a_local_client(workspace: Workspace) -> None:
    client = Client(workspace.installation, anonymous="viewer")
    with client.http:
        elsewhere = client.http.post("/graphql", json={"query": ME})
        assert elsewhere.status_code == 401  # the test's client calls itself `testclient`, not 127.0.0.1
    here = TestClient(client.http.app, base_url="http://localhost:8400", client=("127.0.0.1", 5000))
    assert here.post("/graphql", json={"query": ME}).json()["data"]["viewer"]["role"] == "VIEWER"
    rebound = here.post("/graphql", json={"query": ME}, headers={"Host": "evil.example"})
    assert rebound.status_code == 401
    with pytest.raises(ConfigError, match="loopback"):
        check_anonymous_access(client.installation, "0.0.0.0")
    check_anonymous_access(client.installation, "127.0.0.1")


def test_pages_of_other_sites_are_refused_and_nothing_answers_to_cors(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.tokens[Role.ADMIN]}", "Origin": "https://evil.example"}
    answer = client.http.post("/graphql", json={"query": ME}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (403, "E_ROLE_FORBIDDEN")
    same = client.http.post("/graphql", json={"query": ME}, headers=headers | {"Origin": "http://localhost:8400"})
    assert same.status_code == 200
    asked = client.http.options(
        "/graphql", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert "access-control-allow-origin" not in asked.headers
    assert (
        client.http.get(
            "/graphql", params={"query": ME}, headers={"Authorization": headers["Authorization"]}
        ).status_code
        >= 400
    )
    assert same.headers["x-frame-options"] == "DENY"


def test_sites_that_are_allowed_may_call(workspace: Workspace) -> None:
    client = Client(workspace.installation, allowed_origins=("https://tools.example",))
    with client.http:
        headers = {"Authorization": f"Bearer {client.tokens[Role.ADMIN]}", "Origin": "https://tools.example"}
        answer = client.http.post("/graphql", json={"query": ME}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://tools.example"


def test_a_websocket_authenticates_when_it_connects(client: Client) -> None:
    with client.http.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json(
            {"type": "connection_init", "payload": {"Authorization": f"Bearer {client.tokens[Role.VIEWER]}"}}
        )
        assert socket.receive_json()["type"] == "connection_ack"
        query = 'subscription { ingestionRunProgress(id: "nothing") { state } }'
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        message = socket.receive_json()
        assert message["payload"]["errors"][0]["extensions"]["code"] == "E_BAD_INPUT"
    with client.http.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init", "payload": {"Authorization": "Bearer ingest_forged"}})
        assert socket.receive()["type"] == "websocket.close"


def test_a_run_is_watched_until_it_has_ended(client: Client) -> None:
    collected(client)
    start = 'mutation { startIngestion(endpointId: "shop", unitId: "numbers-1x1000") { runId } }'
    run_id = client.ask(start)["startIngestion"]["runId"]
    query = f'subscription {{ ingestionRunProgress(id: "{run_id}") {{ state phase rows {{ committed }} isFinished }} }}'
    seen = []
    with client.http.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json(
            {"type": "connection_init", "payload": {"Authorization": f"Bearer {client.tokens[Role.VIEWER]}"}}
        )
        socket.receive_json()
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        while (message := socket.receive_json())["type"] == "next":
            seen.append(message["payload"]["data"]["ingestionRunProgress"])
    assert message["type"] == "complete"
    assert seen[-1] == {"state": "SUCCEEDED", "phase": "done", "rows": {"committed": 1000.0}, "isFinished": True}
    assert [one["rows"]["committed"] for one in seen] == sorted(one["rows"]["committed"] for one in seen)


def test_whether_an_endpoint_has_a_secret_cannot_be_seen(client: Client) -> None:
    register = "mutation($input: EndpointInput!) { registerEndpoint(input: $input, test: false) { id } }"
    for name, url, password in (
        ("with", "postgresql://app:hunter2-pass@db/shop", "s3cret-word"),
        ("without", "postgresql://app@db/shop", None),
    ):
        parameters = {"url": url} | ({"password": password} if password else {})
        draft = {"name": name, "verb": "READ", "config": {"templateId": "jdbc.postgres", "parameters": parameters}}
        client.ask(register, {"input": draft})
    fields = "{ verb url authPolicy domain labels config detectedVersion capabilities }"
    seen = [client.ask(f'{{ endpoint(id: "{name}") {fields} }}')["endpoint"] for name in ("with", "without")]
    assert seen[0] == seen[1]
    assert seen[0]["url"] == "postgresql://app@db/shop"


def test_requests_are_logged_with_principal_and_path_and_never_with_a_secret(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    register = "mutation($input: EndpointInput!) { registerEndpoint(input: $input) { id } }"
    parameters = {"units": [], "password": SECRET}
    draft = {"name": "x", "verb": "READ", "config": {"templateId": "testing.scripted", "parameters": parameters}}
    client.ask(register, {"input": draft})
    assert "registerEndpoint by admin-person" in caplog.text
    assert "POST /graphql 200" in caplog.text
    assert "by admin-person from testclient" in caplog.text
    assert SECRET not in caplog.text
    assert not [token for token in client.tokens.values() if token in caplog.text]


def test_a_session_is_begun_with_a_token_and_ends_when_the_token_is_revoked(workspace: Workspace) -> None:
    authenticator = Authenticator(workspace.installation)
    app = FastAPI()
    app.include_router(login_router(authenticator))
    http = TestClient(app, base_url="https://localhost", follow_redirects=False)
    made = create_token(workspace.installation, "grace", Role.VIEWER)
    refused = http.post("/login", data={"token": "<b>wrong</b>"})
    assert (refused.status_code, "set-cookie" in refused.headers, "<b>" in refused.text) == (401, False, False)
    answer = http.post("/login", data={"token": made.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Secure"))
    assert made.token not in cookie

    session = http.cookies[COOKIE].strip('"')
    assert authenticator.principal_of(visit(session)).name == "grace"
    for other in (session[:-2] + "xx", "", Authenticator(workspace.installation).new_session(LOCAL)[0]):
        with pytest.raises(Unauthenticated):
            authenticator.principal_of(visit(other))
    revoke_token(workspace.installation, made.stored.token_id)
    with pytest.raises(Unauthenticated):
        authenticator.principal_of(visit(session))
    assert http.post("/logout").headers["location"] == "/login"


def visit(session: str) -> HTTPConnection:
    headers = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={session}".encode())]
    return HTTPConnection(
        {
            "type": "http",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
            "scheme": "http",
            "path": "/",
        }
    )
