"""The configuration of a SQL Server endpoint: fields, or a URL as JDBC or SQLAlchemy writes it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from ingest_ray.sdk.local_paths import LocalPath
from ingest_strategies.jdbc.config import Seconds, SqlConfig, fill_absent, spread_url

Isolation = Literal["snapshot", "serializable"]


class MssqlConfig(SqlConfig):
    url: str | None = None
    """`jdbc:sqlserver://host:1433;databaseName=shop;user=app`, `mssql://`, `mssql+pytds://`."""
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1433
    database: str = "master"
    user: str | None = None
    password: SecretStr | None = None
    schemas: tuple[str, ...] = ()
    """None: every schema that is not the server's own."""
    encrypt: bool = True
    """TLS, with a certificate that `ssl_ca` verifies. Without it everything but the password is sent in plain text."""
    ssl_ca: LocalPath | None = None
    """File of trusted certificates; none: the system's."""
    ssl_check_hostname: bool = True
    isolation: Isolation = "snapshot"
    """`snapshot` refuses a database that has no row versions; `serializable` locks the rows that a slice reads while it is read."""
    connect_timeout_s: Seconds = 10
    statement_timeout_s: Seconds | None = None
    lock_timeout_s: Seconds = 60

    @model_validator(mode="before")
    @classmethod
    def _spread_url(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and re.match(r"(jdbc:)?sqlserver://", str(given.get("url") or ""), re.IGNORECASE):
            return spread_jdbc_url(given)
        return spread_url(given, ("mssql", "sqlserver"), _QUERY)


_QUERY = {
    "user": "user",
    "password": "password",
    "encrypt": "encrypt",
    "ssl_ca": "ssl_ca",
    "ssl_check_hostname": "ssl_check_hostname",
}
# https://learn.microsoft.com/en-us/sql/connect/jdbc/setting-the-connection-properties; names are not case-sensitive.
_PROPERTIES = {
    "databasename": "database",
    "database": "database",
    "user": "user",
    "username": "user",
    "password": "password",
    "portnumber": "port",
    "port": "port",
    "servername": "host",
    "server": "host",
    "encrypt": "encrypt",
    "logintimeout": "connect_timeout_s",
    "querytimeout": "statement_timeout_s",
}
_SERVER = re.compile(r"(?:jdbc:)?sqlserver://(\[[^\]]+\]|[^:;\\]*)(\\[^:;]*)?(?::(\d+))?(?:;|\Z)", re.IGNORECASE)
_PROPERTY = re.compile(r"\s*([^=;{}]+?)\s*=\s*(?:\{((?:[^}]|\}\})*)\}|([^;]*))\s*(?:;|\Z)")


def spread_jdbc_url(given: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads `jdbc:sqlserver://host:port;name=value;...` over the fields; a field that is given as well takes precedence."""
    text, fields = str(given["url"]), dict(given)
    server = _SERVER.match(text)
    if server is None:
        raise ValueError("field 'url': must be 'jdbc:sqlserver://host:port;databaseName=name'")
    if server[2]:
        raise ValueError("field 'url': a named instance is not looked up: give its port")
    parts: dict[str, Any] = {"host": server[1].strip("[]") or None, "port": server[3]}
    position = server.end()
    while position < len(text):
        match = _PROPERTY.match(text, position)
        if match is None:
            raise ValueError("field 'url': properties are 'name=value', with ';' between them")
        name, position = match[1].lower(), match.end()
        value = match[2].replace("}}", "}") if match[2] is not None else match[3]
        if name == "trustservercertificate":
            if value.lower() == "true":
                raise ValueError("field 'url': a certificate is not trusted unseen: name it in 'ssl_ca'")
            continue
        if name not in _PROPERTIES:
            raise ValueError(
                f"field 'url': property '{match[1]}' is not known; known: {', '.join(sorted(_PROPERTIES))}"
            )
        parts[_PROPERTIES[name]] = value
    fill_absent(fields, {name: value for name, value in parts.items() if value})
    host = f"[{parts['host']}]" if ":" in (parts["host"] or "") else parts["host"] or ""
    fields["url"] = f"jdbc:sqlserver://{host}{f':{server[3]}' if server[3] else ''}"
    return fields
