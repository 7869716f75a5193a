"""TLS on the connection that reads the binary log: the endpoint's settings count for it as for every other."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.servers.mariadb import MariaDatabase, MariaServer, fresh_database, running_server
from ingest_strategies.jdbc.mysql.changes.event_stream import open_stream
from ingest_strategies.jdbc.mysql.dialect import Mysql
from tests.changes.binlog_world import LOG_OPTIONS, binlog_world, write
from tests.changes.log_world import assert_equal
from tests.kv.tls_proxy import certificate
from tests.verify.table_world import TableWorld

pytestmark = [pytest.mark.slow, pytest.mark.services]
TLS_RECORD = 0x16
SSL_REQUEST_BYTES = (
    36  # a header and 32 bytes, before the user's name: https://mariadb.com/kb/en/connection/#sslrequest-packet
)


class RecordingProxy:
    """In front of a server on 127.0.0.1; `sent` has what each connection's client sent."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent: list[bytearray] = []
        self.received: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.sent.append(bytearray())
                self.received.append(bytearray())
                given = (client, self.sent[-1], self.received[-1])
                threading.Thread(target=self._join, args=given, daemon=True).start()

    def _join(self, client: socket.socket, sent: bytearray, received: bytearray) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            answers = threading.Thread(target=self._copy, args=(server, client, received), daemon=True)
            answers.start()
            self._copy(client, server, sent)
            answers.join()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket, seen: bytearray) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                seen += data
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guarded(pem: Path) -> Iterator[MariaServer]:
    """Trusts one client certificate, the same as its own."""
    tls = (f"--ssl-cert={pem}", f"--ssl-key={pem}", f"--ssl-ca={pem}")
    with running_server(*LOG_OPTIONS, *tls) as server:
        yield server


@pytest.fixture
def proxy(guarded: MariaServer) -> Iterator[RecordingProxy]:
    made = RecordingProxy(guarded.port)
    yield made
    made.close()


def world_of(folder: Path, database: MariaDatabase, port: int, user: str, **config: Any) -> TableWorld:
    world = binlog_world(folder, database)
    config["url"] = f"mysql://{user}@127.0.0.1:{port}/{database.name}"
    return TableWorld(**{**vars(world), "endpoint": world.endpoint.model_copy(update={"config": config})})


def test_every_connection_of_a_run_of_changes_has_the_tls_that_is_demanded(
    tmp_path: Path, guarded: MariaServer, proxy: RecordingProxy, pem: Path
) -> None:
    database = fresh_database(guarded)
    user = f"{database.name}_x"
    write(
        database,
        f"CREATE USER {user}@'%' REQUIRE X509",
        f"GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {user}@'%'",
        "CREATE TABLE t (id int PRIMARY KEY, name varchar(40))",
        "INSERT INTO t VALUES (1, 'seen by nobody between')",
    )
    tls = {"ssl_mode": "verify-identity", "ssl_ca": str(pem), "ssl_cert": str(pem), "ssl_key": str(pem)}
    world = world_of(tmp_path, database, proxy.port, user, **tls)
    report = strategy_for("jdbc.mysql").test(world.endpoint)
    assert "run_mode CHANGES is possible" in [found.message for found in report.diagnostics]
    world.run()
    write(database, "INSERT INTO t VALUES (2, 'seen by nobody between')", "UPDATE t SET id = 3 WHERE id = 1")
    before = len(proxy.sent)
    world.run()
    assert_equal(world)
    assert len(proxy.sent) > before + 1
    for sent, received in zip(proxy.sent, proxy.received, strict=True):
        assert sent[SSL_REQUEST_BYTES] == TLS_RECORD
        assert user.encode() not in sent
        assert b"seen by nobody" not in received


def test_a_stream_without_the_right_authority_is_refused_as_every_connection(
    tmp_path: Path, guarded: MariaServer, tmp_path_factory: pytest.TempPathFactory, pem: Path
) -> None:
    other = certificate(tmp_path_factory.mktemp("other"))
    database = fresh_database(guarded)
    world = world_of(tmp_path, database, guarded.port, "root", ssl_mode="verify-ca", ssl_ca=str(pem))
    assert strategy_for("jdbc.mysql").test(world.endpoint).ok
    wrong = world.endpoint.model_copy(update={"config": {**world.endpoint.config, "ssl_ca": str(other)}})
    stream, session = (refusal(wrong, opens) for opens in ("stream", "session"))
    assert type(stream) is type(session)
    assert "certificate" in stream.message.lower()
    assert "certificate" in session.message.lower()
    assert not strategy_for("jdbc.mysql").test(wrong).ok


def refusal(endpoint: Endpoint, opens: str) -> IngestError:
    with pytest.raises(IngestError) as caught, open_stream(endpoint) if opens == "stream" else Mysql().open(endpoint):
        pass
    return caught.value


@pytest.mark.parametrize("mode", ["required", "verify-ca", "verify-identity"])
def test_a_stream_from_a_server_without_tls_sends_nothing_where_tls_is_demanded(
    mode: str, maria_log_server: MariaServer, pem: Path
) -> None:
    proxy = RecordingProxy(maria_log_server.port)
    config = {"url": f"mysql://root@127.0.0.1:{proxy.port}", "ssl_mode": mode, "ssl_ca": str(pem)}
    error = refusal(Endpoint(endpoint_id="my", template="jdbc.mysql", config=config), "stream")
    assert "SSL is required but the server doesn't support it" in error.message
    assert [bytes(sent) for sent in proxy.sent] == [b""]
    proxy.close()
