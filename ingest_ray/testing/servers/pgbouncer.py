"""A real pgbouncer for tests, in transaction mode in front of the session's PostgreSQL, where `pgbouncer` is on the machine.

Use it in the top `conftest.py`: `pytest_plugins = ["ingest_ray.testing.servers.pgbouncer"]`. Debian: package `pgbouncer`.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.testing.servers.postgres import Postgres, missing

START_S = 30
USERS = ("postgres", "app", "reader")
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


class Pooler:
    """Listens on 127.0.0.1. Each transaction of a client gets any of at most `backends` sessions of the server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str, user: str = "postgres") -> Any:
        """A session of an application: through pg8000, which gives no parameter at its start."""
        import pg8000.dbapi

        return pg8000.dbapi.connect(user, database=database, host="127.0.0.1", port=self.port)


@contextmanager
def running_pooler(server_folder: Path, *, backends: int, options: str = "") -> Iterator[Pooler]:
    program = shutil.which("pgbouncer", path=_PATH)
    if program is None:
        missing("pgbouncer, a pooler of PostgreSQL's connections (scripts/install-test-services),")
    owner = server_folder.stat().st_uid
    folder = Path(tempfile.mkdtemp(prefix="ingest-pgbouncer"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    # It refuses to run as root, and may enter the server's folder only as the user that runs the server.
    user = f"user = {pwd.getpwuid(owner).pw_name}" if os.getuid() == 0 else ""
    (folder / "users.txt").write_text("".join(f'"{name}" ""\n' for name in USERS))
    (folder / "pgbouncer.ini").write_text(
        f"""\
[databases]
* = host={server_folder} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder / "users.txt"}
pool_mode = transaction
default_pool_size = {backends}
max_client_conn = 200
{user}
{options}
"""
    )
    os.chown(folder, owner, -1) if os.getuid() == 0 else None
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen([program, str(folder / "pgbouncer.ini")], stdout=log, stderr=log)
    try:
        wait_until_it_listens(port, folder / "log")
        yield Pooler(port)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_listens(port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"pgbouncer did not start: {log.read_text()[-500:]}")


PoolerMaker = Callable[..., Pooler]


@pytest.fixture
def pgbouncer(pg: Postgres) -> Iterator[PoolerMaker]:
    """`pgbouncer(backends=1)` starts one in front of the server of `pg`."""
    running: list[Any] = []

    def make(backends: int = 3, options: str = "") -> Pooler:
        context = running_pooler(pg.folder, backends=backends, options=options)
        running.append(context)
        return context.__enter__()

    yield make
    for context in reversed(running):
        context.__exit__(None, None, None)
