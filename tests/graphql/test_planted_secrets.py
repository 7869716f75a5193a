"""Secrets with every awkward character, in every secret field and URL of every template, are in nothing that the system says or keeps."""

import base64
import html
import json
import logging
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from ingest_ray import logs
from ingest_ray.catalog.tables import endpoints as endpoints_table
from ingest_ray.registry import sink_templates, strategy_templates
from ingest_ray.sdk.errors import IngestError
from ingest_ray.secrets import config_model_of
from ingest_ray.secrets.fields import members
from ingest_ray.service.access.audit import read_audit_log
from ingest_ray.service.access.roles import Role
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import JobSpec
from ingest_ray.service.launching.ray_job import runtime_env_of
from tests.cli.in_process import InProcessCli
from tests.graphql.client import Client
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

SECRETS = [
    "s3c'ret\"w\\ord-1",
    "s3c/ret?w=o&r#d-2",
    "s3c%2Fret+w ord;-3",
    "s3cr\u00e9t\u6f22\U0001f600word-4",
    "<s3c>{ret}[w]$(o)`r`|d-5",
    "s3c:ret@w@ord-6",
]
CLOSED = "127.0.0.1"
BASES: dict[str, dict[str, Any]] = {
    "jira.http": {"base_url": f"http://{CLOSED}:1", "username": "app", "api_token": "x", "retry_wait_s": 0.01},
    "http.confluence": {"base_url": f"http://{CLOSED}:1", "username": "app", "api_token": "x", "retry_wait_s": 0.01},
    "jdbc.postgres": {"host": CLOSED, "port": 1, "database": "shop", "user": "app"},
    "jdbc.mysql": {"host": CLOSED, "port": 1, "database": "shop", "user": "app"},
    "jdbc.mssql": {"host": CLOSED, "port": 1, "database": "shop", "user": "app"},
    "jdbc.oracle": {"host": CLOSED, "port": 1, "service": "shop", "user": "app"},
    "jdbc.sqlite": {"path": "/nowhere/at/all.db"},
    "testing.scripted": {"units": []},
    "sql": {"url": f"postgresql://app@{CLOSED}:1/shop"},
    "cdm.jdbc": {"url": f"postgresql://app@{CLOSED}:1/shop"},
    "duckdb": {"path": "/nowhere/at/all.duckdb"},
    "lake.delta": {"uri": "/nowhere/lake"},
    "lake.parquet": {"uri": "/nowhere/files"},
    "lake.iceberg": {"warehouse": "/nowhere/iceberg", "uri": f"postgresql://app@{CLOSED}:1/catalog"},
}
URLS = {
    "jdbc.postgres": "postgresql://app:{}@127.0.0.1:1/shop",
    "jdbc.mysql": "mysql://app:{}@127.0.0.1:1/shop",
    "jdbc.mssql": "mssql://app:{}@127.0.0.1:1/shop",
    "jdbc.oracle": "oracle://app:{}@127.0.0.1:1/shop",
    "sql": "postgresql://app:{}@127.0.0.1:1/shop",
    "cdm.jdbc": "mysql://app:{}@127.0.0.1:1/shop",
}
QUICK = {"connect_timeout_s": 2.0, "timeout_s": 2.0}


def configs_of(template: str, secret: str) -> list[dict[str, Any]]:
    """One with each secret field, and one with the secret in its URL."""
    model, base = config_model_of(template), BASES[template]
    base = base | {name: value for name, value in QUICK.items() if name in model.model_fields}
    found = []
    for name, field in model.model_fields.items():
        kinds = members(field.annotation)
        if SecretStr in kinds:
            found.append({**base, name: secret})
        elif any("SecretStr" in str(kind) for kind in kinds):
            found.append({**base, name: {"key": secret}})
    if template in URLS:
        others = {
            name: value
            for name, value in base.items()
            if name not in ("host", "port", "database", "service", "user", "url")
        }
        found.append({**others, "url": URLS[template].format(quote(secret, safe=""))})
    return found


def forms_of(secret: str) -> list[str]:
    raw = secret.encode()
    forms = {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"app:" + raw).decode(),
    }
    return sorted(forms)


def test_every_template_is_covered() -> None:
    assert set(BASES) >= {*strategy_templates(), *sink_templates()} - {"testing.wide", "testing.simple"}


def everything_kept(workspace: Workspace, installation: Installation) -> str:
    files = [file for file in workspace.folder.rglob("*") if file.is_file() and file != workspace.file]
    kept = [file.read_bytes().decode("utf-8", "replace") for file in files if file.name != "secret.key"]
    with installation.catalog.read() as connection:
        kept += [str(row) for row in connection.execute(endpoints_table.select())]
    kept.append(read_audit_log(installation).model_dump_json())
    kept.append(json.dumps(runtime_env_of(installation, "run")))
    kept.append(JobSpec(run_id="run", settings=installation.settings).model_dump_json())
    return "\n".join(kept)


@pytest.mark.parametrize("template", sorted(BASES))
def test_a_secret_in_any_field_is_in_no_answer_log_output_or_file(
    template: str,
    client: Client,
    workspace: Workspace,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    handler = logs.configure("text", "debug")
    answers: list[str] = []

    def post(query: str, variables: dict[str, Any], role: Role = Role.ADMIN) -> None:
        answers.append(client.post(query, variables, role).text)

    try:
        for n, secret in enumerate(SECRETS):
            for config in configs_of(template, secret):
                tried = {"templateId": template, "type": "x", "connection": config}
                if n == 0:
                    post(
                        "mutation($i: TestEndpointInput!) { testEndpoint(input: $i) { ok diagnostics { message hint } } }",
                        {"i": tried},
                    )
                draft = {"name": "planted", "verb": "READ", "config": {"templateId": template, "parameters": config}}
                post(
                    "mutation($i: EndpointInput!) { registerEndpoint(input: $i, test: false) { id url config } }",
                    {"i": draft},
                )
                change = {"id": "planted", "p": {"config": {**config, "no_such_field": 1}}}
                post(
                    "mutation($id: ID!, $p: EndpointPatch!) { updateEndpoint(id: $id, patch: $p, test: false) { id } }",
                    change,
                )
                for role in (Role.ADMIN, Role.VIEWER):
                    post('{ endpoint(id: "planted") { id name url config labels } endpoints { url config } }', {}, role)
                if n == 0 and template in strategy_templates():
                    try:
                        collect(client.installation, "planted")
                    except IngestError as error:
                        answers.append(f"{error} {error.hint} {error!r}")
                kept = everything_kept(workspace, client.installation)
                post('mutation { deleteEndpoint(id: "planted") }', {})
                said = "\n".join([*answers, caplog.text, *capfd.readouterr(), kept])
                assert [form for form in forms_of(secret) if form in said] == []
                answers.clear()
                caplog.clear()
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("template", sorted(set(BASES) - {"testing.scripted"}))
def test_a_file_with_secrets_is_applied_or_refused_without_a_word_of_them(
    template: str, workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = InProcessCli(workspace.folder, capfd)
    installation = workspace.installation
    section = "sinks" if template in sink_templates() else "endpoints"
    for secret in SECRETS[:4]:
        for config in configs_of(template, secret):
            for fault in ({}, {"no_such_field": 1}):
                workspace.document[section] = [
                    entry for entry in workspace.document[section] if entry["id"] != "planted"
                ]
                workspace.document[section].append(
                    {"id": "planted", "template": template, "config": {**config, **fault}}
                )
                workspace.write()
                code, out, err = cli.run("apply", str(workspace.file))
                assert code == 2 if fault else code in (0, 2), err
                said = out + err + everything_kept(workspace, installation)
                assert [form for form in forms_of(secret) if form in said] == []
