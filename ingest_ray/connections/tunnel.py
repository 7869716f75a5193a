"""SSH tunnels of this process: connections to one address through one host share a tunnel, which is opened again when it broke."""

import atexit
import os
import threading
import weakref
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from ingest_ray.connections.ssh import HOST_KEY, Forward, SshOptions, TunnelFault
from ingest_ray.sdk.local_paths import LocalPath

__all__ = ["LOOPBACK", "Tunnel", "TunnelConfig", "TunnelFault"]

LOOPBACK = "127.0.0.1"
IDLE_S = 30.0  # an unused tunnel stays for the next connection: to open one takes longer than a short query


class TunnelConfig(BaseModel):
    """The host that the database is reached through. Its key is always verified: `host_key`, or the file `known_hosts`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9:][A-Za-z0-9._:%-]*$")]
    port: Annotated[int, Field(ge=1, le=65_535)] = 22
    user: Annotated[str, Field(min_length=1, pattern=r"^[^-\s][^\s]*$")]
    private_key: SecretStr | None = None
    """The key itself, as OpenSSH writes it: a reference to a file or to a store of secrets."""
    passphrase: SecretStr | None = None
    """Of the private key."""
    password: SecretStr | None = None
    host_key: Annotated[str, Field(pattern=HOST_KEY)] | None = None
    """Type and key in base64, as `ssh-keyscan` prints them: `ssh-ed25519 AAAA...`."""
    known_hosts: LocalPath | None = None
    """A file as OpenSSH's `~/.ssh/known_hosts`, on each machine where readers run."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10

    @model_validator(mode="after")
    def _check(self) -> "TunnelConfig":
        if (self.host_key is None) == (self.known_hosts is None):
            raise ValueError(
                "the key of the tunnel's host is verified: give 'host_key' (`ssh-keyscan HOST` prints it; compare it with what"
                " the host's administrator has) or 'known_hosts'"
            )
        if self.private_key is None and self.password is None:
            raise ValueError("a tunnel needs 'private_key' or 'password'")
        if self.passphrase is not None and self.private_key is None:
            raise ValueError("'passphrase' is that of a 'private_key'")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        found = (self.private_key, self.passphrase, self.password)
        return tuple(secret.get_secret_value() for secret in found if secret is not None)


class Tunnel:
    """The use of a tunnel to one address. It ends with `close`, or when the object is collected."""

    def __init__(self, config: TunnelConfig, host: str, port: int) -> None:
        self._shared = _shared(config, host, port)
        self._release = weakref.finalize(self, self._shared.leave)
        self._shared.enter()

    def local_port(self) -> int:
        """The port on the loopback address that leads to the database. Opens the tunnel where it is not open, or broke.

        Raises:
            TunnelFault: the tunnel cannot be opened.
        """
        return self._shared.local_port()

    def last_messages(self) -> str:
        """What the tunnel's client wrote last, such as that the database refused a connection; empty where nothing."""
        return self._shared.last_messages()

    def close(self) -> None:
        self._release()


class _SharedTunnel:
    def __init__(self, options: SshOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._users = 0
        self._forward: Forward | None = None
        self._closing: threading.Timer | None = None

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._closing is not None:
                self._closing.cancel()
                self._closing = None

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._forward is not None:
                self._closing = threading.Timer(IDLE_S, self._close_if_idle)
                self._closing.daemon = True
                self._closing.start()

    def local_port(self) -> int:
        with self._lock:
            if self._forward is not None and not self._forward.is_alive():
                self._forward.close()
                self._forward = None
            if self._forward is None:
                self._forward = Forward.open(self._options)
            return self._forward.local_port

    def last_messages(self) -> str:
        forward = self._forward
        return forward.last_messages() if forward is not None else ""

    def _close_if_idle(self) -> None:
        with self._lock:
            if self._users == 0 and self._forward is not None:
                self._forward.close()
                self._forward = None

    def close(self) -> None:
        with self._lock:
            if self._forward is not None:
                self._forward.close()
                self._forward = None


_tunnels: dict[tuple[int, SshOptions], _SharedTunnel] = {}
_tunnels_lock = threading.Lock()


def _shared(config: TunnelConfig, host: str, port: int) -> _SharedTunnel:
    options = SshOptions(
        host=config.host,
        port=config.port,
        user=config.user,
        private_key=_plain(config.private_key),
        passphrase=_plain(config.passphrase),
        password=_plain(config.password),
        host_key=config.host_key,
        known_hosts=config.known_hosts,
        connect_timeout_s=config.connect_timeout_s,
        to_host=host,
        to_port=port,
    )
    with _tunnels_lock:
        key = os.getpid(), options  # a fork has none of its parent's tunnels
        if key not in _tunnels:
            _tunnels[key] = _SharedTunnel(options)
        return _tunnels[key]


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _close_all() -> None:
    for (pid, _), tunnel in list(_tunnels.items()):
        if pid == os.getpid():
            tunnel.close()


atexit.register(_close_all)
