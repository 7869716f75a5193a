"""The configuration of a MySQL or MariaDB endpoint."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from ingest_ray.connections.login import LoginConfig, check_login
from ingest_ray.connections.tunnel import TunnelConfig
from ingest_ray.sdk.local_paths import LocalPath
from ingest_strategies.jdbc.config import Seconds, SqlConfig, spread_url

MysqlSslMode = Literal["disabled", "preferred", "required", "verify-ca", "verify-identity"]


class MysqlConfig(SqlConfig):
    url: str | None = None
    """`mysql://`, `mariadb://`, `jdbc:mysql://`, `jdbc:mariadb://`, `mysql+pymysql://`."""
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 3306
    unix_socket: LocalPath | None = None
    """The server's socket on this machine; host and port are then not used."""
    database: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    login: LoginConfig | None = None
    """Makes the password of each connection, as `{kind: aws-rds}` does; TLS is demanded then, except through a socket."""
    tunnel: TunnelConfig | None = None
    """The SSH host that the server is reached through."""
    schemas: tuple[str, ...] = ()
    """None: `database` where it is given, else every database that is not the system's."""
    ssl_mode: MysqlSslMode = "preferred"
    ssl_ca: LocalPath | None = None
    ssl_cert: LocalPath | None = None
    ssl_key: LocalPath | None = None
    connect_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 3600
    """How long an answer may take to begin or to continue before the server counts as unavailable."""
    statement_timeout_s: Seconds | None = None
    lock_timeout_s: Seconds = 5
    """How long a statement waits for a table whose definition another session has locked; whole seconds, rounded up."""

    @model_validator(mode="before")
    @classmethod
    def _spread_url(cls, given: Any) -> Any:
        return spread_url(given, ("mysql", "mariadb"), _QUERY)

    @model_validator(mode="after")
    def _check_connection(self) -> "MysqlConfig":
        check_login(self.login, self.user, self.password is not None)
        is_given = "ssl_mode" in self.model_fields_set
        if self.login is not None and is_given and self.ssl_mode in ("disabled", "preferred"):
            raise ValueError(
                "field 'ssl_mode': a login's password is only sent through TLS: required, verify-ca or verify-identity"
            )
        if self.tunnel is not None and self.unix_socket:
            raise ValueError("field 'unix_socket': a tunnel leads to a host and a port, not to a socket")
        return self

    @property
    def demanded_tls(self) -> MysqlSslMode:
        if self.login is None or self.ssl_mode != "preferred" or self.unix_socket:
            return self.ssl_mode
        return "verify-identity" if self.ssl_ca else "required"


_QUERY = {
    "user": "user",
    "password": "password",
    "unix_socket": "unix_socket",
    "ssl_mode": "ssl_mode",
    "sslMode": "ssl_mode",
    "ssl_ca": "ssl_ca",
    "ssl_cert": "ssl_cert",
    "ssl_key": "ssl_key",
    "connect_timeout": "connect_timeout_s",
    "read_timeout": "read_timeout_s",
}
