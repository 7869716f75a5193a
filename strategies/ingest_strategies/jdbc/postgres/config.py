"""The configuration of a PostgreSQL endpoint."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from ingest_ray.connections.login import LoginConfig, check_login
from ingest_ray.connections.tunnel import TunnelConfig
from ingest_ray.sdk.local_paths import LocalPath, LocalPathMark
from ingest_strategies.jdbc.config import Seconds, SqlConfig, host_and_port, spread_url

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

SessionAttributes = Literal["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]


class PostgresConfig(SqlConfig):
    url: str | None = None
    host: str = "localhost"
    """A name, an address, the folder of a Unix socket; or several, separated by commas, each with its port: `a:5432,b`."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    database: str = "postgres"
    user: str | None = None
    password: SecretStr | None = None
    login: LoginConfig | None = None
    """Makes the password of each connection, as `{kind: aws-rds}` does; TLS is demanded then, except through a socket."""
    tunnel: TunnelConfig | None = None
    """The SSH host that the server is reached through."""
    schemas: tuple[str, ...] = ()
    """None: every schema that is not the system's."""
    target_session_attrs: SessionAttributes | None = None
    """Which of several hosts is taken: https://www.postgresql.org/docs/current/libpq-connect.html"""
    sslmode: SslMode | None = None
    sslrootcert: Annotated[str, LocalPathMark(words=("system",))] | None = None
    sslcert: LocalPath | None = None
    sslkey: LocalPath | None = None
    connect_timeout_s: Seconds = 10
    statement_timeout_s: Seconds | None = None
    lock_timeout_s: Seconds = 5
    """How long a statement waits for a table that another session has locked, before it gives up the locks that it has itself."""
    application_name: str = "ingest_ray"
    """Transactions of this name only read, so they hold no horizon back: use the name for nothing else."""
    options: str = ""
    """Command-line options for the server, which most poolers refuse."""
    pooler: Literal["auto", "transaction", "none"] = "auto"
    """Whether a pooler gives each transaction another backend: then no snapshot is exported. `auto`: noticed by the backends;
    `none` also where a pooler gives each connection one backend."""
    publication: str | None = None
    """An existing publication with the tables of units that run CHANGES; None: they make one together."""
    slot_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,19}$")] = "ingest"
    """The first part of the names of replication slots and publications: installations that share a database need different ones."""

    @model_validator(mode="before")
    @classmethod
    def _spread_url(cls, given: Any) -> Any:
        return spread_url(given, ("postgresql", "postgres"), _QUERY)

    @model_validator(mode="after")
    def _check_connection(self) -> "PostgresConfig":
        check_login(self.login, self.user, self.password is not None)
        if self.login is not None and self.sslmode in ("disable", "allow", "prefer"):
            raise ValueError(
                "field 'sslmode': a login's password is only sent through TLS: require, verify-ca or verify-full"
            )
        if (self.login is not None or self.tunnel is not None) and "," in self.host and not self.host.startswith("/"):
            raise ValueError("field 'host': one host where there is a 'login' or a 'tunnel'")
        if self.tunnel is not None and self.host.startswith("/"):
            raise ValueError("field 'host': a tunnel leads to a host and a port, not to a socket")
        return self

    @property
    def demanded_tls(self) -> SslMode | None:
        if self.sslmode is not None or self.login is None:
            return self.sslmode
        return "verify-full" if self.sslrootcert else "require"

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each; a path is a socket's folder, and has no port of its own."""
        if self.host.startswith("/") or "," not in self.host:
            return [(self.host, self.port)]
        found = [host_and_port(address.strip()) for address in self.host.split(",")]
        return [(host or "localhost", port or self.port) for host, port in found]

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        if "," in host and not host.startswith("/"):
            for address in host.split(","):
                host_and_port(address.strip())
        return host


_QUERY = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "dbname": "database",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "connect_timeout": "connect_timeout_s",
    "connectTimeout": "connect_timeout_s",
    "application_name": "application_name",
    "ApplicationName": "application_name",
    "options": "options",
    "target_session_attrs": "target_session_attrs",
    "currentSchema": "schemas",
}
