"""The configuration of an Oracle endpoint: fields, or a URL as JDBC's thin driver or SQLAlchemy writes it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, model_validator

from ingest_ray.sdk.local_paths import LocalPath
from ingest_strategies.jdbc.config import Seconds, SqlConfig, fill_absent, spread_url


class OracleConfig(SqlConfig):
    url: str | None = None
    """`jdbc:oracle:thin:@//host:port/service`, `jdbc:oracle:thin:@host:port:sid`, `oracle://`, `oracle+oracledb://`."""
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1521
    service: str | None = None
    sid: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    schemas: tuple[str, ...] = ()
    """None: every schema that is not the server's own. Written as in the catalog: mostly in capitals."""
    protocol: Literal["tcp", "tcps"] = "tcp"
    """`tcps` is TLS, and verifies that the server is the one that its certificate names."""
    wallet_location: LocalPath | None = None
    """Folder of `ewallet.pem`: trusted certificates, and a client certificate for mutual TLS; none: the system's certificates."""
    wallet_password: SecretStr | None = None
    ssl_server_dn_match: bool = True
    ssl_server_cert_dn: str | None = None
    connect_timeout_s: Seconds = 10
    statement_timeout_s: Seconds | None = None
    """How long the server may take to answer; readers fetch many answers of one statement."""
    number_scale: Annotated[int, Field(ge=0, le=38)] | None = None
    """NUMBER without a precision becomes a decimal of 38 digits, this many of them behind the point; none: text."""

    @model_validator(mode="before")
    @classmethod
    def _spread_url(cls, given: Any) -> Any:
        return spread_thin_url(given) if is_thin_url(given) else spread_url(given, ("oracle",), _QUERY, "service")

    @model_validator(mode="after")
    def _is_one_database(self) -> "OracleConfig":
        if bool(self.service) == bool(self.sid):
            raise ValueError("exactly one of 'service' and 'sid' is needed")
        return self


_QUERY = {
    "service_name": "service",
    "sid": "sid",
    "user": "user",
    "password": "password",
    "protocol": "protocol",
    "wallet_location": "wallet_location",
    "ssl_server_dn_match": "ssl_server_dn_match",
}
_THIN = re.compile(
    r"""jdbc:oracle:thin:(?:(?P<user>[^/@]*)/(?P<password>.*))?@
    (?:(?P<protocol>tcps?):)?(?://)?(?P<host>\[[^\]]+\]|[^:/\[\]()]+)(?::(?P<port>\d+))?
    (?:/(?P<service>[^:/?]+)|:(?P<sid>[^:/?]+))\Z""",
    re.VERBOSE | re.IGNORECASE,
)


def is_thin_url(given: Any) -> bool:
    return isinstance(given, Mapping) and str(given.get("url") or "").lower().startswith("jdbc:oracle:")


def spread_thin_url(given: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads a URL of JDBC's thin driver over the fields; a field that is given as well takes precedence."""
    match = _THIN.match(str(given["url"]))
    if match is None:
        raise ValueError(
            "field 'url': must be 'jdbc:oracle:thin:@//host:port/service' or 'jdbc:oracle:thin:@host:port:sid'; a"
            " TNS alias or descriptor is not understood: give host, port and service"
        )
    fields = dict(given)
    parts: dict[str, Any] = {name: value for name, value in match.groupdict().items() if value}
    parts["host"] = parts["host"].strip("[]")
    if "protocol" in parts:
        parts["protocol"] = parts["protocol"].lower()
    if "password" in parts:
        parts["password"] = unquote(parts["password"])
    fill_absent(fields, parts)
    port = f":{match['port']}" if match["port"] else ""
    database = f"/{match['service']}" if match["service"] else f":{match['sid']}"
    fields["url"] = f"jdbc:oracle:thin:@{match['host']}{port}{database}"
    return fields
