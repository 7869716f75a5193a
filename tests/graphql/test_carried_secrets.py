"""A caller of the service, admin or not, cannot send stored secrets to another address, nor make the server read secrets that it does not know."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.service.endpoints.secret_sources import is_permitted
from tests.graphql.client import Client
from tests.service.workspace import Workspace

SECRET = "hunter2-and-more"
REGISTER = "mutation($input: EndpointInput!) { registerEndpoint(input: $input, test: false) { id } }"
UPDATE = (
    "mutation($id: ID!, $patch: EndpointPatch!) { updateEndpoint(id: $id, patch: $patch, test: false) { id config } }"
)
TEST = "mutation($input: TestEndpointInput!) { testEndpoint(input: $input) { ok } }"
BASES: dict[str, dict[str, Any]] = {
    "jira.http": {"base_url": "https://jira.example", "username": "app", "api_token": SECRET},
    "http.confluence": {"base_url": "https://wiki.example", "username": "app", "api_token": SECRET},
    "jdbc.postgres": {"host": "db", "database": "shop", "user": "app", "password": SECRET},
    "jdbc.mysql": {"url": "mysql://app@db/shop", "password": SECRET},
    "jdbc.mssql": {"host": "db", "database": "shop", "user": "app", "password": SECRET},
    "jdbc.oracle": {"host": "db", "service": "shop", "user": "app", "password": SECRET},
    "sql": {"url": "postgresql://app@db/shop", "password": SECRET},
    "lake.delta": {"uri": "s3://bucket/lake", "storage_options": {"aws_secret_access_key": SECRET}},
    "lake.parquet": {"uri": "s3://bucket/lake", "storage_options": {"aws_secret_access_key": SECRET}},
    "lake.iceberg": {"warehouse": "s3://bucket/lake", "uri": "postgresql://app@db/catalog", "password": SECRET},
}
MOVES = [
    ("jira.http", {"base_url": "https://evil.example"}),
    ("jira.http", {"verify_tls": False}),
    ("http.confluence", {"base_url": "https://evil.example"}),
    ("jdbc.postgres", {"host": "evil"}),
    ("jdbc.postgres", {"port": 6666}),
    ("jdbc.postgres", {"url": "postgresql://evil/shop"}),
    ("jdbc.postgres", {"sslmode": "disable"}),
    ("jdbc.mysql", {"url": "mysql://app@evil/shop"}),
    ("jdbc.mysql", {"unix_socket": "/tmp/evil.sock"}),
    ("jdbc.mysql", {"ssl_ca": "/tmp/evil.pem"}),
    ("jdbc.mssql", {"encrypt": False}),
    ("jdbc.oracle", {"protocol": "tcp", "host": "evil"}),
    ("sql", {"url": "postgresql://app@evil/shop"}),
    ("lake.delta", {"uri": "s3://evil/lake"}),
    ("lake.parquet", {"uri": "s3://evil/lake"}),
    ("lake.iceberg", {"uri": "postgresql://app@evil/catalog"}),
    ("lake.iceberg", {"warehouse": "s3://evil/lake"}),
    ("lake.iceberg", {"catalog": "rest"}),
]


def register(client: Client, template: str, parameters: dict[str, Any], name: str = "kept") -> None:
    draft = {"name": name, "verb": "READ", "config": {"templateId": template, "parameters": parameters}}
    client.ask(REGISTER, {"input": draft})


def stored(client: Client, name: str = "kept") -> str:
    with client.installation.catalog.read() as connection:
        row = connection.exec_driver_sql("SELECT config FROM ingest_endpoints WHERE endpoint_id = ?", (name,)).one()
    return str(row[0])


@pytest.mark.slow
@pytest.mark.parametrize(("template", "move"), MOVES, ids=lambda value: str(value)[:40])
def test_a_change_of_the_address_asks_for_the_secrets_again(
    client: Client, template: str, move: dict[str, Any]
) -> None:
    register(client, template, BASES[template])
    before = stored(client)
    code, message = client.refused(UPDATE, {"id": "kept", "patch": {"config": move}})
    assert (code, "must be given again" in message) == ("E_BAD_INPUT", True), message
    assert stored(client) == before
    secret = next(name for name in ("api_token", "password", "storage_options") if name in BASES[template])
    client.ask(UPDATE, {"id": "kept", "patch": {"config": {**move, secret: BASES[template][secret]}}})
    assert stored(client) != before


def test_a_tunnel_is_an_address_and_a_login_of_this_machine_needs_a_permit(
    client: Client, workspace: Workspace
) -> None:
    register(client, "jdbc.postgres", BASES["jdbc.postgres"])
    way = {"host": "evil", "user": "x", "password": "y", "host_key": "ssh-ed25519 AAAA"}
    code, message = client.refused(UPDATE, {"id": "kept", "patch": {"config": {"tunnel": way}}})
    assert (code, "must be given again" in message) == ("E_BAD_INPUT", True), message
    login = {"host": "db", "database": "shop", "user": "app", "login": {"kind": "aws-rds", "region": "eu-west-1"}}
    draft = {"name": "minted", "verb": "READ", "config": {"templateId": "jdbc.postgres", "parameters": login}}
    code, message = client.refused(REGISTER, {"input": draft})
    assert (code, "a login of kind 'aws-rds' is not permitted here" in message) == ("E_BAD_INPUT", True), message
    workspace.document["endpoints"].append({"id": "filed", "template": "jdbc.postgres", "config": login})
    workspace.apply()
    code, message = client.refused(UPDATE, {"id": "filed", "patch": {"config": {"host": "evil"}}})
    assert (code, "must be given again" in message) == ("E_BAD_INPUT", True), message


def test_the_url_of_a_patch_counts_as_an_address(client: Client) -> None:
    register(client, "jira.http", BASES["jira.http"])
    assert client.refused(UPDATE, {"id": "kept", "patch": {"url": "https://evil.example"}})[0] == "E_BAD_INPUT"


def test_an_endpoint_of_the_file_keeps_its_secrets_at_its_address_too(client: Client, workspace: Workspace) -> None:
    workspace.document["endpoints"].append({"id": "filed", "template": "jira.http", "config": BASES["jira.http"]})
    workspace.apply()
    patch = {"config": {"base_url": "https://evil.example"}}
    assert client.refused(UPDATE, {"id": "filed", "patch": patch})[0] == "E_BAD_INPUT"


def test_other_fields_and_the_same_address_keep_the_secrets(client: Client) -> None:
    register(client, "jira.http", BASES["jira.http"])
    before = json.loads(stored(client))["api_token"]
    patch = {"config": {"base_url": "https://jira.example", "slice_issues": 100}}
    client.ask(UPDATE, {"id": "kept", "patch": patch})
    after = json.loads(stored(client))
    assert (after["api_token"], after["slice_issues"]) == (before, 100)


@pytest.mark.parametrize("reference", ["env:INGEST_SECRET_KEY", "file:/etc/passwd", "env:PATH"])
def test_a_reference_of_a_caller_is_refused_unless_the_owner_permits_it(
    client: Client, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parameters in (
        {**BASES["jira.http"], "api_token": reference},
        {**BASES["jdbc.postgres"], "url": reference},
        {**BASES["lake.delta"], "storage_options": {"key": reference}},
    ):
        template = next(name for name, base in BASES.items() if set(base) <= set(parameters))
        draft = {"name": "new", "verb": "READ", "config": {"templateId": template, "parameters": parameters}}
        code, message = client.refused(REGISTER, {"input": draft})
        if "url" in parameters and not reference.startswith("env:"):
            assert code == "E_BAD_INPUT"
            continue
        assert (code, "not permitted" in message) == ("E_BAD_INPUT", True), message
        tried = {"templateId": template, "type": "source", "connection": parameters}
        assert client.refused(TEST, {"input": tried})[0] == "E_BAD_INPUT"
    register(client, "jira.http", BASES["jira.http"])
    patch = {"config": {"api_token": reference}}
    assert client.refused(UPDATE, {"id": "kept", "patch": patch})[0] == "E_BAD_INPUT"


def test_a_permitted_reference_is_stored_as_it_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    client = Client(workspace.installation, secret_sources=("env:SHOP_*",))
    with client.http:
        register(client, "jira.http", {**BASES["jira.http"], "api_token": "env:SHOP_TOKEN"})
        assert json.loads(stored(client))["api_token"] == "env:SHOP_TOKEN"
        draft = {**BASES["jira.http"], "api_token": "env:OTHER"}
        tried = {"templateId": "jira.http", "type": "source", "connection": draft}
        assert client.refused(TEST, {"input": tried})[0] == "E_BAD_INPUT"


def test_a_file_counts_by_its_real_path(tmp_path: Path) -> None:
    allowed = (f"file:{tmp_path}/secrets/*",)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("x")
    (tmp_path / "other").write_text("x")
    (tmp_path / "secrets" / "link").symlink_to(tmp_path / "other")
    permitted = {
        name: is_permitted(f"file:{tmp_path}/{name}", allowed)
        for name in (
            "secrets/token",
            "secrets/../other",
            "secrets/[x]/../../other",
            "secrets/*/../../other",
            "secrets/link",
            "other",
            "secrets/a/../../other",
            "secrets",
        )
    }
    assert permitted == {name: name == "secrets/token" for name in permitted}
    (tmp_path / "alias").symlink_to(tmp_path / "secrets")
    assert is_permitted(f"file:{tmp_path}/secrets/token", (f"file:{tmp_path}/alias/*",))


def test_an_allow_list_is_by_scheme(tmp_path: Path) -> None:
    assert is_permitted("vault:kv/shop#token", ("vault:kv/shop*",))
    assert not is_permitted("vault:kv/other#token", ("vault:kv/shop*",))
    assert not is_permitted("env:X", ("file:*", "vault:*"))
    assert not is_permitted("env:X", ())


def test_the_ciphertext_of_another_endpoint_cannot_be_given(client: Client) -> None:
    register(client, "jira.http", BASES["jira.http"])
    sealed = json.loads(stored(client))["api_token"]
    evil = {**BASES["jira.http"], "base_url": "https://evil.example", "api_token": sealed}
    draft = {"name": "thief", "verb": "READ", "config": {"templateId": "jira.http", "parameters": evil}}
    assert client.refused(REGISTER, {"input": draft})[0] == "E_BAD_INPUT"
    patch = {"config": {"base_url": "https://evil.example", "api_token": sealed}}
    assert client.refused(UPDATE, {"id": "kept", "patch": patch})[0] == "E_BAD_INPUT"
