"""TLS to a MariaDB that has a certificate of its own, and to one that has none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.models import ConnectionReport, Endpoint
from ingest_ray.registry import strategy_for
from ingest_ray.testing.mariadb import MariaDatabase, MariaServer, running_server
from tests.kv.tls_door import certificate

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guarded(pem: Path) -> Iterator[MariaServer]:
    with running_server(f"--ssl-cert={pem}", f"--ssl-key={pem}", "--require-secure-transport=ON") as server:
        yield server


def report(port: int, host: str = "127.0.0.1", **config: Any) -> ConnectionReport:
    endpoint = Endpoint(
        endpoint_id="my", template="jdbc.mysql", config={"url": f"mysql://root@{host}:{port}", **config}
    )
    return strategy_for("jdbc.mysql").test(endpoint)


def test_a_certificate_is_trusted_when_its_authority_is_named(guarded: MariaServer, pem: Path) -> None:
    assert report(guarded.port, ssl_mode="verify-identity", ssl_ca=str(pem)).ok
    assert report(guarded.port, ssl_mode="verify-ca", ssl_ca=str(pem)).ok
    assert report(guarded.port, ssl_mode="required").ok
    assert report(guarded.port, ssl_mode="preferred").ok


def test_a_certificate_of_nobody_is_refused(guarded: MariaServer) -> None:
    refused = report(guarded.port, ssl_mode="verify-identity")
    assert not refused.ok
    assert "certificate" in refused.diagnostics[0].message.lower()


def test_a_certificate_of_another_host_is_refused(guarded: MariaServer, pem: Path) -> None:
    assert report(guarded.port, "localhost", ssl_mode="verify-ca", ssl_ca=str(pem)).ok
    refused = report(guarded.port, "localhost", ssl_mode="verify-identity", ssl_ca=str(pem))
    assert not refused.ok
    assert "localhost" in refused.diagnostics[0].message


def test_a_server_that_demands_tls_refuses_a_plain_session(guarded: MariaServer) -> None:
    assert not report(guarded.port, ssl_mode="disabled").ok


@pytest.mark.parametrize("mode", ["required", "verify-ca", "verify-identity"])
def test_a_server_without_tls_is_refused_where_tls_is_asked_for(mariadb: MariaDatabase, mode: str) -> None:
    told = report(mariadb.server.port, ssl_mode=mode).diagnostics[0].message
    assert "SSL is required but the server doesn't support it" in told
