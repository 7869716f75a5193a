"""A real OpenSSH server for tests, where `sshd` is on the machine: on 127.0.0.1, for this user, with keys of its own.

Use it in the top `conftest.py`: `pytest_plugins = ["ingest_ray.testing.servers.sshd"]`. Debian: package `openssh-server`.
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import missing

START_S = 30
PASSPHRASE = "a passphrase: with 'signs' $x"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


class SshServer:
    """`private_key` has a passphrase, `PASSPHRASE`; `plain_key` has none; both may log in."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.user = getpass.getuser()
        self.host_key = self._make_key("host")
        authorized = [self._make_key("plain"), self._make_key("guarded", PASSPHRASE)]
        self.other_key = self._make_key("other")
        self.plain_key = (folder / "plain").read_text()
        self.private_key = (folder / "guarded").read_text()
        self.unknown_key = (folder / "other").read_text()
        (folder / "authorized").write_text("\n".join(authorized) + "\n")
        (folder / "config").write_text(
            f"""\
ListenAddress 127.0.0.1
Port {self.port}
HostKey {folder / "host"}
AuthorizedKeysFile {folder / "authorized"}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding local
MaxStartups 100
LogLevel ERROR
"""
        )
        self.start()

    def start(self) -> None:
        with open(self._folder / "log", "ab") as log:
            command = [self._program, "-D", "-e", "-f", str(self._folder / "config")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"sshd did not start: {(self._folder / 'log').read_text()[-500:]}")

    def stop(self) -> None:
        """Ends the server and the sessions that it serves."""
        import psutil

        for process in [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(10)

    def known_hosts(self) -> Path:
        file = self._folder / "known_hosts"
        file.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        return file

    def _make_key(self, name: str, passphrase: str = "") -> str:
        file = self._folder / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-C", name, "-N", passphrase, "-f", str(file)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return " ".join(file.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture(scope="module")
def ssh_server() -> Iterator[SshServer]:
    program = shutil.which("sshd", path=_PATH)
    if program is None or shutil.which("ssh-keygen") is None:
        missing("sshd, OpenSSH's server (scripts/install-test-services),")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it confines its processes
    folder = Path(tempfile.mkdtemp(prefix="ingest-sshd"))
    server = SshServer(program, folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
