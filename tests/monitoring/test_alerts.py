"""Alerts: each kind of incident is told once, with its recovery; receivers get signed, ordered, repeated messages; no storm."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from ingest_ray.alerts.delivery import deliver
from ingest_ray.alerts.message import Message, MessageIncident
from ingest_ray.catalog import notifications, run_records
from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import RowCounts, RunFault, RunState, RunSummary
from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.monitoring.alerting import check_incidents, is_wanted
from ingest_ray.service.monitoring.delivery import deliver_due, list_dead_letters, resend_dead_letters
from tests.cli.in_process import InProcessCli
from tests.graphql.client import Client
from tests.monitoring.receiver import Receiver, receiving, receiving_mail
from tests.monitoring.test_freshness import NOW
from tests.service.workspace import Workspace

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def installation(workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return ready(workspace, receiver, monkeypatch)


def ready(workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, units: int = 2) -> Installation:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    workspace.source["units"] = [f"numbers-1x{n + 1}" for n in range(units)]
    workspace.document["units"][0] |= {"policy": {"fresh_within": "1h"}}
    hook = {"id": "hook", "url": receiver.url, "secret": "env:HOOK_SECRET"}
    workspace.document["alerts"] = {"receivers": [hook]}
    workspace.apply()
    collect(workspace.installation, "shop")
    return workspace.installation


def end(
    installation: Installation,
    at: datetime,
    unit_id: str = "numbers-1x1",
    code: str | None = None,
    task: str = "ingest",
    **more: Any,
) -> None:
    """A run that ended at that time."""
    summary = RunSummary(
        run_id=new_id(),
        endpoint_id="shop",
        unit_id=unit_id,
        sink_id="lake",
        state=RunState.RUNNING,
        task=task,  # type: ignore[arg-type]
        started_at=at,
    )
    error = RunFault(code=code, message="row 'ada@example.org' is bad") if code else None
    state = RunState.FAILED if code else RunState.SUCCEEDED
    with installation.catalog.begin() as connection:
        run_records.start(connection, summary, "{}")
        run_records.finish(connection, summary.model_copy(update={"state": state, "error": error, **more}))
        stamp = run_records.instant(at)
        connection.exec_driver_sql(f"UPDATE ingest_runs SET finished_at = '{stamp}' WHERE run_id = '{summary.run_id}'")


def look(installation: Installation, at: datetime) -> None:
    check_incidents(installation, at)
    deliver_due(installation, at)


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def test_a_failure_is_told_once_however_often_it_repeats_and_its_recovery_once(
    installation: Installation, receiver: Receiver
) -> None:
    for n in range(10):
        end(installation, minutes(n), code="E_SOURCE_DENIED")
        look(installation, minutes(n))
        look(installation, minutes(n + 0.5))
    assert receiver.kinds("failed") == [("incident.opened", "failed", ("numbers-1x1",))]
    end(installation, minutes(11))
    for n in range(3):
        look(installation, minutes(12 + n))
    assert [kind for kind, *_ in receiver.kinds("failed")] == ["incident.opened", "incident.recovered"]
    opened, over = (found["data"]["incidents"][0] for found in receiver.messages)
    assert opened["incident_id"] == over["incident_id"]
    assert (opened["code"], opened["text"], opened["closed_at"]) == ("E_SOURCE_DENIED", None, None)
    assert over["closed_at"] is not None
    assert b"ada@example.org" not in b"".join(body for _, body in receiver.taken), "no value without consent"


def test_the_standards_own_library_verifies_the_signature(installation: Installation, receiver: Receiver) -> None:
    end(installation, NOW, code="E_SOURCE_DENIED")
    look(installation, NOW)
    ((headers, body),) = receiver.taken
    assert Webhook(SECRET).verify(body, headers)["type"] == "incident.opened"
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(body.replace(b"failed", b"passed"), headers)


@pytest.mark.parametrize(
    ("condition", "bad", "good"),
    [
        ("drifted", {"schema_changes": ("column 'x' added",)}, {}),
        ("drifted", {"code": "E_SOURCE_CHANGED"}, {}),
        ("quarantined", {"rows": RowCounts(read=5, committed=4, quarantined=1)}, {"rows": RowCounts(read=5)}),
        ("delete-refused", {"code": "E_DELETES_REFUSED", "task": "reconcile"}, {"task": "reconcile"}),
        ("verify-unequal", {"code": "E_ROWS_DIFFER", "task": "verify"}, {"task": "repair"}),
    ],
)
def test_what_a_run_shows_is_told_although_the_next_run_has_ended_before_the_look(
    installation: Installation, receiver: Receiver, condition: str, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    end(installation, minutes(0), **bad)
    end(installation, minutes(0.1), **good)
    for n in range(4):
        look(installation, minutes(1 + n))
    assert [kind for kind, *_ in receiver.kinds(condition)] == ["incident.opened", "incident.recovered"]
    end(installation, minutes(70), **bad)
    look(installation, minutes(70))
    look(installation, minutes(71))
    assert [kind for kind, *_ in receiver.kinds(condition)][2:] == ["incident.opened"]


def test_late_units_and_tokens_that_expire_are_told_and_a_bound_is_a_bound(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = ready(workspace, receiver, monkeypatch)
    create_token(installation, "night-shift", Role.VIEWER, 3)
    create_token(installation, "forever", Role.VIEWER)
    for unit in ("numbers-1x1", "numbers-1x2"):
        end(installation, minutes(0), unit)
    look(installation, minutes(30))
    assert [condition for _, condition, _ in receiver.kinds()] == ["secret-expires"]
    look(installation, minutes(61))
    assert receiver.kinds("late") == [("incident.opened", "late", ("numbers-1x1", "numbers-1x2"))]
    end(installation, minutes(62), "numbers-1x1")
    look(installation, minutes(63))
    assert receiver.kinds("late")[1:] == [("incident.recovered", "late", ("numbers-1x1",))]
    workspace.document["alerts"]["max_quarantined_rows"] = 5
    workspace.apply()
    end(installation, minutes(64), rows=RowCounts(read=9, quarantined=5))
    look(workspace.installation, minutes(64))
    assert receiver.kinds("quarantined") == []


def test_a_certificate_of_an_endpoint_that_expires_is_told_until_it_is_renewed(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workspace.folder / "client.pem"
    login = {"base_url": "https://jira.example", "username": "ada", "api_token": "env:JIRA_TOKEN"}
    site = {"id": "jira", "template": "jira.http", "config": {**login, "client_cert": str(path)}}
    workspace.document["endpoints"].append(site)
    write_certificate(path, NOW + timedelta(days=5))
    installation = ready(workspace, receiver, monkeypatch)
    look(installation, NOW)
    assert receiver.kinds("secret-expires") == [("incident.opened", "secret-expires", ("client certificate",))]
    write_certificate(path, NOW + timedelta(days=365))
    look(installation, minutes(1))
    assert [kind for kind, *_ in receiver.kinds("secret-expires")] == ["incident.opened", "incident.recovered"]


def write_certificate(path: Path, until: datetime) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(until - timedelta(days=400)).not_valid_after(until)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


@pytest.mark.slow
def test_many_units_that_fail_are_a_few_messages_and_so_is_one_that_flaps(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = ready(workspace, receiver, monkeypatch, 40)
    for n in range(40):  # one after the other, over ten minutes
        end(installation, minutes(n / 4), f"numbers-1x{n + 1}", code="E_SOURCE_PAGE_FAILED")
        look(installation, minutes(n / 4))
    look(installation, minutes(11))
    told = receiver.kinds("failed")
    assert len(told) <= 21
    assert sum(len(subjects) for *_, subjects in told) == 40
    before = len(receiver.taken)
    for n in range(24):  # a unit that fails and succeeds in turn, for two hours
        end(installation, minutes(20 + 5 * n), "numbers-1x1", code=None if n % 2 == 0 else "E_SOURCE_PAGE_FAILED")
        look(installation, minutes(20 + 5 * n))
    flaps = [kind for kind, condition, _ in receiver.kinds()[before:] if condition == "failed"]
    assert len(flaps) <= 6
    end(installation, minutes(150), "numbers-1x1")
    look(installation, minutes(150))
    look(installation, minutes(211))
    assert receiver.kinds("failed")[-1] == ("incident.recovered", "failed", ("numbers-1x1",))


def test_a_receiver_that_is_away_gets_everything_in_order_when_it_is_back(
    installation: Installation, receiver: Receiver
) -> None:
    receiver.answers = [503, 500, 429]
    end(installation, minutes(0), code="E_SOURCE_DENIED")
    look(installation, minutes(0))
    end(installation, minutes(1))
    for n in range(8):
        look(installation, minutes(1 + n))
    assert [kind for kind, *_ in receiver.kinds("failed")] == ["incident.opened", "incident.recovered"]
    assert receiver.refused == 3
    ids = [headers["webhook-id"] for headers, _ in receiver.taken]
    assert len(set(ids)) == 2


def test_what_cannot_be_delivered_for_a_day_is_a_dead_letter_and_can_be_sent_again(
    installation: Installation, receiver: Receiver
) -> None:
    receiver.answers = [302] * 40
    end(installation, minutes(0), code="E_SOURCE_DENIED")
    check_incidents(installation, minutes(0))
    for n in range(200):
        deliver_due(installation, minutes(10 * n))
    (letter,) = list_dead_letters(installation)
    assert (letter["attempts"], letter["last_error"]) == (10, "HTTP 302")
    receiver.answers = []
    assert resend_dead_letters(installation) == 1
    deliver_due(installation)
    assert [kind for kind, *_ in receiver.kinds("failed")] == ["incident.opened"]


def test_a_receiver_that_is_gone_for_good_and_one_that_is_not_configured_any_more_get_no_second_attempt(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = ready(workspace, receiver, monkeypatch)
    receiver.answers = [410]
    end(installation, minutes(0), code="E_SOURCE_DENIED")
    look(installation, minutes(0))
    assert [letter["last_error"] for letter in list_dead_letters(installation)] == ["HTTP 410"]
    end(installation, minutes(1))
    check_incidents(installation, minutes(2))
    workspace.document["alerts"] = {}
    workspace.apply()
    deliver_due(workspace.installation, minutes(2))
    assert "no receiver" in str(list_dead_letters(installation)[0]["last_error"])


def test_of_two_servers_one_tells_and_a_process_that_dies_after_its_claim_loses_no_message(
    installation: Installation, receiver: Receiver
) -> None:
    end(installation, minutes(0), code="E_SOURCE_DENIED")
    assert check_incidents(installation, minutes(0)) + check_incidents(installation, minutes(0)) == 1
    with installation.catalog.begin() as connection:
        (waiting,) = notifications.waiting(connection)
        assert notifications.claim(connection, waiting, run_records.instant(minutes(1)))
        assert not notifications.claim(connection, waiting, run_records.instant(minutes(1)))
    deliver_due(installation, minutes(0.5))
    assert receiver.taken == []
    deliver_due(installation, minutes(1.5))
    assert len(receiver.taken) == 1


def test_slack_teams_and_mail_get_their_own_form_and_no_name_commands_them(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving_mail() as (port, mails):
        monkeypatch.setenv("CHAT", receiver.url)
        ready(workspace, receiver, monkeypatch)
        workspace.document["alerts"] = {
            "receivers": [
                {"id": "slack", "form": "slack", "url": "env:CHAT"},
                {"id": "teams", "form": "teams", "url": "env:CHAT", "conditions": ["failed"]},
                {"id": "crm", "form": "slack", "url": "env:CHAT", "endpoints": ["crm-*"]},
                {"id": "mail", "form": "email", "host": "127.0.0.1", "port": port, "tls": "none"}
                | {"sender": "ingest@example.org", "to": ["ada@example.org", "bob@example.org"]},
            ]
        }
        workspace.document["units"] = []
        workspace.apply()
        hostile = "<!channel> a&b\r\nBcc: eve@example.org"
        incident = MessageIncident(incident_id="1", subject=hostile, opened_at="2026-01-01T00:00:00")
        fields = {"at": "2026-01-01T00:00:00", "condition": "failed", "endpoint_id": "shop", "total": 1}
        message = Message(message_id="m", kind="incident.opened", incidents=(incident,), **fields)
        settings = workspace.installation.settings
        for wanted in settings.alerts.receivers:
            if is_wanted(message, wanted):
                deliver(message, wanted, settings)
        slack, teams = (json.loads(body) for _, body in receiver.taken)
        assert "&lt;!channel&gt; a&amp;b" in slack["text"]
        assert teams["attachments"][0]["content"]["type"] == "AdaptiveCard"
        (mail,) = mails
        assert "To: ada@example.org, bob@example.org" in mail
        assert "\nBcc:" not in mail.replace("\r", "")


def test_a_test_message_says_who_did_not_take_it(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    installation = ready(workspace, receiver, monkeypatch)
    cli = InProcessCli(workspace.folder, capfd)
    assert cli.json("alert", "test")["receivers"] == [{"receiver": "hook", "form": "webhook", "error": None}]
    assert receiver.messages[0]["type"] == "test"
    receiver.answers = [500]
    assert cli.json("alert", "test", "hook", code=1)["receivers"][0]["error"] == "HTTP 500"
    assert cli.run("alert", "test", "nobody")[0] == 2
    end(installation, NOW, code="E_SOURCE_DENIED")
    assert cli.json("alert", "check")["delivered"] == 1
    assert "failed" in cli.run("alert", "list")[1]
    assert cli.json("alert", "dead") == {"letters": []}
    client = Client(installation, is_watching=True)
    (found,) = client.ask("{ ingestionIncidents { condition subject code endpointId } }", role=Role.VIEWER)[
        "ingestionIncidents"
    ]
    assert found == {"condition": "failed", "subject": "numbers-1x1", "code": "E_SOURCE_DENIED", "endpointId": "shop"}
    told = client.ask("mutation { testAlertReceivers { receiver error } }")["testAlertReceivers"]
    assert told == [{"receiver": "hook", "error": None}]


@pytest.mark.parametrize(
    ("receiver", "message"),
    [
        ({"id": "a", "form": "slack", "url": "https://hooks.example/T/B/x"}, "give a reference"),
        ({"id": "a"}, "needs a url"),
        ({"id": "a", "url": "https://u:p@example.org/"}, "password"),
        ({"id": "a", "url": "nowhere:x"}, "no reference"),
        ({"id": "a", "url": "https://x", "secret": "plain text"}, "secret"),
        ({"id": "a", "form": "email", "host": "x"}, "needs host, sender and to"),
    ],
)
def test_a_receiver_that_cannot_work_is_refused_where_it_is_written(
    workspace: Workspace, receiver: dict[str, Any], message: str
) -> None:
    workspace.document["alerts"] = {"receivers": [receiver]}
    with pytest.raises(ConfigError, match=message):
        load_config(workspace.write())
