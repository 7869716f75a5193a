"""The way to a server: straight, or through an SSH tunnel; and the password of each connection, where a login makes it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from ingest_ray.connections.login import LoginConfig, mint_password
from ingest_ray.connections.password_file import password_file
from ingest_ray.connections.tunnel import Tunnel, TunnelConfig, TunnelFault
from ingest_ray.sdk.errors import SourceDenied, SourceError, SourceUnavailable


@dataclass(frozen=True)
class Reach:
    """Makes connections to one address possible; `host` and `port` are the server's own, also behind a tunnel."""

    endpoint_id: str
    host: str
    port: int
    user: str | None
    login: LoginConfig | None
    tunnel: Tunnel | None

    def local_port(self) -> int | None:
        """The loopback port of the tunnel, which is opened again where it broke; None without a tunnel."""
        if self.tunnel is None:
            return None
        try:
            return self.tunnel.local_port()
        except TunnelFault as fault:
            kind: type[SourceError] = SourceDenied if fault.is_denied else SourceUnavailable
            raise kind(f"{self.endpoint_id}: {fault}", hint=fault.hint) from None

    def password(self) -> str | None:
        """A new one for one connection; None where no login makes it."""
        return mint_password(self.login, self.host, self.port, self.user or "") if self.login else None

    @property
    def password_file(self) -> str | None:
        return self._file.path if self.login else None

    def with_password(self) -> AbstractContextManager[Any]:
        """Inside, the password file has a new password, for one connection."""
        password = self.password()
        return self._file.holding(password) if password is not None else nullcontext()

    @property
    def _file(self) -> Any:
        return password_file(f"{self.user}@{self.host}:{self.port}")


@contextmanager
def reach(endpoint_id: str, config: Any, host: str, port: int) -> Iterator[Reach]:
    """`config` has `user`, `login` and `tunnel`. The tunnel may be closed after the end; errors inside say what it says."""
    tunnel_config: TunnelConfig | None = config.tunnel
    tunnel = Tunnel(tunnel_config, host, port) if tunnel_config is not None else None
    try:
        yield Reach(endpoint_id, host, port, config.user, config.login, tunnel)
    except SourceUnavailable as error:
        words = tunnel.last_messages() if tunnel is not None else ""
        if words and words not in error.message:
            error.message = f"{error.message} (the tunnel: {words})"
            error.args = (error.message,)
        raise
    finally:
        if tunnel is not None:
            tunnel.close()
