"""Runs whose endpoint has its secret in a store: the process that uses it asks, and nothing that is left holds it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_ray.sdk.errors import ConfigError, SecretUnavailable
from ingest_ray.sdk.types import RunState
from ingest_ray.secrets import references
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.secrets.stand_ins import VaultStandIn, serving
from tests.service.workspace import Workspace

UNIT = "numbers-1x1000"
REFERENCE = "vault:kv/shop#password"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultStandIn]:
    stand_in = VaultStandIn()
    stand_in.kv = {"kv/shop": {"password": "vault-horse-battery-staple"}}
    monkeypatch.setattr(references, "FIRST_PAUSE_S", 0.001)
    with serving(stand_in):
        monkeypatch.setenv("VAULT_ADDR", stand_in.url)
        monkeypatch.setenv("VAULT_TOKEN", "root-token")
        yield stand_in


@pytest.fixture
def ready(tmp_path: Path, vault: VaultStandIn) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.source["password"] = REFERENCE
    workspace.apply()
    assert vault.requests == []
    collect(workspace.installation, "shop")
    return workspace


def test_a_run_asks_the_store_once_and_leaves_the_reference_only(
    ready: Workspace, vault: VaultStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vault.requests.clear()
    assert run(ready.installation, "shop", [UNIT]).state is RunState.SUCCEEDED
    assert [path for path in vault.requests if "/mounts/" not in path] == ["/v1/kv/data/shop"]
    left = {str(file): file.read_bytes() for file in ready.folder.rglob("*") if file.is_file()}
    assert [name for name, content in left.items() if b"battery-staple" in content] == []
    assert "battery-staple" not in caplog.text
    assert any(REFERENCE.encode() in content for content in left.values())


def test_a_store_that_is_away_fails_the_run_and_not_the_next_one(ready: Workspace, vault: VaultStandIn) -> None:
    ready.document["units"][0]["policy"] = {"max_attempts": 1}
    ready.apply()
    vault.fails = [503] * references.ATTEMPTS
    with pytest.raises(SecretUnavailable, match="Vault does not answer"):
        collect(ready.installation, "shop")
    vault.fails = [503] * references.ATTEMPTS
    report = run(ready.installation, "shop", [UNIT])
    assert report.units[0].error is not None
    assert (report.state, report.units[0].error.code) == (RunState.FAILED, "E_SECRET_UNAVAILABLE")
    assert run(ready.installation, "shop", [UNIT]).state is RunState.SUCCEEDED


def test_a_secret_that_is_gone_is_named_with_its_field(ready: Workspace, vault: VaultStandIn) -> None:
    vault.kv.clear()
    with pytest.raises(ConfigError, match=f"endpoint 'shop', field 'password': '{REFERENCE}': there is no such secret"):
        collect(ready.installation, "shop")
