"""Secrets: sealed at rest, plain only when resolved, shown nowhere."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import credentials_of, shown_url
from ingest_ray.secrets import redact, resolve, seal, sealing
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.settings import Settings

SECRET = "hunter2"


class Inner(BaseModel):
    token: SecretStr | None = None
    name: str = ""


class Model(BaseModel):
    password: SecretStr | None = None
    url: str | None = None
    inner: Inner = Inner()
    many: list[Inner] = []
    options: dict[str, SecretStr] = {}
    keys: list[SecretStr] = []


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("INGEST_SECRET_KEY", raising=False)
    monkeypatch.setattr(sealing, "config_model_of", lambda template: Model)
    return Settings(home=str(tmp_path / "home"), state_url="sqlite://")


def endpoint(config: Any) -> Endpoint:
    return Endpoint(endpoint_id="shop", template="t", config=config)


EVERYWHERE: dict[str, Any] = {
    "password": SECRET,
    "url": f"postgresql://app:{SECRET}@db/shop",
    "inner": {"token": SECRET, "name": "plain"},
    "many": [{"token": SECRET}, {"name": "plain"}],
    "options": {"a": SECRET},
    "keys": [SECRET, "env:KEY"],
}


def test_a_secret_is_sealed_wherever_it_stands_and_comes_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = seal(EVERYWHERE, Model, settings)
    assert SECRET not in json.dumps(sealed)
    assert sealed["inner"]["name"] == "plain"  # type: ignore[index, call-overload]
    monkeypatch.setenv("KEY", "k")
    expected = json.loads(json.dumps(EVERYWHERE).replace("env:KEY", "k"))
    assert resolve(endpoint(sealed), settings).config == expected


def test_what_is_shown_keeps_references_and_hides_the_rest(settings: Settings) -> None:
    for config in (EVERYWHERE, seal(EVERYWHERE, Model, settings)):
        shown = redact(config, Model)
        assert SECRET not in json.dumps(shown)
        assert shown["url"] == "postgresql://app:***@db/shop"
        assert shown["keys"] == ["***", "env:KEY"]
        Model.model_validate(shown)


def test_sealing_again_keeps_the_ciphertext_of_what_did_not_change(settings: Settings) -> None:
    first = seal(EVERYWHERE, Model, settings)
    assert seal(EVERYWHERE, Model, settings, previous=first) == first
    changed = seal({**EVERYWHERE, "password": "other-secret"}, Model, settings, previous=first)
    assert [name for name in first if first[name] != changed[name]] == ["password"]


def test_a_missing_variable_and_a_missing_file_are_named_with_endpoint_and_field(
    settings: Settings, tmp_path: Path
) -> None:
    config = {"inner": {"token": "env:NO_SUCH_VARIABLE"}}
    with pytest.raises(
        ConfigError, match=r"endpoint 'shop', field 'inner\.token': the environment variable 'NO_SUCH_VARIABLE'"
    ):
        resolve(endpoint(config), settings)
    with pytest.raises(ConfigError, match=r"field 'keys\[0\]': the file '.*/none' cannot be read"):
        resolve(endpoint({"keys": [f"file:{tmp_path}/none"]}), settings)


def test_references_are_followed_when_resolved_and_kept_when_sealed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("from-the-file\n")
    monkeypatch.setenv("SHOP_URL", f"postgresql://app:{SECRET}@db/shop")
    config: dict[str, Any] = {
        "password": f"file:{tmp_path}/secret",
        "url": "env:SHOP_URL",
        "inner": {"name": "env:NOT_A_SECRET"},
    }
    assert seal(config, Model, settings) == config
    assert resolve(endpoint(config), settings).config == {
        "password": "from-the-file",
        "url": f"postgresql://app:{SECRET}@db/shop",
        "inner": {"name": "env:NOT_A_SECRET"},
    }


def test_the_key_file_is_for_its_owner_only_and_another_key_is_told_apart(settings: Settings) -> None:
    sealed = seal({"password": SECRET}, Model, settings)
    file = Path(settings.home) / "secret.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    with pytest.raises(ConfigError, match="no key to open secrets"):
        resolve(endpoint(sealed), settings)
    Keyring(settings).seal("x")
    with pytest.raises(ConfigError, match=r"endpoint 'shop', field 'password' was sealed with another key"):
        resolve(endpoint(sealed), settings)


def test_the_key_of_the_environment_wins_and_a_wrong_one_is_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.fernet import Fernet

    monkeypatch.setenv("INGEST_SECRET_KEY", Fernet.generate_key().decode())
    sealed = seal({"password": SECRET}, Model, settings)
    assert not Path(settings.home).exists()
    assert resolve(endpoint(sealed), settings).config == {"password": SECRET}
    monkeypatch.setenv("INGEST_SECRET_KEY", "a-passphrase-that-is-no-key")
    with pytest.raises(ConfigError, match="not a Fernet key") as caught:
        resolve(endpoint(sealed), settings)
    assert "a-passphrase" not in str(caught.value)


def test_of_many_that_make_the_key_at_once_all_have_the_same(settings: Settings) -> None:
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(Keyring(settings).seal("x"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Keyring(settings).opens(token) for token in tokens] == ["x"] * 16
    assert os.listdir(settings.home) == ["secret.key"]


URLS = [
    "postgresql://app:{}@db:5432/shop?x=1",
    "jdbc:postgresql://db/shop?user=app&password={}",
    "jdbc:mysql://app:{}@db/shop",
    "jdbc:sqlserver://db;user=app;password={};encrypt=true",
    "jdbc:oracle:thin:scott/{}@db:1521/x",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{}%3B",
    "https://db/api?token={}",
]


@pytest.mark.parametrize("url", URLS)
def test_a_password_in_a_url_is_found_in_every_spelling(url: str) -> None:
    assert SECRET in credentials_of(url.format(SECRET))
    assert SECRET not in shown_url(url.format(SECRET))


@given(st.text(st.characters(codec="utf-8", exclude_characters="/?#&;"), min_size=4))
def test_no_password_in_a_url_is_shown_whatever_is_in_it(password: str) -> None:
    url = f"postgresql://app:{password}@database.example/shop"
    assert shown_url(url).endswith("@database.example/shop")
    assert len(shown_url(url)) == len("postgresql://app:***@database.example/shop")


@pytest.mark.parametrize(
    "url", ["sqlite:///shop.db", "https://db:8080/path", "postgresql://app@db/shop", "./lake", "s3://bucket/x"]
)
def test_a_url_without_a_password_stays_as_it_is(url: str) -> None:
    assert credentials_of(url) == ()
    assert shown_url(url) == url
