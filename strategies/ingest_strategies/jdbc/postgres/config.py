"""The configuration of a PostgreSQL endpoint."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from ingest_strategies.jdbc.config import Seconds, SqlConfig, spread_url

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgresConfig(SqlConfig):
    url: str | None = None
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    database: str = "postgres"
    user: str | None = None
    password: SecretStr | None = None
    schemas: tuple[str, ...] = ()
    """None: every schema that is not the system's."""
    sslmode: SslMode | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
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

    @model_validator(mode="before")
    @classmethod
    def _spread_url(cls, given: Any) -> Any:
        return spread_url(given, ("postgresql", "postgres"), _QUERY)


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
    "currentSchema": "schemas",
}
