"""SSH tunnels through a real OpenSSH server, to PostgreSQL and MariaDB, as sources and as sinks."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingest_ray.connections import ssh, tunnel
from ingest_ray.connections.tunnel import Tunnel, TunnelConfig, TunnelFault
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError, SinkUnavailable, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Endpoint, RunMode, WriteMode
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.servers.mariadb import MariaDatabase
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.servers.sshd import PASSPHRASE, SshServer
from ingest_ray.testing.suites.sink_harness import Load
from ingest_strategies.jdbc.postgres.dialect import Postgres as PostgresDialect
from tests.connections.postgres_front import PostgresFront, postgres_front
from tests.kv.tls_proxy import certificate
from tests.strategies.jdbc.conftest import rehearsal

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def _close_tunnels() -> Iterator[None]:
    yield
    tunnel._close_all()
    tunnel._tunnels.clear()


@pytest.fixture
def front(pg: Postgres) -> Iterator[PostgresFront]:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pg.run("INSERT INTO t SELECT n, 'x' FROM generate_series(1, 40) n")
    with postgres_front(pg.folder) as running:
        yield running


def through(server: SshServer, **config: Any) -> dict[str, Any]:
    fields = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "private_key": server.plain_key.strip(),
        "host_key": server.host_key,
    }
    return {name: value for name, value in {**fields, **config}.items() if value is not None}


def source(front: PostgresFront, pg: Postgres, way: dict[str, Any], **config: Any) -> Endpoint:
    fields = {"host": "127.0.0.1", "port": front.port, "database": pg.name, "user": "postgres", "tunnel": way}
    return Endpoint(endpoint_id="pg", template="jdbc.postgres", config={**fields, **config})


class SinkWorld:
    def __init__(self, url: str, way: dict[str, Any]) -> None:
        self.url = url
        self._config = SqlConfig.model_validate({"url": url, "tunnel": way})

    def open(self) -> Any:
        return open_sink(self._config)

    def read_all(self, target: Any) -> list[dict[str, Any]]:
        return []


def clients() -> list[psutil.Process]:
    """The tunnels' clients that this process started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() == "ssh":
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_ended(process: psutil.Process) -> bool:
    """Also where its parent does not know it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_postgres_source_is_read_through_one_tunnel(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront
) -> None:
    unit = rehearsal(source(front, pg, through(ssh_server)), "public.t", 10, RunMode.FULL)
    assert (len(unit.run().rows), len(unit.outcome.slices)) == (40, 4)
    assert len(clients()) == 1
    assert front.plain >= 6


def test_a_postgres_sink_is_written_through_a_tunnel_that_breaks(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront
) -> None:
    load = Load(
        SinkWorld(f"postgresql://postgres@127.0.0.1:{front.port}/{pg.name}", through(ssh_server)), WriteMode.UPSERT
    )
    load.put((1, 1, "a"), first=True)
    (client,) = clients()
    client.kill()
    client.wait(10)
    load.put((2, 1, "b"))
    assert [process.pid for process in clients()] != [client.pid]


def test_mariadb_is_read_and_written_through_a_tunnel(ssh_server: SshServer, mariadb: MariaDatabase) -> None:
    mariadb.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    mariadb.run("INSERT INTO t SELECT seq, 'x' FROM seq_1_to_40")
    config = {"host": "127.0.0.1", "port": mariadb.server.port, "user": "root", "database": mariadb.name}
    endpoint = Endpoint(endpoint_id="my", template="jdbc.mysql", config={**config, "tunnel": through(ssh_server)})
    unit = rehearsal(endpoint, f"{mariadb.name}.t", 10, RunMode.FULL)
    assert len(unit.run().rows) == 40
    url = f"mysql://root@127.0.0.1:{mariadb.server.port}/{mariadb.name}"
    load = Load(SinkWorld(url, through(ssh_server)), WriteMode.UPSERT)
    load.put((1, 1, "a"), first=True)
    assert len(clients()) == 1


def test_the_certificate_is_compared_with_the_name_of_the_server_and_not_of_the_tunnel(
    ssh_server: SshServer, pg: Postgres, tmp_path: Path
) -> None:
    pem = certificate(tmp_path)
    with postgres_front(pg.folder, pem) as front:
        good = source(front, pg, through(ssh_server), sslmode="verify-full", sslrootcert=str(pem))
        assert strategy_for("jdbc.postgres").test(good).ok
        other = good.model_copy(update={"config": {**good.config, "host": "localhost"}})
        assert "localhost" in strategy_for("jdbc.postgres").test(other).diagnostics[0].message


@pytest.mark.parametrize("way", ["passphrase", "known_hosts"])
def test_keys_with_a_passphrase_and_files_of_known_hosts_are_taken(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront, way: str
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "passphrase": {"private_key": ssh_server.private_key.strip(), "passphrase": PASSPHRASE},
        "known_hosts": {"host_key": None, "known_hosts": str(ssh_server.known_hosts())},
    }
    report = strategy_for("jdbc.postgres").test(source(front, pg, through(ssh_server, **ways[way])))
    assert report.ok, report.diagnostics


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        ("host_key", "Host key verification failed", "the host has another key"),
        ("unknown_key", "Permission denied", "check the tunnel's user"),
        ("passphrase", "Permission denied|incorrect passphrase", "check the tunnel's user"),
        ("no_key", "Permission denied|invalid format|error in libcrypto", "check the tunnel's user"),
        ("known_hosts", "does not exist", "field 'known_hosts'"),
    ],
)
def test_a_tunnel_that_is_refused_says_why_and_sends_nothing(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront, wrong: str, message: str, hint: str
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "host_key": {"host_key": ssh_server.other_key},
        "unknown_key": {"private_key": ssh_server.unknown_key.strip()},
        "passphrase": {"private_key": ssh_server.private_key.strip(), "passphrase": "wrong-passphrase"},
        "no_key": {"private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"},
        "known_hosts": {"host_key": None, "known_hosts": "/nowhere/known_hosts"},
    }
    endpoint = source(front, pg, through(ssh_server, **ways[wrong]))
    with pytest.raises(SourceDenied, match=message) as caught:
        list(strategy_for("jdbc.postgres").collect(endpoint))
    assert caught.value.hint is not None
    assert hint in caught.value.hint
    assert "wrong-passphrase" not in caught.value.message
    with pytest.raises(ConfigError, match=message):
        Load(
            SinkWorld(f"postgresql://postgres@127.0.0.1:{front.port}/{pg.name}", through(ssh_server, **ways[wrong])),
            WriteMode.APPEND,
        )
    assert (front.plain, clients()) == (0, [])


def test_a_host_that_is_away_can_be_tried_again(ssh_server: SshServer, pg: Postgres, front: PostgresFront) -> None:
    endpoint = source(front, pg, through(ssh_server))
    ssh_server.stop()
    try:
        with pytest.raises(SourceUnavailable, match=r"cannot be opened: ssh: connect to host .* Connection refused"):
            list(strategy_for("jdbc.postgres").collect(endpoint))
        with pytest.raises(SinkUnavailable, match="Connection refused"):
            Load(
                SinkWorld(f"postgresql://postgres@127.0.0.1:{front.port}/{pg.name}", through(ssh_server)),
                WriteMode.APPEND,
            )
    finally:
        ssh_server.start()
    assert strategy_for("jdbc.postgres").test(endpoint).ok


def test_a_database_that_is_away_behind_the_tunnel_is_told_by_the_tunnel(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront
) -> None:
    front.close()
    with pytest.raises(SourceUnavailable, match=r"\(the tunnel: .*open failed: connect failed: Connection refused"):
        list(strategy_for("jdbc.postgres").collect(source(front, pg, through(ssh_server))))


@pytest.mark.parametrize("ends", ["client", "server"])
def test_a_tunnel_that_breaks_under_a_slice_is_a_lost_connection(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront, ends: str
) -> None:
    dialect, endpoint = PostgresDialect(), source(front, pg, through(ssh_server))

    def break_it() -> None:
        (client,) = clients()
        if ends == "client":
            client.kill()
            wait_until(lambda: has_ended(client))
        else:
            ssh_server.stop()

    def ask_a_broken_one() -> None:
        with dialect.open(endpoint) as session:
            assert session.rows("SELECT 1::bigint") == [(1,)]
            break_it()
            session.rows("SELECT 2::bigint")

    with pytest.raises(SourceUnavailable):
        ask_a_broken_one()
    if ends == "server":
        ssh_server.start()
    with dialect.open(endpoint) as session:
        assert session.rows("SELECT 3::bigint") == [(3,)]


def test_a_tunnel_is_opened_again_before_the_parent_of_its_client_knows_that_the_client_ended(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "END_S", 0.2)
    dialect, endpoint = PostgresDialect(), source(front, pg, through(ssh_server))
    with dialect.open(endpoint) as session:
        assert session.rows("SELECT 1::bigint") == [(1,)]
    (client,) = clients()
    shell = client.parent()
    assert shell is not None
    shell.suspend()
    try:
        client.kill()
        wait_until(lambda: has_ended(client))
        with dialect.open(endpoint) as session:
            assert session.rows("SELECT 2::bigint") == [(2,)]
    finally:
        if shell.is_running():
            shell.resume()


def test_no_secret_is_an_argument_or_in_the_environment_or_on_disk(
    ssh_server: SshServer, pg: Postgres, front: PostgresFront
) -> None:
    way = through(ssh_server, private_key=ssh_server.private_key.strip(), passphrase=PASSPHRASE)
    assert strategy_for("jdbc.postgres").test(source(front, pg, way)).ok
    secrets = [PASSPHRASE, ssh_server.private_key.splitlines()[2]]
    (client,) = clients()
    for process in (client, client.parent()):
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{process.pid}/{name}").read_bytes()
            assert [secret for secret in secrets if secret.encode() in content] == []
    script = Path(client.environ()["SSH_ASKPASS"])
    assert [secret for secret in secrets if secret in script.read_text()] == []
    assert script.parent.stat().st_mode & 0o077 == 0
    assert repr(tunnel._tunnels).count("PRIVATE KEY") == 0


PROCESS = """
import sys, time, json
from ingest_ray.connections.tunnel import Tunnel, TunnelConfig
way = Tunnel(TunnelConfig.model_validate(json.loads(sys.stdin.readline())), "127.0.0.1", 5432)
print(way.local_port(), flush=True)
time.sleep(300)
"""


def test_a_tunnel_ends_with_a_process_that_is_killed(ssh_server: SshServer) -> None:
    holder = subprocess.Popen([sys.executable, "-c", PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(json.dumps(through(ssh_server)) + "\n")
    holder.stdin.flush()
    assert int(holder.stdout.readline()) > 0
    family = psutil.Process(holder.pid).children(recursive=True)
    assert "ssh" in [process.name() for process in family]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    wait_until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family))
    holder.stdin.close()
    holder.stdout.close()


def test_an_unused_tunnel_is_closed_and_a_used_one_is_not(
    ssh_server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "IDLE_S", 0.2)
    config = TunnelConfig.model_validate(through(ssh_server))
    first, second = Tunnel(config, "127.0.0.1", 1), Tunnel(config, "127.0.0.1", 1)
    assert first.local_port() == second.local_port()
    first.close()
    first.close()  # counts once
    time.sleep(0.5)
    assert len(clients()) == 1
    second.close()
    wait_until(lambda: clients() == [])


def test_a_port_that_somebody_took_meanwhile_is_replaced(
    ssh_server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1], ssh._free_port()]
        monkeypatch.setattr(ssh, "_free_port", lambda: ports.pop(0))
        way = Tunnel(TunnelConfig.model_validate(through(ssh_server)), "127.0.0.1", 1)
        assert way.local_port() != taken.getsockname()[1]
        way.close()


FAKE_CLIENT = """#!/bin/sh
answer=$("$SSH_ASKPASS" "app@bastion's password: ")
if [ "$answer" = "it's a \\$secret" ]; then echo ready; exec sleep 300; fi
echo "app@bastion: Permission denied (password)." >&2; exit 255
"""


def test_the_client_asks_for_a_password_and_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a system's user no test knows a password: a program in the client's place asks as the client does."""
    (tmp_path / "ssh").write_text(FAKE_CLIENT)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    way = {"host": "bastion", "user": "app", "host_key": "ssh-ed25519 AAAA", "password": "it's a $secret"}
    good = Tunnel(TunnelConfig.model_validate(way), "db", 5432)
    assert good.local_port() > 0
    good.close()
    wrong = Tunnel(TunnelConfig.model_validate({**way, "password": "another"}), "db", 5432)
    with pytest.raises(TunnelFault, match="Permission denied") as caught:
        wrong.local_port()
    assert caught.value.is_denied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host_key": None}, "the key of the tunnel's host is verified: give 'host_key'"),
        ({"known_hosts": "/x"}, "the key of the tunnel's host is verified"),
        ({"private_key": None}, "a tunnel needs 'private_key' or 'password'"),
        ({"private_key": None, "password": "x", "passphrase": "y"}, "'passphrase' is that of a 'private_key'"),
        ({"host_key": "not a key"}, "tunnel.host_key"),
        ({"host_key": "ssh-ed25519 AAAA\nssh-rsa BBBB"}, "tunnel.host_key"),
        ({"host": "-oProxyCommand=touch x"}, "tunnel.host"),
        ({"host": "a b"}, "tunnel.host"),
        ({"user": "-l"}, "tunnel.user"),
        ({"port": 0}, "tunnel.port"),
    ],
)
def test_a_tunnel_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    way = {"host": "bastion", "user": "app", "private_key": "-----BEGIN X", "host_key": "ssh-ed25519 AAAA", **change}
    config = {"host": "db", "tunnel": {name: value for name, value in way.items() if value is not None}}
    with pytest.raises(ConfigError) as caught:
        list(strategy_for("jdbc.postgres").collect(Endpoint(endpoint_id="e", template="jdbc.postgres", config=config)))
    assert message in caught.value.message
    assert "BEGIN X" not in caught.value.message


def test_a_tunnel_leads_to_one_host() -> None:
    way = {"host": "bastion", "user": "app", "password": "x", "host_key": "ssh-ed25519 AAAA"}
    for template, config in (
        ("jdbc.postgres", {"host": "/var/run/postgresql"}),
        ("jdbc.postgres", {"host": "a,b"}),
        ("jdbc.mysql", {"unix_socket": "/run/mysql.sock"}),
    ):
        with pytest.raises(ConfigError, match="tunnel"):
            list(
                strategy_for(template).collect(
                    Endpoint(endpoint_id="e", template=template, config={**config, "tunnel": way})
                )
            )
    for url in (
        "postgresql://a@/db?host=/run/pg",
        "postgresql://a@x,y/db",
        "mysql://a@h/db?unix_socket=/x",
        "sqlite:///x",
    ):
        with pytest.raises(ConfigError, match="tunnel"):
            open_sink(SqlConfig.model_validate({"url": url, "tunnel": way}))
