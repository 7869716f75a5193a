"""URLs of the settings: a password in one is sealed or refused, and never in what travels with a job or is stored."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest_ray import logs
from ingest_ray.config import load_config, load_settings
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError
from ingest_ray.service.access.key_rotation import rotate_key
from ingest_ray.service.launching.ray_job import runtime_env_of
from ingest_ray.service.launching.ray_jobs_api import RayJobsClient
from ingest_ray.settings import Settings
from tests.service.workspace import Workspace

SECRET = "hunter2-and-more"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path)


def kept(workspace: Workspace) -> str:
    files = [file for file in workspace.folder.rglob("*") if file.is_file() and file != workspace.file]
    return "\n".join(file.read_bytes().decode("utf-8", "replace") for file in files)


def test_a_password_in_the_address_of_a_dashboard_is_sealed_and_in_no_job(workspace: Workspace) -> None:
    workspace.document["ray"] = {"jobs_url": f"http://admin:{SECRET}@127.0.0.1:9"}
    workspace.apply()
    assert workspace.apply().changes == ()
    installation = workspace.installation
    assert SECRET not in json.dumps(runtime_env_of(installation, "run-1"))
    assert SECRET not in kept(workspace)
    assert SECRET not in installation.settings.model_dump_json()
    with RayJobsClient(installation.settings) as jobs:
        assert jobs._client.base_url.password == SECRET
        with pytest.raises(ClusterUnavailable) as caught:
            jobs.find("x")
    assert "http://admin:***@127.0.0.1:9" in str(caught.value)


def test_a_reference_to_the_address_of_a_dashboard_is_followed_when_it_is_used(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD", f"http://admin:{SECRET}@127.0.0.1:9")
    workspace.document["ray"] = {"jobs_url": "env:DASHBOARD"}
    workspace.apply()
    assert "env:DASHBOARD" in json.dumps(runtime_env_of(workspace.installation, "run-1"))
    with RayJobsClient(workspace.installation.settings) as jobs:
        assert jobs._client.base_url.host == "127.0.0.1"


def test_settings_of_an_earlier_version_are_sealed_when_they_are_read(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.apply()
    home = Path(workspace.installation.settings.home)
    document = json.loads((home / "settings.json").read_text())
    document["ray"]["jobs_url"] = f"http://admin:{SECRET}@head"
    (home / "settings.json").write_text(json.dumps(document))
    monkeypatch.setenv("INGEST_HOME", str(home))
    monkeypatch.chdir(home)
    assert SECRET not in load_settings().model_dump_json()


def test_a_rotation_seals_every_address_of_the_settings_again(workspace: Workspace) -> None:
    workspace.document["ray"] = {"jobs_url": f"http://admin:{SECRET}@head"}
    workspace.apply()
    file = Path(workspace.installation.settings.home) / "settings.json"
    before = Settings.model_validate_json(file.read_bytes()).ray.jobs_url
    assert rotate_key(workspace.installation).sealed == 1
    after = Settings.model_validate_json(file.read_bytes()).ray.jobs_url
    assert before != after is not None
    assert after.startswith("sealed:")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"staging": {"uri": f"s3://AKIA:{SECRET}@bucket/x"}}, "staging.uri"),
        ({"staging": {"uri": f"s3://bucket/x?secret_key={SECRET}"}}, "staging.uri"),
        ({"staging": {"uri": f"abfss://c@a.dfs.core.windows.net/x?sig={SECRET}"}}, "staging.uri"),
        ({"ray": {"address": f"ray://:{SECRET}@head:10001"}}, "ray.address"),
        ({"temporal": {"address": f"https://{SECRET}@temporal:7233"}}, "temporal.address"),
        (
            {"serve": {"oidc": {"issuer": "i", "audience": "a", "jwks_url": f"https://u:{SECRET}@id/jwks"}}},
            "serve.oidc.jwks_url",
        ),
        ({"serve": {"allowed_origins": [f"https://u:{SECRET}@tools"]}}, "serve.allowed_origins[0]"),
        ({"ray": {"job_runtime_env": {"env_vars": {"DB": f"postgresql://u:{SECRET}@db/x"}}}}, "ray.job_runtime_env"),
        ({"ray": {"job_runtime_env": {"env_vars": {"AWS_SECRET_ACCESS_KEY": SECRET}}}}, "ray.job_runtime_env"),
        ({"ray": {"job_runtime_env": {"pip": [f"--extra-index-url https://u:{SECRET}@pypi"]}}}, "ray.job_runtime_env"),
        ({"ray": {"job_runtime_env": {"working_dir": f"https://{SECRET}@git/x.zip"}}}, "ray.job_runtime_env"),
    ],
)
def test_a_password_in_any_other_setting_is_refused_by_line_and_field(
    workspace: Workspace, change: dict[str, Any], field: str
) -> None:
    workspace.document |= change
    with pytest.raises(ConfigError, match=r"ingest\.yaml:\d+: ") as caught:
        load_config(workspace.write())
    assert field in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in logs.scrub(f"x {SECRET} y")


def test_a_lake_with_a_key_in_its_address_is_refused(workspace: Workspace) -> None:
    workspace.document["sinks"][0]["config"]["uri"] = f"s3://AKIA:{SECRET}@bucket/lake"
    with pytest.raises(ConfigError, match=r"sinks\[0\]\.config\.uri: must not hold") as caught:
        load_config(workspace.write())
    assert SECRET not in str(caught.value)
