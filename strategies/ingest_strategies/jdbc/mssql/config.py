"""How SQL Server is configured: fields, or a URL as JDBC or SQLAlchemy writes it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from ingest_strategies.jdbc.config import Seconds, SqlConfig, with_url_parts

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
    """TLS, with a certificate that `ssl_ca` vouches for. Without: everything but the password goes over the wire as it is."""
    ssl_ca: str | None = None
    """File of trusted certificates; none: the system's."""
    ssl_check_hostname: bool = True
    isolation: Isolation = "snapshot"
    """`snapshot` refuses a database that has no row versions; `serializable` locks what a slice reads while it is read."""
    connect_timeout_s: Seconds = 10
    statement_timeout_s: Seconds | None = None
    lock_timeout_s: Seconds = 60

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and re.match(r"(jdbc:)?sqlserver://", str(given.get("url") or ""), re.IGNORECASE):
            return with_jdbc_parts(given)
        return with_url_parts(given, ("mssql", "sqlserver"), _QUERY)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password.get_secret_value(),) if self.password else ()


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


def with_jdbc_parts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads `jdbc:sqlserver://host:port;name=value;...` over the fields; those that are given, too, win."""
    text, fields = str(given["url"]), dict(given)
    server = _SERVER.match(text)
    if server is None:
        raise ValueError("field 'url': must be 'jdbc:sqlserver://host:port;databaseName=name'")
    if server[2]:
        raise ValueError("field 'url': a named instance is not looked up: give its port")
    found: dict[str, Any] = {"host": server[1].strip("[]") or None, "port": server[3]}
    at = server.end()
    while at < len(text):
        match = _PROPERTY.match(text, at)
        if match is None:
            raise ValueError("field 'url': properties are 'name=value', with ';' between them")
        name, at = match[1].lower(), match.end()
        value = match[2].replace("}}", "}") if match[2] is not None else match[3]
        if name == "trustservercertificate":
            if value.lower() == "true":
                raise ValueError("field 'url': a certificate is not trusted unseen: name it in 'ssl_ca'")
            continue
        if name not in _PROPERTIES:
            raise ValueError(
                f"field 'url': property '{match[1]}' is not known; known: {', '.join(sorted(_PROPERTIES))}"
            )
        found[_PROPERTIES[name]] = value
    for name, value in found.items():
        if value and fields.get(name) in (None, "", ()):
            fields[name] = value
    host = f"[{found['host']}]" if ":" in (found["host"] or "") else found["host"] or ""
    fields["url"] = f"jdbc:sqlserver://{host}{f':{server[3]}' if server[3] else ''}"
    return fields
