"""References to stores of secrets: followed by the process that uses them, asked once a run, and shown as references only."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
from pydantic import BaseModel, SecretStr

from ingest_ray import logs, registry
from ingest_ray.config import load_config
from ingest_ray.sdk.contracts import StoredSecret
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable
from ingest_ray.sdk.types import Endpoint
from ingest_ray.secrets import redact, references, resolve, seal, sealing
from ingest_ray.secrets.stores.azure import KeyVault
from ingest_ray.secrets.stores.google import SecretManager
from ingest_ray.secrets.stores.offered import LazySecretStore
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.testing.plugins import write_entry_points
from tests.secrets.stand_ins import AzureStandIn, GoogleStandIn, StandIn, VaultStandIn, serving

NO_SETTINGS = Settings(home="", state_url="")
FIELDS = {"username": "app", "password": "hunter2-stored", "port": 5432, "lines": "a\nb", "nested": {}}


class Model(BaseModel):
    user: SecretStr | None = None
    password: SecretStr | None = None
    url: str | None = None


@pytest.fixture(autouse=True)
def _config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sealing, "config_model_of", lambda template: Model)
    monkeypatch.setattr(references, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setenv("HOME", str(tmp_path))  # no ~/.vault-token, ~/.aws or ~/.config/gcloud
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_ROLE_ID", "VAULT_KUBERNETES_ROLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultStandIn]:
    stand_in = VaultStandIn()
    stand_in.kv = {"kv/shop/db": FIELDS, "old/db": FIELDS, "kv/deleted": None}
    with serving(stand_in):
        monkeypatch.setenv("VAULT_ADDR", stand_in.url)
        monkeypatch.setenv("VAULT_TOKEN", "root-token")
        yield stand_in


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Offers a store of somebody else under the scheme `safe`."""

    def offer(read: Any) -> None:
        content = ModuleType("my_safe")
        kind = type("Safe", (), {"check": lambda self, path: None, "read": lambda self, path: read(path)})
        content.store = kind()  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, "my_safe", content)
        write_entry_points(tmp_path, "my-safe", {registry.SECRET_STORES: {"safe": "my_safe:store"}})
        registry.forget()

    monkeypatch.syspath_prepend(str(tmp_path))
    yield offer
    registry.forget()


def endpoint(**config: Any) -> Endpoint:
    return Endpoint(endpoint_id="shop", template="t", config=config)


def resolved(reference: str, run_id: str | None = None) -> Any:
    return resolve(endpoint(password=reference), NO_SETTINGS, run_id=run_id).config["password"]


def refusal(reference: str, kind: type[Exception] = ConfigError) -> Any:
    with pytest.raises(kind) as caught:
        resolved(reference)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"  # type: ignore[attr-defined]
    return caught.value


# --- of any store


def test_a_store_of_somebody_else_is_found_by_its_entry_point(store: Any) -> None:
    store(lambda path: StoredSecret({"pin": f"hunter2-of-{path}"}))
    assert resolved("safe:a/b#pin") == "hunter2-of-a/b"
    assert logs.scrub("hunter2-of-a/b") == "***"


def test_references_are_stored_and_shown_as_they_are(store: Any) -> None:
    store(lambda path: pytest.fail("a request"))
    config: dict[str, Any] = {"password": "safe:a#pin", "url": "safe:a#url"}
    assert seal(config, Model, NO_SETTINGS) == config
    assert redact(config, Model) == config


def test_a_url_of_a_known_scheme_is_no_reference(store: Any) -> None:
    store(lambda path: pytest.fail("a request"))
    assert resolved("safe://host/path") == "safe://host/path"


def test_one_request_serves_a_whole_run_and_the_next_run_asks_again(store: Any) -> None:
    asked: list[str] = []

    def read(path: str) -> StoredSecret:
        asked.append(path)
        return StoredSecret({"user": "app", "password": f"rotated-{len(asked)}"})

    store(read)
    config = {"user": "safe:db#user", "password": "safe:db#password"}
    for _ in range(3):
        assert resolve(endpoint(**config), NO_SETTINGS, run_id="run-1").config["password"] == "rotated-1"
    assert resolve(endpoint(**config), NO_SETTINGS, run_id="run-2").config["password"] == "rotated-2"
    assert len(asked) == 2
    assert resolve(endpoint(**config), NO_SETTINGS).config["password"] == "rotated-3"
    assert len(asked) == 3  # both fields of one request, which is not kept without a run
    for number in range(references.KEPT_RUNS + 1):
        resolve(endpoint(**config), NO_SETTINGS, run_id=f"other-{number}")
    assert len(references._runs) == references.KEPT_RUNS


def test_a_login_that_the_store_ends_is_asked_for_anew_in_time(store: Any) -> None:
    made: list[str] = []

    def read(path: str) -> StoredSecret:
        made.append(path)
        return StoredSecret(f"login-number-{len(made)}", lifetime_s=1e-6 if len(made) == 1 else 3600)

    store(read)
    assert [resolved("safe:db", "run-9") for _ in range(3)] == ["login-number-1", "login-number-2", "login-number-2"]


def test_a_store_that_is_away_is_asked_again_and_then_is_an_error_that_can_be_tried_again(store: Any) -> None:
    asked: list[str] = []

    def read(path: str) -> StoredSecret:
        asked.append(path)
        if len(asked) != 3:
            raise SecretUnavailable("busy", retry_after_s=0.0)
        return StoredSecret("it-answered")

    store(read)
    assert resolved("safe:db") == "it-answered"
    error = refusal("safe:db", SecretUnavailable)
    assert (error.code, error.message) == ("E_SECRET_UNAVAILABLE", "endpoint 'shop', field 'password': 'safe:db': busy")
    assert len(asked) == 3 + references.ATTEMPTS


@pytest.mark.parametrize(
    ("value", "reference", "message"),
    [
        ("one text", "safe:db#pin", "the secret is one text without fields"),
        ('["hunter2"]', "safe:db#pin", "the secret is one text without fields"),
        ({"pin": "hunter2"}, "safe:db", "the secret has fields, and the reference names none"),
        ({"pin": "hunter2"}, "safe:db#pun", "the secret has no field 'pun'"),
        ({"pin": True}, "safe:db#pin", "field 'pin' of the secret is no text"),
        ({"pin": {"a": "hunter2"}}, "safe:db#pin", "field 'pin' of the secret is no text"),
        ({"pin": None}, "safe:db#pin", "field 'pin' of the secret is no text"),
        ({"pin": "hunter2"}, "safe:db#", "a path and a field are expected"),
        ({"pin": "hunter2"}, "safe:#pin", "a path and a field are expected"),
        ({"pin": "hunter2\nhunter2"}, "safe:db#pin", "several lines or control characters"),
        ("hunter2\x00", "safe:db", "several lines or control characters"),
    ],
)
def test_a_secret_that_is_none_is_refused_by_endpoint_and_field(
    store: Any, value: Any, reference: str, message: str
) -> None:
    store(lambda path: StoredSecret(value))
    error = refusal(reference)
    assert error.code == "E_BAD_INPUT"
    assert error.message.startswith("endpoint 'shop', field 'password'")
    assert message in error.message


def test_a_text_that_is_a_json_object_has_fields_and_numbers_are_texts(store: Any) -> None:
    store(lambda path: StoredSecret('{"port": 5432, "password": " hunter2 "}'))
    assert (resolved("safe:db#port"), resolved("safe:db#password")) == ("5432", "hunter2")


def test_what_a_store_raises_is_never_shown(store: Any) -> None:
    def read(path: str) -> StoredSecret:
        raise RuntimeError("hunter2 is no answer")

    store(read)
    assert refusal("safe:db").message == "endpoint 'shop', field 'password': 'safe:db': the store failed: RuntimeError"


def test_a_secret_is_in_no_text_of_what_carries_it() -> None:
    assert "hunter2" not in repr(StoredSecret({"password": "hunter2"}))


def test_a_missing_library_is_named_with_its_extra() -> None:
    lazy = LazySecretStore("x:path", ".+", "no_such_library_of_secrets:Store", extra="vault")
    with pytest.raises(ConfigError, match="needs the Python package 'no_such_library_of_secrets'") as caught:
        lazy.read("path")
    assert caught.value.hint == "pip install 'ingest-ray[vault]'"


# --- the configuration


def written(tmp_path: Path, config: str) -> Path:
    file = tmp_path / "ingest.yaml"
    file.write_text(f"endpoints:\n  - id: shop\n    template: jdbc.postgres\n    config: {config}\n")
    return file


def test_apply_checks_the_form_of_references_and_asks_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real config models
    monkeypatch.setattr(references, "_read", lambda *_: pytest.fail("a request"))
    config = load_config(written(tmp_path, '{host: db, user: app, password: "vault:kv/shop#password"}'))
    assert config.endpoints[0].config["password"] == "vault:kv/shop#password"
    config = load_config(written(tmp_path, '{url: "aws-sm:prod/shop#url"}'))
    assert config.endpoints[0].config["url"] == "aws-sm:prod/shop#url"
    for wrong, form in (
        ("vault:shop#password", "vault:mount/path#field"),
        ("vault:kv/../sys#password", "vault:mount/path#field"),
        ("gcp-sm:shop", "gcp-sm:projects/PROJECT/secrets/NAME"),
        ("aws-sm:a b", "aws-sm:name"),
        ("azure-kv:shop", "azure-kv:VAULT/NAME"),
    ):
        with pytest.raises(ConfigError, match=r"ingest\.yaml:4: endpoints\[0\]\.config\.password: '") as caught:
            load_config(written(tmp_path, f'{{host: db, password: "{wrong}"}}'))
        assert form in caught.value.message


def test_settings_take_references_of_any_store_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text('ray: {token: "vault:kv/ray#token"}\n')
    assert load_config(file).settings.ray.token == "vault:kv/ray#token"
    file.write_text('ray: {token: "hunter2:plain"}\n')
    with pytest.raises(ConfigError, match=r"ray\.token: it is no reference to a secret"):
        load_config(file)
    with pytest.raises(ValueError, match="token"):
        RaySettings(token="plain-token")


# --- Vault


def test_vault_is_read_as_its_own_client_reads_it(vault: VaultStandIn) -> None:
    for path in ("kv/shop/db", "kv/data/shop/db", "old/db"):
        assert resolved(f"vault:{path}#password") == "hunter2-stored"
    vault.shows_mounts = False
    assert resolved("vault:kv/data/shop/db#password") == "hunter2-stored"


def test_user_and_password_that_vault_makes_belong_together(vault: VaultStandIn) -> None:
    reference = "vault:database/creds/reader#"
    found = resolve(
        endpoint(user=f"{reference}username", password=f"{reference}password"), NO_SETTINGS, run_id="d"
    ).config
    assert found == {"user": "v-reader-1", "password": "made-1"}
    vault.lease_s = 0
    assert resolved(f"{reference}password", "d") == "made-1"


@pytest.mark.parametrize("login", ["approle", "kubernetes"])
def test_vault_login_that_has_ended_is_made_again(
    vault: VaultStandIn, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    if login == "approle":
        monkeypatch.setenv("VAULT_ROLE_ID", "ingest")
        monkeypatch.setenv("VAULT_SECRET_ID", "s3cret-id")
    else:
        (tmp_path / "token").write_text("pod-token\n")
        monkeypatch.setenv("VAULT_KUBERNETES_ROLE", "ingest")
        monkeypatch.setenv("VAULT_KUBERNETES_TOKEN_FILE", str(tmp_path / "token"))
    assert resolved("vault:kv/shop/db#password") == "hunter2-stored"
    vault.tokens.clear()
    assert resolved("vault:kv/shop/db#password") == "hunter2-stored"
    assert [path for path in vault.requests if path.endswith("/login")] == [f"/v1/auth/{login}/login"] * 2


def test_what_vault_refuses_is_named(vault: VaultStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no such secret" in refusal("vault:kv/none#password").message
    assert "there is no such secret" in refusal("vault:kv/deleted#password").message
    assert refusal("vault:kv/shop/db#passwort").hint == "it has: lines, nested, password, port, username"
    monkeypatch.setenv("VAULT_TOKEN", "wrong-token")
    assert "Vault refused: permission denied" in refusal("vault:kv/shop/db#password").message
    monkeypatch.delenv("VAULT_TOKEN")
    assert refusal("vault:kv/shop/db#password").hint.startswith("set VAULT_TOKEN, VAULT_ROLE_ID")
    monkeypatch.delenv("VAULT_ADDR")
    assert "VAULT_ADDR is not set" in refusal("vault:kv/shop/db#password").message


def test_a_sealed_or_busy_vault_is_asked_again(vault: VaultStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.fails = [503, 429, 500]
    assert resolved("vault:kv/shop/db#password") == "hunter2-stored"
    vault.fails = [503] * references.ATTEMPTS
    assert "Vault does not answer: busy" in refusal("vault:kv/shop/db#password", SecretUnavailable).message
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    assert refusal("vault:kv/shop/db#password", SecretUnavailable).hint == "check VAULT_ADDR"


# --- AWS, Google, Azure


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import botocore.session

    requests.post(f"{moto_url}/moto-api/reset", timeout=20)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": moto_url,
    }.items():
        monkeypatch.setenv(name, value)
    return botocore.session.get_session().create_client("secretsmanager")


def test_aws_secrets_are_read_by_name_and_by_arn(aws: Any) -> None:
    arn = aws.create_secret(Name="prod/shop", SecretString=json.dumps(FIELDS))["ARN"]
    aws.create_secret(Name="plain", SecretString="hunter2-plain")
    aws.create_secret(Name="bytes", SecretBinary=b"hunter2-bytes")
    aws.create_secret(Name="noise", SecretBinary=b"\xff\xfe")
    assert resolved("aws-sm:prod/shop#password") == "hunter2-stored"
    assert resolved(f"aws-sm:{arn}#password") == "hunter2-stored"
    assert (resolved("aws-sm:plain"), resolved("aws-sm:bytes")) == ("hunter2-plain", "hunter2-bytes")
    assert "the secret is binary" in refusal("aws-sm:noise").message
    assert "there is no such secret" in refusal("aws-sm:none").message
    aws.put_secret_value(SecretId="plain", SecretString="hunter2-rotated")
    assert resolved("aws-sm:plain", "after") == "hunter2-rotated"


def test_google_secrets_are_read_at_their_newest_version(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = GoogleStandIn()
    name = "projects/shop/secrets/db/versions"
    stand_in.versions = {
        f"{name}/latest": json.dumps(FIELDS).encode(),
        f"{name}/1": b"hunter2-first",
        "projects/shop/locations/europe-west3/secrets/db/versions/latest": b"hunter2-regional",
        f"{name}/2": b"\xff",
    }
    with serving(stand_in):
        made = SecretManager(lambda location: google_client(stand_in))
        monkeypatch.setattr(references, "secret_store", lambda scheme: made)
        assert resolved("gcp-sm:projects/shop/secrets/db#password") == "hunter2-stored"
        assert resolved("gcp-sm:projects/shop/secrets/db/versions/1") == "hunter2-first"
        assert resolved("gcp-sm:projects/shop/locations/europe-west3/secrets/db") == "hunter2-regional"
        assert "the secret is binary" in refusal("gcp-sm:projects/shop/secrets/db/versions/2").message
        assert "there is no such secret" in refusal("gcp-sm:projects/shop/secrets/none").message
        assert refusal("gcp-sm:projects/shop/secrets/forbidden").hint.endswith("roles/secretmanager.secretAccessor")
        stand_in.fails = [503, 429]
        assert resolved("gcp-sm:projects/shop/secrets/db/versions/1") == "hunter2-first"
        stand_in.fails = [500] * references.ATTEMPTS
        refusal("gcp-sm:projects/shop/secrets/db", SecretUnavailable)


def google_client(stand_in: StandIn) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceRestTransport,
    )

    transport = SecretManagerServiceRestTransport(
        host=stand_in.url.removeprefix("http://"), credentials=AnonymousCredentials(), url_scheme="http"
    )
    return SecretManagerServiceClient(transport=transport)


class AzureLogin:
    def get_token(self, *scopes: str) -> Any:
        return type("Token", (), {"token": "aad-token"})


def test_azure_secrets_are_read_with_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = AzureStandIn()
    stand_in.values = {"db-password": "hunter2-azure"}
    with serving(stand_in):
        made = KeyVault(AzureLogin(), stand_in.url)
        monkeypatch.setattr(references, "secret_store", lambda scheme: made)
        assert resolved("azure-kv:shop/db-password") == "hunter2-azure"
        assert "there is no such secret" in refusal("azure-kv:shop/none").message
        stand_in.fails = [429, 503]
        assert resolved("azure-kv:shop/db-password") == "hunter2-azure"
        stand_in.fails = [403]
        assert "Azure refused: 403" in refusal("azure-kv:shop/db-password").message
