"""The audit log: who, what, from where, with which outcome; of every mutation and of the commands about tokens."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest_ray.catalog import audit_entries
from ingest_ray.catalog.audit_entries import AuditEntry
from ingest_ray.console import page_context
from ingest_ray.console.page_context import Action, PageContext
from ingest_ray.sdk.errors import IngestError, StateUnavailable
from ingest_ray.service.access.audit import Attempt, begin_entry, end_entry, read_audit_log
from ingest_ray.service.access.roles import LOCAL, Principal, Role
from ingest_ray.service.endpoints import registration
from tests.cli.in_process import InProcessCli
from tests.graphql.client import Client
from tests.graphql.test_who_may import MUTATIONS
from tests.service.workspace import Workspace

SECRET = "hunter2-and-more"


def entries(client: Client, **options: Any) -> list[AuditEntry]:
    return list(read_audit_log(client.installation, **options).entries)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda text: text.partition("(")[0])
def test_every_mutation_is_recorded_with_its_outcome(client: Client, mutation: str) -> None:
    name = mutation.partition("(")[0]
    answer = client.post(f"mutation {{ {mutation} }}").json()
    (entry,) = entries(client)
    outcome = ("failed", answer["errors"][0]["extensions"]["code"]) if "errors" in answer else ("done", None)
    assert (entry.action, entry.who, entry.role, entry.source) == (name, "admin-person", "admin", "testclient")
    assert (entry.outcome, entry.code) == outcome
    assert entry.token_id
    client.post(f"mutation {{ {mutation} }}", role=Role.VIEWER)
    refused = entries(client)[0]
    assert (refused.who, refused.outcome, refused.code) == ("viewer-person", "refused", "E_ROLE_FORBIDDEN")


def test_an_entry_names_the_endpoint_and_the_fields_and_no_value_that_may_be_a_secret(client: Client) -> None:
    change = 'mutation($patch: EndpointPatch!) { updateEndpoint(id: "shop", patch: $patch) { id } }'
    client.ask(change, {"patch": {"config": {"units": ["numbers-1x10"], "password": SECRET}, "name": "x\n\x1b[31m"}})
    (entry,) = entries(client)
    assert entry.endpoint_id == "shop"
    details = json.loads(entry.details)
    assert details["config"] == ["password", "units"]
    assert SECRET not in entry.model_dump_json()
    assert "\x1b" not in details["name"]


def test_admins_read_the_log_page_by_page_and_others_do_not(client: Client) -> None:
    for n in range(3):
        client.ask(f'mutation {{ updateEndpoint(id: "shop", patch: {{name: "n{n}"}}) {{ id }} }}')
    query = "query($after: ID) { auditLog(first: 2, after: $after) { id who action endpointId outcome details at } }"
    first = client.ask(query)["auditLog"]
    rest = client.ask(query, {"after": first[-1]["id"]})["auditLog"]
    assert [entry["details"]["name"] for entry in [*first, *rest]] == ["n2", "n1", "n0"]
    assert {entry["outcome"] for entry in first} == {"DONE"}
    for role in (Role.VIEWER, Role.OPERATOR):
        assert client.refused(query, role=role)[0] == "E_ROLE_FORBIDDEN"


def test_what_cannot_be_recorded_is_not_done(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise StateUnavailable("state does not answer")

    monkeypatch.setattr(audit_entries, "add", gone)
    code = client.refused('mutation { updateEndpoint(id: "shop", patch: {name: "new name"}) { id } }')[0]
    assert code == "E_STATE_UNREADABLE"
    assert registration.find_endpoint(client.installation, "shop").about.name is None


def test_an_action_whose_process_died_stays_begun_and_an_outcome_is_written_once(client: Client) -> None:
    attempt = Attempt(principal=LOCAL, source="here", action="x")
    entry_id = begin_entry(client.installation, attempt)
    assert entries(client)[0].outcome == "begun"
    end_entry(client.installation, entry_id, None)
    end_entry(client.installation, entry_id, ValueError("late"))
    assert entries(client)[0].outcome == "done"


def test_entries_are_kept_as_long_as_the_settings_say(client: Client) -> None:
    old = datetime.now(UTC) - timedelta(days=401)
    with client.installation.catalog.begin() as connection:
        kept = AuditEntry(entry_id="1", at=old.isoformat(), who="a", role="admin", source="s", action="old")
        audit_entries.add(connection, kept)
    assert [entry.action for entry in entries(client)] == ["old"]
    begin_entry(client.installation, Attempt(principal=LOCAL, source="here", action="new"))
    assert [entry.action for entry in entries(client)] == ["new"]


def test_the_commands_about_tokens_are_recorded_and_the_log_is_exported(
    workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = InProcessCli(workspace.folder, capfd)
    made = cli.json("token", "create", "--name", "ada", "--role", "operator", "--endpoint", "shop")
    cli.json("token", "revoke", made["stored"]["token_id"])
    assert cli.run("token", "revoke", "nothing")[0] == 2
    exported = cli.json("audit")["entries"]
    assert [(entry["action"], entry["outcome"], entry["code"]) for entry in exported] == [
        ("token revoke", "failed", "E_BAD_INPUT"),
        ("token revoke", "done", None),
        ("token create", "done", None),
    ]
    assert json.loads(exported[-1]["details"]) == {"endpoints": ["shop"], "name": "ada", "role": "operator"}
    assert exported[0]["source"].startswith("command line on ")
    assert made["token"] not in json.dumps(exported)
    _, shown, _ = cli.run("audit", "--action", "token create")
    assert "create" in shown
    assert "revoke" not in shown


@pytest.mark.anyio
async def test_an_action_on_a_page_is_recorded_and_checked_as_a_mutation_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[IngestError] = []
    monkeypatch.setattr(page_context, "show_error", shown.append)
    operator = Principal(name="olga", role=Role.OPERATOR, endpoints=("shop",))
    page = PageContext(client.installation, operator, lambda principal: principal, "1.2.3.4")
    start = Action("startIngestion", "shop", Role.OPERATOR)
    assert await page.act(start, lambda: "started") == "started"
    assert await page.act(Action("startIngestion", "other", Role.OPERATOR), lambda: "started") is None
    assert await page.act(Action("resetIngestionCheckpoint", "shop"), lambda: "forgotten") is None
    assert [error.code for error in shown] == ["E_ROLE_FORBIDDEN"] * 2
    seen = [(entry.who, entry.action, entry.endpoint_id, entry.outcome, entry.source) for entry in entries(client)]
    assert seen == [
        ("olga", "resetIngestionCheckpoint", "shop", "refused", "1.2.3.4, console"),
        ("olga", "startIngestion", "other", "refused", "1.2.3.4, console"),
        ("olga", "startIngestion", "shop", "done", "1.2.3.4, console"),
    ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
