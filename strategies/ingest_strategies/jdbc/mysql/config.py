"""How MySQL and MariaDB are configured."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from ingest_strategies.jdbc.config import Seconds, SqlConfig, with_url_parts

MysqlSslMode = Literal["disabled", "preferred", "required", "verify-ca", "verify-identity"]


class MysqlConfig(SqlConfig):
    url: str | None = None
    """`mysql://`, `mariadb://`, `jdbc:mysql://`, `jdbc:mariadb://`, `mysql+pymysql://`."""
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 3306
    unix_socket: str | None = None
    """Where the server listens on this machine; host and port are then not used."""
    database: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    schemas: tuple[str, ...] = ()
    """None: `database` where it is given, else every database that is not the system's."""
    ssl_mode: MysqlSslMode = "preferred"
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    connect_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 3600
    """How long an answer may take to begin or to go on, before the server counts as gone."""
    statement_timeout_s: Seconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, given: Any) -> Any:
        return with_url_parts(given, ("mysql", "mariadb"), _QUERY)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password.get_secret_value(),) if self.password else ()


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
