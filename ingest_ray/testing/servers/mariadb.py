"""A real MariaDB for tests, where `mariadbd` is on the machine: one per test session, a fresh database per test.

Use it in the top `conftest.py`: `pytest_plugins = ["ingest_ray.testing.servers.mariadb"]`.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.testing.servers.postgres import missing, server_folder

START_S = 60
INSTALL_TRIES = 4


class MariaServer:
    """Listens on 127.0.0.1 and on a Unix socket; `root` has no password."""

    def __init__(self, folder: Path, server: str, options: Sequence[str] = ()) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.socket = folder / "socket"
        self._command = [
            server,
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--tmpdir={temporary_folder(folder)}",
            f"--user={getpass.getuser()}",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-use-native-aio=0",  # the kernel has few such requests, and other servers use them
            *options,
        ]

    def start(self) -> None:
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"mariadbd did not start: {(self._folder / 'log').read_text()[-500:]}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def connect(self, database: str | None = None) -> Any:
        import pymysql

        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,  # to load the trusted certificates takes longer than most tests
        )


def temporary_folder(folder: Path) -> Path:
    """For the temporary tables of one server: a server that starts removes all that it finds, also another server's in /tmp."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return temporary


def make_data(install: str, folder: Path) -> None:
    """Writes an empty data folder; every retry starts from an empty one."""
    options = ["--no-defaults", f"--datadir={folder}", "--auth-root-authentication-method=normal"]
    options.append(f"--tmpdir={temporary_folder(folder.parent)}")
    said = ""
    for _ in range(INSTALL_TRIES):
        done = subprocess.run(
            [
                install,
                *options,
                "--force",
                "--skip-test-db",
                "--innodb-use-native-aio=0",
                f"--user={getpass.getuser()}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode == 0:
            return
        said = done.stdout[-2000:]
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(1)
    raise RuntimeError(f"mariadb-install-db failed {INSTALL_TRIES} times: {said}")


@contextmanager
def running_server(*server_options: str) -> Iterator[MariaServer]:
    server, install = shutil.which("mariadbd", path=_PATH), shutil.which("mariadb-install-db", path=_PATH)
    if server is None or install is None:
        missing("mariadbd, a MariaDB server,")
    folder = server_folder("ingest-maria")
    make_data(install, folder / "data")
    running = MariaServer(folder, server, server_options)
    running.start()
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaServer]:
    with running_server() as running:
        yield running


class MariaDatabase:
    """One fresh database."""

    def __init__(self, server: MariaServer, name: str) -> None:
        self.server = server
        self.name = name

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.server.port}/{self.name}"

    def run(self, sql: str) -> list[dict[str, Any]]:
        connection = self.server.connect(self.name)
        with connection.cursor() as cursor:
            cursor.execute(sql)
            names = [column[0] for column in cursor.description or []]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        connection.close()
        return found


def fresh_database(server: MariaServer) -> MariaDatabase:
    name = f"t_{uuid.uuid4().hex[:12]}"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"create database {name}")
    return MariaDatabase(server, name)


@pytest.fixture
def mariadb(mariadb_server: MariaServer) -> MariaDatabase:
    return fresh_database(mariadb_server)


_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)  # servers are often not on a user's path
