"""One tunnel: a process of the system's SSH client (OpenSSH 8.4 or newer), which listens on a loopback port.

https://man.openbsd.org/ssh, https://man.openbsd.org/ssh_config. No secret is an argument, in the environment, or in a file on disk: the
client reads key, password and host key from memory of this process, through `/proc`. It ends with this process, however that
ends: a shell beside it waits for the end of its standard input.
"""

import errno
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

HOST_KEY = r"^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\r\n]*)?$"
PORT_TRIES = 5
END_S = 5.0
_ALIVE_S, _ALIVE_TRIES = 15, 3  # a tunnel whose other end is gone without a word ends after 45 s
_READY = b"ready\n"
_SHELL = (
    'exec 3<&0; "$@" </dev/null 3<&- & child=$!;'
    ' (cat <&3 >/dev/null; kill "$child") >/dev/null 2>&1 & wait "$child"; exit $?'
)
_DENIED = re.compile(
    r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|Permission denied|host key is known for"
    r"|error in libcrypto|invalid format|incorrect passphrase|no matching host key|Too many authentication failures"
    r"|administratively prohibited|Bad permissions",
    re.IGNORECASE,
)


class TunnelFault(Exception):
    """`is_denied`: a person must change something first; else try again."""

    def __init__(self, message: str, *, is_denied: bool = False, hint: str | None = None) -> None:
        super().__init__(message)
        self.is_denied = is_denied
        self.hint = hint


@dataclass(frozen=True)
class SshOptions:
    host: str
    port: int
    user: str
    private_key: str | None = field(repr=False)
    passphrase: str | None = field(repr=False)
    password: str | None = field(repr=False)
    host_key: str | None
    known_hosts: str | None
    connect_timeout_s: float
    to_host: str
    to_port: int


class Forward:
    """A running client. `local_port` accepts connections from the moment that `open` returns it."""

    def __init__(self, options: SshOptions) -> None:
        self._memory: list[int] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ingest-ssh")  # mode 0700; holds a script without secrets
        self._log = os.memfd_create("ssh-log")
        self._memory.append(self._log)
        self.local_port = _free_port()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL, "sh", *self._command(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=self._environment(options),
                start_new_session=True,  # Ctrl-C is for this process, which first finishes its commit through the tunnel
            )
        except BaseException:
            self._forget()
            raise

    @classmethod
    def open(cls, options: SshOptions) -> "Forward":
        """Raises `TunnelFault` where the client ends, or is not ready in time."""
        if options.known_hosts is not None and not Path(options.known_hosts).expanduser().is_file():
            raise TunnelFault(
                f"the file '{options.known_hosts}' does not exist", is_denied=True, hint="field 'known_hosts'"
            )
        for _ in range(PORT_TRIES):
            forward = cls(options)
            try:
                if forward._wait_until_ready(options.connect_timeout_s):
                    return forward
                words = forward.last_messages()
            except BaseException:
                forward.close()
                raise
            forward.close()
            if not re.search(r"Address already in use|cannot listen to port", words):
                raise _fault(options, words)
        raise TunnelFault(f"no free port on this machine for the tunnel to '{options.host}'")

    def is_alive(self) -> bool:
        """The port tells of a client that was killed before the shell that waits for it does."""
        return self._process.poll() is None and _listens(self.local_port)

    def last_messages(self) -> str:
        """The client's messages, in one line, without those of the host before the login."""
        size = os.fstat(self._log).st_size
        text = os.pread(self._log, 4_000, max(0, size - 4_000)).decode(errors="replace")
        lines = [line.strip().strip("@").strip() for line in text.splitlines()]
        return "; ".join(line for line in lines if line)[-600:]

    def close(self) -> None:
        if self._process.poll() is None:
            with suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._forget()

    def _wait_until_ready(self, timeout_s: float) -> bool:
        """False where the client ended first. It says that it is ready after it has logged in and listens."""
        deadline = time.monotonic() + 2 * timeout_s + 5
        pipe = self._process.stdout
        assert pipe is not None
        while (left_s := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([pipe], [], [], min(left_s, 1.0))
            if readable:
                return os.read(pipe.fileno(), len(_READY)) == _READY
            if self._process.poll() is not None:
                return False
        return False

    def _command(self, options: SshOptions) -> list[str]:
        program = shutil.which("ssh")
        if program is None:
            raise TunnelFault(
                "the program 'ssh' is not installed", is_denied=True, hint="apt-get install openssh-client"
            )
        target = f"[{options.to_host}]" if ":" in options.to_host else options.to_host
        return [
            program,
            *("-F", "none", "-N", "-T", "-l", options.user, "-p", str(options.port)),
            *("-L", f"127.0.0.1:{self.local_port}:{target}:{options.to_port}"),
            *(part for option in self._settings(options) for part in ("-o", option)),
            "--",
            options.host,
        ]

    def _settings(self, options: SshOptions) -> list[str]:
        settings = [
            "ExitOnForwardFailure=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "CheckHostIP=no",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "NumberOfPasswordPrompts=1",
            f"ConnectTimeout={max(1, round(options.connect_timeout_s))}",
            f"ServerAliveInterval={_ALIVE_S}",
            f"ServerAliveCountMax={_ALIVE_TRIES}",
            "ControlMaster=no",
            "ControlPath=none",
            "PermitLocalCommand=yes",
            "LocalCommand=echo ready",  # runs after the login, when the port listens
        ]
        if options.host_key is not None:
            listed = self._in_memory(f"tunnel {options.host_key}\n")
            settings += [f"UserKnownHostsFile={listed}", "HostKeyAlias=tunnel"]
        else:
            settings.append(f'UserKnownHostsFile="{Path(str(options.known_hosts)).expanduser()}"')
        if options.private_key is not None:
            settings.append(f"IdentityFile={self._in_memory(options.private_key.strip() + chr(10))}")
        else:
            settings.append("IdentityFile=none")
        methods = ["publickey"] * (options.private_key is not None)
        methods += ["password", "keyboard-interactive"] * (options.password is not None)
        settings.append(f"PreferredAuthentications={','.join(methods)}")
        return settings

    def _environment(self, options: SshOptions) -> dict[str, str]:
        """The client asks a program for passphrase and password; its answers come from memory, too."""
        script = Path(self._folder.name) / "ask"
        cases = [("*assphrase*", options.passphrase), ("*", options.password)]
        lines = [
            f"{pattern}) cat {self._in_memory(secret + chr(10))};;" for pattern, secret in cases if secret is not None
        ]
        script.write_text(f'#!/bin/sh\ncase "$1" in\n{chr(10).join(lines)}\n*) exit 1;;\nesac\n')
        script.chmod(0o700)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
        return kept | {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "LC_ALL": "C"}

    def _in_memory(self, text: str) -> str:
        """A path under which processes of this user read the text, while this process keeps it."""
        descriptor = os.memfd_create("ssh")
        self._memory.append(descriptor)
        os.fchmod(descriptor, 0o600)  # the client refuses a key that others may read
        os.write(descriptor, text.encode())
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def _forget(self) -> None:
        for descriptor in self._memory:
            with suppress(OSError):
                os.close(descriptor)
        self._memory.clear()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    """A bind beside a listening socket is refused, one beside ended connections is not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return False


def _fault(options: SshOptions, words: str) -> TunnelFault:
    is_denied = bool(_DENIED.search(words))
    hint = None
    if re.search("host key", words, re.IGNORECASE):
        hint = "the host has another key than 'host_key' or 'known_hosts' says: ask its administrator before you change that"
    elif is_denied:
        hint = "check the tunnel's user, private_key, passphrase and password"
    return TunnelFault(
        f"the tunnel through '{options.user}@{options.host}:{options.port}' cannot be opened: {words or 'no answer'}",
        is_denied=is_denied,
        hint=hint,
    )
