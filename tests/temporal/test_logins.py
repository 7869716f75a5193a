"""Logins at Temporal and at the Jobs API: TLS, mutual TLS, profiles, and keys that are rotated while a process goes on."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_ray.config import load_config
from ingest_ray.payloads.client import connect
from ingest_ray.payloads.connection import read_connection
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError
from ingest_ray.service.launching.ray_jobs_api import RayJobsClient
from ingest_ray.settings import Settings
from ingest_ray.temporal.worker import deployment_of, renew_keys
from tests.temporal.certificates import Authority
from tests.temporal.servers import TemporalServer
from tests.temporal.tls_front import tls_front


def settings_of(folder: Path, **sections: Any) -> Settings:
    file = folder / "ingest.yaml"
    file.write_text(yaml.safe_dump(sections))
    return load_config(file).settings


@pytest.fixture(autouse=True)
def without_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-profiles.toml"))
    for name in ("TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_PROFILE", "INGEST_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_settings_come_before_variables_and_those_before_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_connection(settings_of(tmp_path)).address == "localhost:7233"
    profiles = tmp_path / "temporal.toml"
    profiles.write_text(
        '[profile.default]\naddress = "one:7233"\nnamespace = "first"\n'
        '[profile.prod]\naddress = "prod:7233"\nnamespace = "second"\napi_key = "key-of-the-profile"\n'
        '[profile.prod.grpc_meta]\nx-team = "data"\n'
    )
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(profiles))
    found = read_connection(settings_of(tmp_path))
    assert (found.address, found.namespace, found.tls) == ("one:7233", "first", False)
    prod = read_connection(settings_of(tmp_path, temporal={"profile": "prod"}))
    assert (prod.address, prod.api_key, prod.tls) == ("prod:7233", "key-of-the-profile", True)
    assert dict(prod.headers) == {"x-team": "data"}
    assert "key-of-the-profile" not in repr(prod)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "variable:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY", "key-of-the-variable")
    mixed = read_connection(settings_of(tmp_path, temporal={"profile": "prod", "namespace": "mine"}))
    assert (mixed.address, mixed.namespace, mixed.api_key) == ("variable:7233", "mine", "key-of-the-variable")
    monkeypatch.setenv("MY_KEY", "key-of-the-settings")
    own = read_connection(settings_of(tmp_path, temporal={"address": "own:7233", "api_key": "env:MY_KEY", "tls": True}))
    assert (own.address, own.api_key, own.tls) == ("own:7233", "key-of-the-settings", True)


def test_a_profile_that_is_not_there_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_connection(settings_of(tmp_path, temporal={"config_file": "nowhere.toml"}))
    (tmp_path / "broken.toml").write_text("[profile.default\n")
    with pytest.raises(ConfigError, match="profile of Temporal cannot be read"):
        read_connection(settings_of(tmp_path, temporal={"config_file": str(tmp_path / "broken.toml")}))
    with pytest.raises(ConfigError, match="belong together"):
        settings_of(tmp_path, temporal={"tls": {"certificate": "file:a.pem"}})


@pytest.mark.services
@pytest.mark.cluster
def test_a_server_that_demands_a_certificate_gets_one_and_a_rotated_one_without_a_restart(
    tmp_path: Path, temporal_server: TemporalServer
) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others", "others")
    certificate, key = ours.sign("client")
    tls = {"ca": f"file:{ours.certificate}", "certificate": f"file:{certificate}", "key": f"file:{key}"}
    with tls_front(temporal_server.address, *ours.sign("server"), ours.certificate) as front:
        settings = settings_of(tmp_path, temporal={"address": front.address, "tls": tls})
        asyncio.run(connect(settings))
        for wrong in (
            {},
            {"tls": True},
            {"tls": {**tls, "ca": f"file:{others.certificate}"}},
            {"tls": {"ca": tls["ca"]}},
        ):
            refused = settings_of(tmp_path, temporal={"address": front.address, **wrong})
            with pytest.raises(ClusterUnavailable, match="does not answer"):
                asyncio.run(connect(refused))
        front.trust(others.certificate)  # from now on
        with pytest.raises(ClusterUnavailable):
            asyncio.run(connect(settings))
        for old, new in zip((certificate, key), others.sign("client"), strict=True):
            new.replace(old)
        asyncio.run(connect(settings))


class Renewed:
    """In the place of a worker: counts the connections that it gets."""

    client: Any = None


@pytest.mark.services
@pytest.mark.cluster
def test_a_worker_gets_a_new_connection_where_its_key_was_rotated(
    tmp_path: Path, temporal_server: TemporalServer
) -> None:
    key = tmp_path / "key"
    key.write_text("first")
    temporal = {"address": temporal_server.address, "api_key": f"file:{key}", "tls": False}
    settings = settings_of(tmp_path, temporal=temporal)
    worker = Renewed()

    async def work() -> None:
        stop = asyncio.Event()
        renewing = asyncio.create_task(renew_keys(worker, read_connection(settings), settings, stop, every_s=0.05))  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        assert worker.client is None
        key.unlink()  # a rotation that is under way is a warning
        await asyncio.sleep(0.2)
        key.write_text("second")
        while worker.client is None:
            await asyncio.sleep(0.02)
        assert worker.client.api_key == "second"
        stop.set()
        await asyncio.wait_for(renewing, 60)

    asyncio.run(asyncio.wait_for(work(), 120))


def test_a_worker_has_the_version_of_the_settings(tmp_path: Path) -> None:
    import ingest_ray

    assert deployment_of(settings_of(tmp_path)) is None
    plain = deployment_of(settings_of(tmp_path, temporal={"deployment": {}}))
    assert plain is not None
    assert plain.version.to_canonical_string() == f"ingest-ray.{ingest_ray.__version__}"
    assert plain.use_worker_versioning
    own = {"name": "ingest-prod", "build_id": "2026-11-30", "behavior": "pinned"}
    deployment = deployment_of(settings_of(tmp_path, temporal={"deployment": own}))
    assert deployment is not None
    assert (deployment.version.deployment_name, deployment.version.build_id) == ("ingest-prod", "2026-11-30")
    assert deployment.default_versioning_behavior.name == "PINNED"


class JobsApi(BaseHTTPRequestHandler):
    """Accepts the token of its server, which may be rotated between a refusal and the next request."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append(self.headers.get("Authorization"))
        is_right = self.headers.get("Authorization") == f"Bearer {server.token}"
        server.after()
        self.send_response(404 if is_right else 401)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def jobs_api(authority: tuple[Path, Path] | None = None) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), JobsApi)
    server.token, server.seen, server.after = "first", [], lambda: None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def test_a_token_of_the_jobs_api_may_be_rotated_while_a_client_is_open(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    with jobs_api() as server:
        ray = {"jobs_url": f"http://127.0.0.1:{server.server_port}", "token": f"file:{token}"}
        with RayJobsClient(settings_of(tmp_path, ray=ray)) as jobs:
            assert jobs.find("x") is None
            server.token = "second"
            token.write_text("second")
            assert jobs.find("x") is None  # read anew for each request
            server.token = "third"
            server.after = lambda: token.write_text("third")
            assert jobs.find("x") is None  # refused once, then sent with the new one
            server.token, server.after = "fourth", lambda: None
            with pytest.raises(ConfigError, match="refuses: 401"):
                jobs.find("x")
    assert server.seen == [f"Bearer {name}" for name in ("first", "second", "second", "third", "third")]


def test_the_jobs_api_is_reached_over_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ours")
    with jobs_api(ours.sign("dashboard")) as server:
        ray = {"jobs_url": f"https://127.0.0.1:{server.server_port}", "token": f"file:{tmp_path / 'token'}"}
        (tmp_path / "token").write_text("first")
        with (
            RayJobsClient(settings_of(tmp_path, ray=ray)) as jobs,
            pytest.raises(ClusterUnavailable, match="certificate is not trusted") as refused,
        ):
            jobs.find("x")
        assert "ray.ca" in (refused.value.hint or "")
        with RayJobsClient(settings_of(tmp_path, ray={**ray, "ca": f"file:{ours.certificate}"})) as jobs:
            assert jobs.find("x") is None
    (tmp_path / "no.pem").write_text("-----BEGIN nothing")
    with pytest.raises(ConfigError, match=r"ray\.ca"):
        RayJobsClient(settings_of(tmp_path, ray={**ray, "ca": f"file:{tmp_path / 'no.pem'}"}))
