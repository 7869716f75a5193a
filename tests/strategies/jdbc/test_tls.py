"""TLS to a MariaDB that has a certificate of its own, and to one that has none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import SourceError
from ingest_ray.sdk.types import ConnectionReport, Endpoint
from ingest_ray.testing.servers.mariadb import MariaDatabase, MariaServer, running_server
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.mysql.session import MysqlSession
from tests.kv.tls_proxy import certificate

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


@pytest.mark.parametrize("mode", ["preferred", "required"])
def test_a_result_of_many_reads_comes_whole_through_tls(guarded: MariaServer, mode: str) -> None:
    config = MysqlConfig.model_validate({"url": f"mysql://root@127.0.0.1:{guarded.port}/mysql", "ssl_mode": mode})
    session = MysqlSession(config, lambda message, number: SourceError(message))
    assert session.rows("SHOW STATUS LIKE 'Ssl_cipher'")[0][1]
    batches = list(session.batches("SELECT seq, repeat('x', seq % 300) FROM seq_1_to_50000", {"page_bytes": "1000000"}))
    found = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
    assert found == [(b"%d" % number, b"x" * (number % 300)) for number in range(1, 50_001)]
    assert session.rows("SELECT 1") == [(1,)]
    session.close()


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
