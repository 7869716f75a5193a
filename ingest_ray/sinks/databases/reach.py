"""The way to the server of a sink: straight, or through an SSH tunnel; and the password of each connection, where a login makes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ingest_ray.connections.login import LoginConfig, mint_password
from ingest_ray.connections.password_file import password_file
from ingest_ray.connections.tunnel import Tunnel, TunnelConfig, TunnelFault
from ingest_ray.sdk.errors import ConfigError, SinkUnavailable


class SinkReach:
    """`host` and `port` are the server's own, also behind a tunnel, which stays open as long as this object."""

    def __init__(self, url: str, default_port: int, login: LoginConfig | None, tunnel: TunnelConfig | None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "localhost"
        self.port = parts.port or default_port
        self._user = unquote(parts.username or "")
        self._login = login
        _check(parts, login, tunnel)
        self._tunnel = Tunnel(tunnel, self.host, self.port) if tunnel is not None else None

    @property
    def has_login(self) -> bool:
        return self._login is not None

    def local_port(self) -> int | None:
        """The loopback port of the tunnel, which is opened again where it broke; None without a tunnel."""
        if self._tunnel is None:
            return None
        try:
            return self._tunnel.local_port()
        except TunnelFault as fault:
            kind: Any = ConfigError if fault.is_denied else SinkUnavailable
            raise kind(str(fault), hint=fault.hint) from None

    def password(self) -> str | None:
        """A new one for one connection; None where no login makes it."""
        return mint_password(self._login, self.host, self.port, self._user) if self._login else None

    @property
    def password_file(self) -> str:
        return password_file(self._endpoint).path

    @contextmanager
    def with_password(self) -> Iterator[None]:
        """Inside, the password file has a new password, for one connection."""
        password = self.password()
        if password is None:
            yield
            return
        with password_file(self._endpoint).holding(password):
            yield

    @property
    def _endpoint(self) -> str:
        return f"{self._user}@{self.host}:{self.port}"

    @contextmanager
    def with_last_words(self) -> Iterator[None]:
        """A sink that does not answer behind a tunnel: the error says what the tunnel says."""
        try:
            yield
        except SinkUnavailable as error:
            words = self._tunnel.last_messages() if self._tunnel is not None else ""
            if words and words not in error.message:
                raise SinkUnavailable(f"{error.message} (the tunnel: {words})", hint=error.hint) from error
            raise


def _check(parts: SplitResult, login: LoginConfig | None, tunnel: TunnelConfig | None) -> None:
    query = dict(parse_qsl(parts.query))
    if login is not None and (parts.password or "password" in query):
        raise ConfigError("field 'login': it makes the password, so there is none in 'url' or 'password'")
    if login is not None and not parts.username:
        raise ConfigError("field 'login': it needs a user in 'url'")
    is_socket = query.get("host", "").startswith("/") or "unix_socket" in query or "%2f" in parts.netloc.lower()
    if tunnel is not None and (is_socket or not parts.hostname or "host" in query or "," in parts.netloc):
        raise ConfigError("field 'url': a tunnel leads to one host, and not to a socket")


def made_reach(url: str, default_port: int, config: Any) -> SinkReach | None:
    """None where there is neither a login nor a tunnel. `config` has `login`, `tunnel` and `password`."""
    if config.login is None and config.tunnel is None:
        return None
    if config.login is not None and config.password is not None:
        raise ConfigError("field 'login': it makes the password, so 'password' is left out")
    return SinkReach(url, default_port, config.login, config.tunnel)
